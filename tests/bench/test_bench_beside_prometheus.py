"""Each benchmark that stands beside Prometheus, run for a moment: that it still measures, not what."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import bench_ingest, bench_queries, bench_rules, bench_size
from tests.bench.motion import PEER_PAGE, LivingPage
from tests.bench.panels import asked, step_seconds
from tests.bench.prometheus_peer import available
from tests.support.peers import need

pytestmark = pytest.mark.bench


@pytest.fixture(scope="module", autouse=True)
def _peer() -> None:
    need("prometheus")
    need("promtool")


def test_the_page_lives_and_counts_up() -> None:
    page = LivingPage(PEER_PAGE, apart_s=15, step_s=15, seed=1)
    assert page.series == 586
    rows = page.next_values(50)
    assert (rows == LivingPage(PEER_PAGE, apart_s=15, step_s=15, seed=1).next_values(50)).all()
    interrupts = [float(line.split()[1]) for row in rows for line in _lines(page.text(row), "node_intr_total ")]
    assert len(interrupts) == 50
    assert interrupts == sorted(interrupts)
    assert interrupts[0] < interrupts[-1]


def _lines(page: bytes, start: str) -> list[str]:
    return [line for line in page.decode().splitlines() if line.startswith(start)]


def test_steps_are_grafanas() -> None:
    assert [step_seconds(hours * 3600) for hours in (1, 6, 24, 48, 168)] == [15, 20, 60, 120, 600]
    assert len({query.dashboard for query in asked(86_400)}) == 7
    assert not [query.expr for query in asked(86_400) if "$" in query.expr.replace('$"', "")]


def test_queries(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = [query for query in asked(360) if query.dashboard == "tierwatch-overview"][::6]
    results = bench_queries.measure(tmp_path / "day", 0.1, chosen)
    bench_queries.report(results, 0.1)
    assert not results.differences, results.differences
    assert sum(results.series.values()) > 10
    assert results.cpu[bench_queries.OURS] > 0
    assert "Prometheus, cold" in capsys.readouterr().out
    assert available()


def test_differences_are_found() -> None:
    def answer(value: str, at: int = 1) -> bench_queries.Answer:
        return {"status": "success", "data": {"result": [{"metric": {"a": "1"}, "values": [[at, value]]}]}}

    assert bench_queries.differing(answer("1"), answer("1.0000000000001")) == ""
    assert bench_queries.differing(answer("NaN"), answer("NaN")) == ""
    assert bench_queries.differing(answer("1"), answer("1.001"))
    assert bench_queries.differing(answer("1"), answer("1", at=2))


def test_ingest() -> None:
    # Prometheus looks for its targets five seconds after the start.
    for seconds in (2.0, 8.0, 32.0):  # a busy machine scrapes later than it is told to
        costs = bench_ingest.measure(2, 1, seconds, rules=False, warm_s=6.5)
        if min(cost.samples for cost in costs.values()) >= 2 * 586:
            break
    assert set(costs) == {bench_ingest.OURS, bench_ingest.THEIRS}
    for cost in costs.values():
        assert cost.samples >= 2 * 586
        assert cost.microseconds >= 0  # a hundredth of a second is the least that is told


def test_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(bench_size, "SETTLE_S", 0.0)
    bench_size.measure(tmp_path, 0.01, queries=False)
    shown = capsys.readouterr().out
    assert "tierwatch, day 0.01" in shown
    assert "Prometheus, two minutes later" in shown


def test_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_rules, "WARM_S", 1.0)
    cost = bench_rules.used(1.5, rules=True)
    assert set(cost) == {bench_ingest.OURS, bench_ingest.THEIRS}
    assert min(cost.values()) > 0
