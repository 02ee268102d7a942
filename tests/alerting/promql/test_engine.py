from __future__ import annotations

import itertools
import math
import time

import pytest

from alerting.model.labels import Labels
from alerting.model.series import STALE
from alerting.promql import overtime
from alerting.promql.engine import Engine
from alerting.promql.errors import ExecutionError, QueryError, QueryTimeout
from alerting.promql.inspect import metric_names, reach_ms, selectors
from alerting.promql.parse import parse
from alerting.promql.value import Matrix, Result, Scalar, String, Vector, format_general
from tests.support.memory_querier import MemoryQuerier


@pytest.fixture
def querier() -> MemoryQuerier:
    querier = MemoryQuerier()
    for instance, value in (("a", 1.0), ("b", 2.0)):
        samples = [(index * 5000, value * index) for index in range(201)]
        querier.put({"__name__": "x_total", "instance": instance, "job": "j"}, samples)
    querier.put({"__name__": "gone"}, [(0, 1.0), (5000, STALE)])
    querier.put({"__name__": "gauge"}, [(0, 1.0), (5000, 2.0)])
    return querier


def instant(querier: MemoryQuerier, text: str, time_ms: int = 1_000_000) -> Result:
    return Engine(querier).instant(parse(text), time_ms)


def vector(result: Result) -> dict[str, float]:
    assert isinstance(result.value, Vector)
    return {str(labels): value for labels, value in result.value}


def test_kinds_of_results(querier: MemoryQuerier) -> None:
    assert instant(querier, "1 + 1").value == Scalar(1_000_000, 2.0)
    assert instant(querier, "'a'").value == String(1_000_000, "a")
    assert vector(instant(querier, "x_total")) == {
        'x_total{instance="a", job="j"}': 200.0,
        'x_total{instance="b", job="j"}': 400.0,
    }
    matrix = instant(querier, 'x_total{instance="a"}[11s]').value
    assert isinstance(matrix, Matrix)
    assert [list(series) for series in matrix] == [[(990_000, 198.0), (995_000, 199.0), (1_000_000, 200.0)]]


def test_values_are_plain_python_numbers(querier: MemoryQuerier) -> None:
    value = instant(querier, "rate(x_total[1m])").value
    assert isinstance(value, Vector)
    assert all(type(number) is float and type(labels) is Labels for labels, number in value)
    assert type(instant(querier, "time()").value.value) is float  # type: ignore[union-attr]


def test_stale_and_old_samples_are_nothing(querier: MemoryQuerier) -> None:
    assert vector(instant(querier, "gone", 0)) == {"gone": 1.0}
    assert vector(instant(querier, "gone", 5000)) == {}
    assert vector(instant(querier, "x_total", 1_299_999)) != {}
    assert vector(instant(querier, "x_total", 1_300_000)) == {}
    assert Engine(querier, lookback_ms=1000).instant(parse("x_total"), 1_001_000).value == Vector(1_001_000, [], [])


def test_a_range_of_scalars_is_one_series(querier: MemoryQuerier) -> None:
    matrix = Engine(querier).range(parse("time()"), 0, 10_000, 5000).value
    assert isinstance(matrix, Matrix)
    assert [(series.labels, list(series)) for series in matrix] == [(Labels(), [(0, 0.0), (5000, 5.0), (10_000, 10.0)])]


@pytest.mark.parametrize(
    ("text", "times", "message"),
    [
        ("x", (0, 10, 0), "step"),
        ("x", (10, 0, 1), "end timestamp"),
        ("x", (0, 10**12, 1), "at most 1000000"),
        ("'a'", (0, 1, 1), 'invalid expression type "string"'),
        ("x[5m]", (0, 1, 1), 'invalid expression type "range vector"'),
    ],
)
def test_strange_ranges_are_bad_data(
    querier: MemoryQuerier, text: str, times: tuple[int, int, int], message: str
) -> None:
    with pytest.raises(QueryError, match=message) as caught:
        Engine(querier).range(parse(text), *times)
    assert caught.value.kind == "bad_data"


def test_a_query_cannot_hold_too_many_samples(querier: MemoryQuerier) -> None:
    small = Engine(querier, max_samples=100)
    assert isinstance(small.instant(parse("x_total"), 1_000_000).value, Vector)
    for text in ("sum_over_time(x_total[10m])", "sum_over_time(vector(1)[1h:1s])"):
        with pytest.raises(ExecutionError, match="too many samples") as caught:
            small.instant(parse(text), 1_000_000)
        assert caught.value.kind == "execution"
    with pytest.raises(ExecutionError, match="too many samples"):
        small.range(parse("x_total"), 0, 1_000_000, 5000)


def test_many_different_values_are_too_many_to_count(querier: MemoryQuerier) -> None:
    with pytest.raises(ExecutionError, match="too many samples"):
        Engine(querier, max_samples=20_000).range(parse('count_values("v", x_total)'), 0, 1_000_000, 5000)


@pytest.mark.parametrize("opening", ["max_over_time((", "sum(", "-(", "abs(vector(scalar("])
def test_the_deepest_accepted_query_is_answered(querier: MemoryQuerier, opening: str) -> None:
    closing = {"max_over_time((": ")[1m:1m])", "sum(": ")", "-(": ")", "abs(vector(scalar(": ")))"}[opening]
    levels = 100 // max(opening.count("("), 1)
    text = opening * levels + "x_total{instance='a'}" + closing * levels
    while True:
        try:
            expr = parse(text)
            break
        except QueryError:
            text = text.removeprefix(opening).removesuffix(closing)
    assert len(vector(instant(querier, text))) <= 1
    assert isinstance(Engine(querier).range(expr, 900_000, 1_000_000, 50_000).value, Matrix)


def test_the_deadline_ends_a_query(querier: MemoryQuerier) -> None:
    engine = Engine(querier)
    assert isinstance(engine.instant(parse("x_total"), 0, deadline=time.monotonic() + 60).value, Vector)
    with pytest.raises(QueryTimeout, match="timed out") as caught:
        engine.instant(parse("sum(x_total)"), 0, deadline=time.monotonic() - 1)
    assert caught.value.kind == "timeout"


def test_the_deadline_ends_a_long_function(querier: MemoryQuerier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overtime, "_BLOCK", 10)
    clock = itertools.count()
    monkeypatch.setattr("alerting.promql.budget.time.monotonic", lambda: next(clock))
    for text in ("quantile_over_time(0.5, x_total[5m])", "stddev_over_time(x_total[5m])", "deriv(x_total[5m])"):
        reading = next(clock)
        with pytest.raises(QueryTimeout):
            Engine(querier).range(parse(text), 0, 1_000_000, 5000, deadline=reading + 20)


@pytest.mark.parametrize(
    "text",
    [
        "sum by (job) (rate(x_total[1m]))",
        "x_total @ end() - x_total @ start()",
        "avg_over_time(rate(x_total[1m])[2m:7s] offset 10s)",
        "topk(1, x_total offset 100s)",
        "time()",
        "gone or x_total > 200",
    ],
)
def test_a_long_range_is_answered_in_pieces(querier: MemoryQuerier, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Engine(querier).range(parse(text), 0, 1_000_000, 3000).value
    monkeypatch.setattr("alerting.promql.evaluate.SLICE_MS", 30_000)
    pieces = Engine(querier).range(parse(text), 0, 1_000_000, 3000).value
    assert isinstance(whole, Matrix)
    assert isinstance(pieces, Matrix)
    assert [(s.labels, list(s)) for s in whole] == [(s.labels, list(s)) for s in pieces]
    assert len(whole) > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x_total * on (job) x_total", 'found duplicate series for the match group {job="j"} on the right hand-side'),
        ("x_total * on (job) group_left sum by (job, instance) (x_total)", "many-to-many matching not allowed"),
        ("sum by (job) (x_total) * on (job) group_left x_total", "found duplicate series"),
        ("x_total > on (job) sum by (job) (x_total)", "many-to-one matching must be explicit"),
        ("x_total * on (job) group_left (instance) vector(1)", None),
        ("x_total * on () group_left (instance, job) vector(1)", "grouping labels must ensure unique matches"),
        ('-{__name__=~"x_total|gone",instance=~"a|"}', None),
        ("sum without (instance) (x_total) or label_replace(x_total, 'instance', '', '', '')", "same labelset"),
        ("label_join(x_total, 'instance', '', 'job')", "same labelset"),
        (f"label_join(x_total, 'new', '{'-' * 3000}', 'job', 'job', 'job')", "more than 4096 characters"),
        (f"label_replace(x_total, 'new', '{'$1' * 4097}', 'instance', '(.)')", "more than 4096 characters"),
        ("topk(NaN, x_total)", "Parameter value is NaN"),
        ("topk(1e30, x_total)", "overflows int64|Parameter"),
    ],
)
def test_ambiguous_answers_are_errors(querier: MemoryQuerier, text: str, message: str | None) -> None:
    if message is None:
        instant(querier, text)
        return
    with pytest.raises(ExecutionError, match=message.replace("{", r"\{").replace("}", r"\}")):
        instant(querier, text)


NOT_A_COUNTER = "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "


@pytest.mark.parametrize(
    ("text", "warnings", "infos"),
    [
        ("quantile(1.5, x_total)", ["PromQL warning: quantile value should be between 0 and 1, got 1.5 (1:10)"], []),
        (
            "quantile_over_time(-1, x_total[1m])",
            ["PromQL warning: quantile value should be between 0 and 1, got -1 (1:20)"],
            [],
        ),
        ("rate(x_total[1m])", [], []),
        (
            "1 +\n  (rate((gauge[20m])))",
            [],
            [f'{NOT_A_COUNTER}"gauge" (2:10)'],
        ),
        # One sample is no rate, and nothing is said of it.
        ("rate(gone[20m])", [], []),
        ("rate(nothing[1m])", [], []),
    ],
)
def test_annotations(querier: MemoryQuerier, text: str, warnings: list[str], infos: list[str]) -> None:
    result = instant(querier, text)
    assert (list(result.warnings), list(result.infos)) == (warnings, infos)


def test_what_was_forced_on_buckets_is_told_in_one_sentence() -> None:
    querier = MemoryQuerier()
    for le, values in (("0.1", [5, 5, 5]), ("0.5", [4, 4.75, 7]), ("1", [5, 3.25, 6]), ("+Inf", [9, 9, 9])):
        querier.put({"__name__": "lat_bucket", "le": le}, [(60_000 * at, value) for at, value in enumerate(values)])
    expr = parse("histogram_quantile(0.5, (lat_bucket))")
    (info,) = Engine(querier).range(expr, 0, 120_000, 60_000).infos
    assert info == (
        "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/"
        'prometheus/latest/querying/functions/#histogram_quantile) for metric name "lat_bucket", '
        "from buckets 0.5 to 1, with a max diff of 1.8, over 3 samples from 1970-01-01T00:00:00Z "
        "to 1970-01-01T00:02:00Z (1:26)"
    )


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (1.5, None, "1.5"),
        (1e20, None, "100000000000000000000"),
        (1e21, None, "1e+21"),
        (1.25e-5, None, "1.25e-05"),
        (0.0001, None, "0.0001"),
        (math.inf, None, "+Inf"),
        (math.nan, None, "NaN"),
        (0.0, 2, "0"),
        (123.4, 2, "1.2e+02"),
        (12.34, 2, "12"),
        (0.00001234, 2, "1.2e-05"),
        (99.9, 2, "1e+02"),
    ],
)
def test_numbers_in_annotations_are_written_as_go_does(value: float, digits: int | None, text: str) -> None:
    assert format_general(value, digits) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("year(vector(NaN))", math.nan),
        ("day_of_week(vector(-1))", 3.0),  # Wednesday, 31 December 1969
        ("hour(vector(-1))", 23.0),
        ("minute(vector(1e300))", math.nan),
        ("minute(vector(8000000000000000000))", 13.0),
        ("year(vector(1e12))", 33658.0),
        ("year(vector(-1e12))", -29719.0),
        ("vector(1) * on () 2", 2.0),
        ("days_in_month(vector(951782400))", 29.0),
        ("clamp(vector(NaN), 1, Inf)", math.nan),
        ("clamp_min(vector(NaN), Inf)", math.inf),
        ("clamp_max(vector(NaN), -Inf)", -math.inf),
        ("round(vector(-0.5))", -0.0),
        ("round(vector(5.25), 0.1)", 5.3),
        ("vector(-7) % 3", -1.0),
        ("vector(2) ^ 0.5", math.sqrt(2)),
        ("vector(0) / 0", math.nan),
        ("sgn(vector(-3))", -1.0),
        ('count(label_replace(x_total, "n", "$$1-${1}x$2", "instance", "(.)") * 0)', 2.0),
    ],
)
def test_corner_values(querier: MemoryQuerier, text: str, value: float) -> None:
    assert list(vector(instant(querier, text)).values()) == pytest.approx([value], nan_ok=True)


def test_label_replace_template(querier: MemoryQuerier) -> None:
    text = 'label_replace(x_total{instance="a"}, "new", "$$1-${1}x$2", "instance", "(.)")'
    assert list(vector(instant(querier, text))) == ['x_total{instance="a", job="j", new="$1-ax"}']


def test_what_a_query_reads() -> None:
    expr = parse('sum(rate(x_total{a="b"}[5m])) / on () (y or avg_over_time(y[1h:5m])) > bool {__name__=~"z.*"}')
    assert [[str(matcher) for matcher in matchers] for matchers in selectors(expr)] == [
        ['__name__="x_total"', 'a="b"'],
        ['__name__="y"'],
        ['__name__=~"z.*"'],
    ]
    assert metric_names(expr) == {"x_total", "y"}
    assert reach_ms(expr) == 3_600_000
    assert reach_ms(parse("max_over_time(rate(x_total[5m])[1h:]) + y")) == 3_900_000
