from __future__ import annotations

from collections.abc import Sequence

import pytest

from alerting.model.matcher import Matcher
from alerting.model.series import SeriesData
from alerting.promql import nodes
from alerting.promql.engine import Engine
from alerting.promql.errors import ExecutionError
from alerting.promql.fixed import fixed_parts
from alerting.promql.parse import parse
from alerting.promql.value import Matrix
from tests.support.memory_querier import MemoryQuerier


class Counting(MemoryQuerier):
    """Notes what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.windows: list[tuple[int, int]] = []

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[SeriesData]:
        self.windows.append((start_ms, end_ms))
        return super().select(matchers, start_ms, end_ms)


@pytest.fixture
def querier() -> Counting:
    querier = Counting()
    for place in range(5):
        samples = [(at * 5000, float((at * (place + 3)) % 17)) for at in range(place * 20, 401)]
        querier.put({"__name__": "x", "place": str(place)}, samples)
    return querier


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("x", []),
        ("x @ 5", []),
        ("x and topk(2, avg_over_time(x[5m:] @ end()))", [nodes.Aggregate]),
        ("x - (sum(x @ end() offset 1m) + 1)", [nodes.Binary]),
        ("-(x @ 5)", [nodes.Negation]),
        ("rate(x[1m] @ start())", [nodes.Call]),
        ("rate(x[1m]) + rate(x[1m] @ start())", [nodes.Call]),
        ("avg_over_time((x @ 5)[1m:5s])", []),
        ("avg_over_time(abs(x @ 5)[1m:5s])", [nodes.Call]),
        ("avg_over_time(x[1m:5s] @ 5)", [nodes.Call]),
        ("timestamp(x @ 5)", []),
        ("timestamp(abs(x @ 5))", [nodes.Call]),
        ("predict_linear(x[1m] @ 5, 60)", []),
        ("hour(x @ 5)", []),
        ("time() - 1", []),
        ("x * (2 + 3)", [nodes.Binary]),
        ("quantile(scalar(x @ 5), x)", [nodes.Call]),
    ],
)
def test_what_is_evaluated_once(text: str, parts: list[type]) -> None:
    expr = parse(text)
    found = fixed_parts(expr)
    assert [type(node) for node in nodes.walk(expr) if id(node) in found] == parts


@pytest.mark.parametrize(
    "text",
    [
        "x and topk(2, avg_over_time(x[5m:] @ end()))",
        "x - on () group_left () sum(x @ end() offset 1m)",
        "quantile(scalar(x{place='1'} @ 1000) / 20, x)",
        "avg_over_time(abs(x @ 1000)[1m:7s]) - x",
        "absent(y @ end()) + on () group_right () x",
        "stddev_over_time(x[2m] @ start()) or sort(x)",
        "count_values('n', x @ 1500)",
        "last_over_time(x[3m:20s] @ 900 offset -30s)",
    ],
)
def test_it_is_what_an_evaluation_at_each_step_gives(
    querier: Counting, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expr = parse(text)
    once = Engine(querier).range(expr, 600_000, 1_900_000, 13_000).value
    monkeypatch.setattr("alerting.promql.engine.fixed_parts", lambda _: frozenset())
    each_time = Engine(querier).range(expr, 600_000, 1_900_000, 13_000).value
    assert isinstance(once, Matrix)
    assert isinstance(each_time, Matrix)
    assert len(once) > 0
    assert [(one.labels, list(one)) for one in once] == [(one.labels, list(one)) for one in each_time]


def test_what_two_selectors_ask_for_is_read_once(querier: Counting) -> None:
    expr = parse("x and topk(2, avg_over_time(x[20m:] @ end()))")
    first = Engine(querier).range(expr, 600_000, 1_800_000, 60_000)
    assert querier.windows == [(300_001, 1_800_000)]
    querier.windows.clear()
    other = parse("x and topk(2, avg_over_time(x[40m:] @ end()))")
    Engine(querier).range(other, 600_000, 1_800_000, 60_000)
    assert len(querier.windows) == 2, "the second one reaches further back"
    assert isinstance(first.value, Matrix)
    assert len(first.value) == 2


def test_what_is_read_twice_is_cut_to_each_window(querier: Counting) -> None:
    for text in ("count_over_time(x[10m]) - count_over_time(x[1m])", "x + on (place) max_over_time(x[5m:30s] @ 1500)"):
        expr = parse(text)
        querier.windows.clear()
        ranged = Engine(querier).range(expr, 1_200_000, 1_900_000, 50_000).value
        assert isinstance(ranged, Matrix)
        assert len(querier.windows) == 1
        for series in ranged:
            for time_ms, value in series:
                at_once = dict(Engine(querier).instant(expr, time_ms).value)  # type: ignore[arg-type]
                assert at_once[series.labels] == value


def test_a_long_subquery_holds_only_its_points(querier: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    expr = parse("count_over_time(sum(x)[30m:10s] @ end())")
    whole = Engine(querier).range(expr, 1_900_000, 1_950_000, 10_000).value
    with pytest.raises(ExecutionError, match="too many samples"):
        Engine(querier, max_samples=1500).range(expr, 1_900_000, 1_950_000, 10_000)
    monkeypatch.setattr("alerting.promql.evaluate.SLICE_MS", 200_000)
    result = Engine(querier, max_samples=1500).range(expr, 1_900_000, 1_950_000, 10_000)
    assert isinstance(whole, Matrix)
    assert isinstance(result.value, Matrix)
    assert [list(one) for one in result.value] == [list(one) for one in whole]
    assert result.samples > 1500
