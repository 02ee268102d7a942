"""What breaks is told without waiting for a scrape or an evaluation: the next ones are ten minutes away. How fast, the
benches say."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tests.bench import bench_container_kill, bench_service, bench_unit
from tests.bench.alerting_peer import WHO
from tests.bench.until_told import Told, late, table
from tests.support.peers import need

pytestmark = [pytest.mark.bench, pytest.mark.acceptance]
FAR = "10m"


@pytest.mark.parametrize("kills", [bench_container_kill.kills, bench_unit.kills])
def test_a_kill_is_told_and_a_clean_restart_is_not(kills: Callable[..., tuple[Told, Sequence[str]]]) -> None:
    told, titles = kills(1, beside=False, interval=FAR, restart=True)
    assert len(told.ours) == 1
    assert [title.split()[0] for title in titles] == ["DOWN", "RESOLVED"]


def test_a_redis_that_stops_is_told_with_the_flow_it_takes_away_and_so_are_others_beside_us() -> None:
    for program in ("prometheus", "prometheus-alertmanager", "prometheus-redis-exporter"):
        need(program)
    told = bench_service.stops(1, beside=True, interval=FAR)
    assert len(told.ours) == len(told.theirs) == 1
    assert WHO in table("a Redis stops", told, "")


@pytest.mark.parametrize(
    ("times", "expected"), [([1.0], 1.0), (list(range(1, 21)), 19), (list(range(40, 0, -1)), 38), ([3.0, 1.0, 2.0], 3)]
)
def test_95_of_100_are_not_longer(times: Sequence[float], expected: float) -> None:
    assert late(times) == expected


def test_the_table_says_what_was_not_measured() -> None:
    lines = table("it breaks", Told([0.25, 0.5, 1.5], []), "each 5 s").splitlines()
    assert lines[2] == "| ours, each 5 s | 3 | 0.50 s | 1.50 s | 1.50 s |"
    assert lines[3] == f"| {WHO} | not measured | | | |"
