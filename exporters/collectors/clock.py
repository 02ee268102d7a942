"""The time this node believes in, and whether anything keeps it right."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence

from exporters.catalog import clock, host
from exporters.collector import Family
from exporters.collectors.shape import Row, families, single
from exporters.sources.adjtimex import ClockState, clock_state
from exporters.sources.files import Roots, attribute, entries

_PPM16 = 1e6 * 65536  # frequencies of adjtimex(2) are in 2^-16 parts per million


class Time:
    """Wall clock, time zone, clock sources."""

    def __init__(self, roots: Roots, wall: Callable[[], float]) -> None:
        self._folder = roots.sys("devices/system/clocksource")
        self._wall = wall

    def collect(self) -> Sequence[Family]:
        now = self._wall()
        local = time.localtime(now)
        available: list[Row] = []
        current: list[Row] = []
        for name in entries(self._folder):
            device = re.fullmatch(r"clocksource(\d+)", name)
            if device is None:
                continue
            sources = (attribute(f"{self._folder}/{name}/available_clocksource") or "").split()
            available += [((device[1], source), 1.0) for source in sources]
            if in_use := attribute(f"{self._folder}/{name}/current_clocksource"):
                current.append(((device[1], in_use), 1.0))
        return [
            single(host.TIME, now),
            Family(host.TIME_ZONE_OFFSET, [((local.tm_zone,), float(local.tm_gmtoff))]),
            *families({host.CLOCKSOURCE_AVAILABLE: available, host.CLOCKSOURCE_CURRENT: current}),
        ]


class Timex:
    """The kernel's clock discipline. ``sync_status`` is 1 once an NTP client keeps the clock (chrony, timesyncd)."""

    def __init__(self, read: Callable[[], ClockState] = clock_state) -> None:
        self._read = read

    def collect(self) -> Sequence[Family]:
        state = self._read()
        return [
            single(metric, float(value))
            for metric, value in (
                (clock.SYNC_STATUS, 1.0 if state.synchronized else 0.0),
                (clock.OFFSET, state.offset / state.unit),
                (clock.FREQUENCY, 1 + state.freq / _PPM16),
                (clock.MAXERROR, state.maxerror / 1e6),
                (clock.ESTERROR, state.esterror / 1e6),
                (clock.STATUS, state.status),
                (clock.CONSTANT, state.constant),
                (clock.TICK, state.tick / 1e6),
                (clock.PPS_FREQUENCY, state.ppsfreq / _PPM16),
                (clock.PPS_JITTER, state.jitter / state.unit),
                (clock.PPS_SHIFT, state.shift),
                (clock.PPS_STABILITY, state.stabil / _PPM16),
                (clock.PPS_JITTER_COUNT, state.jitcnt),
                (clock.PPS_CALIBRATION_COUNT, state.calcnt),
                (clock.PPS_ERROR_COUNT, state.errcnt),
                (clock.PPS_STABILITY_COUNT, state.stbcnt),
                (clock.TAI_OFFSET, state.tai),
            )
        ]
