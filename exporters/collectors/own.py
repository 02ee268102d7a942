"""The exporter itself: who it is and what it costs."""

from __future__ import annotations

import os
import resource
from collections.abc import Sequence
from dataclasses import dataclass

from exporters.catalog import own
from exporters.collector import CollectorFailed, Family
from exporters.collectors.shape import single
from exporters.sources.files import Roots, entries, read
from exporters.sources.procfs import USER_HZ, stat

_STARTTIME = 19  # field 22 of proc(5), counted from the one after the command's closing bracket
_VSIZE, _RSS = 20, 21


@dataclass(frozen=True, slots=True)
class Identity:
    """Labels of the two information metrics; ``tier`` as text."""

    node: str
    tier: str
    board: str
    version: str
    python: str


class Own:
    """Constant; no file is read."""

    def __init__(self, identity: Identity) -> None:
        self._families = (
            Family(own.BUILD_INFO, (((identity.version, identity.python), 1.0),)),
            Family(own.NODE_INFO, (((identity.node, identity.tier, identity.board), 1.0),)),
        )

    def collect(self) -> Sequence[Family]:
        return self._families


class Process:
    """``/proc/self/stat``: always the real one, whatever tree the host is read from."""

    def __init__(self) -> None:
        self._roots = Roots()
        self._boot = float(stat(read(self._roots.proc("stat"))).counters.get("btime", 0))
        self._page = os.sysconf("SC_PAGE_SIZE")

    def collect(self) -> Sequence[Family]:
        _, found, rest = read(self._roots.proc("self/stat")).rpartition(") ")
        words = rest.split()
        if not found or len(words) <= _RSS:
            raise CollectorFailed("/proc/self/stat: fewer fields than expected")
        used = resource.getrusage(resource.RUSAGE_SELF)
        readings = [
            single(own.PROCESS_CPU, used.ru_utime + used.ru_stime),
            single(own.PROCESS_RESIDENT, float(int(words[_RSS]) * self._page)),
            single(own.PROCESS_VIRTUAL, float(words[_VSIZE])),
            single(own.PROCESS_OPEN_FDS, float(len(entries("/proc/self/fd")))),
            single(own.PROCESS_MAX_FDS, float(resource.getrlimit(resource.RLIMIT_NOFILE)[0])),
        ]
        if self._boot:
            readings.append(single(own.PROCESS_START, self._boot + int(words[_STARTTIME]) / USER_HZ))
        return readings
