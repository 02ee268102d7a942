"""CPU time and clock of every core."""

from __future__ import annotations

import re
from collections.abc import Sequence

from exporters.catalog import host
from exporters.catalog.metric import Metric
from exporters.collector import Family, NoData
from exporters.collectors.shape import Row, families
from exporters.sources import procfs
from exporters.sources.files import Roots, attribute, entries, number, read

MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_GUEST = 8  # columns 8 and 9: guest, guest_nice

# A core that comes back after being switched off starts its counters again; less than this is a kernel's rounding.
RESET_TICKS = 3 * procfs.USER_HZ

_CORE = re.compile(r"cpu(\d+)")


class CpuTimes:
    """``/proc/stat``. The kernel lets idle and iowait run backwards a little now and then (proc(5)); a counter must
    not, or ``rate()`` takes it for a restart: a small step back keeps the old value, a large one is believed."""

    def __init__(self, roots: Roots) -> None:
        self._path = roots.proc("stat")
        self._last: dict[str, list[int]] = {}

    def collect(self) -> Sequence[Family]:
        cpus = procfs.stat(read(self._path)).cpus
        self._last = {cpu: monotone(self._last.get(cpu), ticks) for cpu, ticks in cpus.items()}
        seconds: list[Row] = []
        guests: list[Row] = []
        for cpu, ticks in self._last.items():
            for mode, value in zip(MODES, ticks, strict=False):
                seconds.append(((cpu, mode), value / procfs.USER_HZ))
            for mode, value in zip(("user", "nice"), ticks[_GUEST:], strict=False):
                guests.append(((cpu, mode), value / procfs.USER_HZ))
        return families({host.CPU_SECONDS: seconds, host.CPU_GUEST_SECONDS: guests})


def monotone(before: list[int] | None, now: list[int]) -> list[int]:
    """The counters to tell, given those told last."""
    if before is None or len(before) != len(now) or any(b - n > RESET_TICKS for b, n in zip(before, now, strict=True)):
        return now
    return [max(b, n) for b, n in zip(before, now, strict=True)]


# Attribute of /sys/devices/system/cpu/cpuN/cpufreq (kHz) -> metric. cpuinfo_cur_freq is for root only.
_FREQUENCIES: tuple[tuple[str, Metric], ...] = (
    ("cpuinfo_cur_freq", host.CPU_FREQUENCY),
    ("cpuinfo_min_freq", host.CPU_FREQUENCY_MIN),
    ("cpuinfo_max_freq", host.CPU_FREQUENCY_MAX),
    ("scaling_cur_freq", host.CPU_SCALING),
    ("scaling_min_freq", host.CPU_SCALING_MIN),
    ("scaling_max_freq", host.CPU_SCALING_MAX),
)


class CpuFrequency:
    """cpufreq of every core (Documentation/admin-guide/pm/cpufreq.rst)."""

    def __init__(self, roots: Roots) -> None:
        self._folder = roots.sys("devices/system/cpu")

    def collect(self) -> Sequence[Family]:
        rows: dict[Metric, list[Row]] = {metric: [] for _, metric in _FREQUENCIES}
        rows[host.CPU_GOVERNOR] = []
        for name in entries(self._folder):
            core = _CORE.fullmatch(name)
            if core is None:
                continue
            policy = f"{self._folder}/{name}/cpufreq"
            for file, metric in _FREQUENCIES:
                kilohertz = number(f"{policy}/{file}")
                if kilohertz is not None:
                    rows[metric].append(((core[1],), kilohertz * 1000))
            if governor := attribute(f"{policy}/scaling_governor"):
                rows[host.CPU_GOVERNOR].append(((core[1], governor), 1.0))
        found = families(rows)
        if not found:
            raise NoData("no cpufreq")
        return found
