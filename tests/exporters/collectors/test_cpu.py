from __future__ import annotations

from pathlib import Path

import pytest

from exporters.collector import NoData
from exporters.collectors.cpu import CpuFrequency, CpuTimes, monotone
from exporters.sources.files import Roots
from tests.exporters.support import roots, samples


def test_modes_and_guests() -> None:
    found = samples(CpuTimes(roots("pi")).collect())
    assert found["node_cpu_seconds_total", "0", "idle"] == 10.0
    assert found["node_cpu_seconds_total", "2", "softirq"] == 0.01
    assert found["node_cpu_guest_seconds_total", "3", "nice"] == 0
    assert len(found) == 4 * 8 + 4 * 2


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (None, [5, 5], [5, 5]),
        ([5, 5], [6, 5], [6, 5]),
        ([5, 100], [6, 99], [6, 100]),  # iowait ran back a little
        ([500, 1000], [10, 20], [10, 20]),  # the core was off and came back
        ([5, 5], [6, 5, 1], [6, 5, 1]),  # another kernel's columns
    ],
)
def test_counters_do_not_run_backwards(before: list[int] | None, now: list[int], told: list[int]) -> None:
    assert monotone(before, now) == told


def test_a_core_that_is_off_has_no_samples(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    collector = CpuTimes(Roots(str(tmp_path)))
    stat.write_text("cpu0 1 1 1 1\ncpu1 1 1 1 1\n")
    assert len(samples(collector.collect())) == 8
    stat.write_text("cpu0 1 1 1 1\n")
    assert {key[1] for key in samples(collector.collect())} == {"0"}


def test_no_cpufreq() -> None:
    with pytest.raises(NoData):
        CpuFrequency(roots("vm")).collect()
