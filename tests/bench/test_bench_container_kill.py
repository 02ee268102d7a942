"""A killed container is told at once; generous, for a machine that does other things too."""

from __future__ import annotations

import statistics

import pytest

from tests.bench.bench_container_kill import measure, told

pytestmark = [pytest.mark.bench, pytest.mark.acceptance]


def test_kill_to_notification_and_nothing_of_a_clean_restart() -> None:
    result = measure(3, beside=False, restart=True)
    print(told(result.ours))
    assert statistics.median(result.ours) < 1.0, told(result.ours)
    assert result.ours[-1] < 3.0, told(result.ours)
    about = [title for title in result.pushed if "Watchdog" not in title]
    assert len(about) == 3
    assert not any("steady" in title for title in about), "a restart within a minute is nobody's business"
