"""Load, pressure, interrupts, processes to run, file handles, entropy."""

from __future__ import annotations

from collections.abc import Sequence

from exporters.catalog import host
from exporters.collector import CollectorFailed, Family, NoData
from exporters.collectors.shape import single, singles
from exporters.sources import procfs
from exporters.sources.files import Roots, number, read

_COUNTERS = {
    "intr": host.INTERRUPTS,
    "ctxt": host.CONTEXT_SWITCHES,
    "processes": host.FORKS,
    "btime": host.BOOT_TIME,
    "procs_running": host.PROCS_RUNNING,
    "procs_blocked": host.PROCS_BLOCKED,
}


class LoadAverage:
    """``/proc/loadavg``."""

    def __init__(self, roots: Roots) -> None:
        self._path = roots.proc("loadavg")

    def collect(self) -> Sequence[Family]:
        one, five, fifteen = procfs.loadavg(read(self._path))
        return [single(host.LOAD1, one), single(host.LOAD5, five), single(host.LOAD15, fifteen)]


class KernelCounters:
    """The lines of ``/proc/stat`` that are not about a core."""

    def __init__(self, roots: Roots) -> None:
        self._path = roots.proc("stat")

    def collect(self) -> Sequence[Family]:
        counters = procfs.stat(read(self._path)).counters
        return singles((metric, counters.get(name)) for name, metric in _COUNTERS.items())


class Pressure:
    """Pressure stall information; off in some kernels (Raspberry Pi OS needs ``psi=1`` on the kernel command line)."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots

    def collect(self) -> Sequence[Family]:
        found: list[Family] = []
        for resource in ("cpu", "io", "memory", "irq"):
            try:
                text = read(self._roots.proc(f"pressure/{resource}"))
            except NoData:
                continue
            except CollectorFailed as error:
                # Built in but switched off at boot: the files are there and answer EOPNOTSUPP.
                raise NoData(str(error)) from error
            totals = procfs.pressure(text)
            found += singles(
                (metric, totals.get(kind)) for (name, kind), metric in host.PRESSURE.items() if name == resource
            )
        if not found:
            raise NoData("no pressure stall information")
        return found


class FileHandles:
    """``/proc/sys/fs/file-nr``: allocated, free (always 0), maximum."""

    def __init__(self, roots: Roots) -> None:
        self._path = roots.proc("sys/fs/file-nr")

    def collect(self) -> Sequence[Family]:
        words = read(self._path).split()
        if len(words) != 3:
            raise CollectorFailed(f"{self._path}: expected three numbers, found {' '.join(words)[:40]!r}")
        return [single(host.FILEFD_ALLOCATED, float(words[0])), single(host.FILEFD_MAXIMUM, float(words[2]))]


class Entropy:
    """The random pool."""

    def __init__(self, roots: Roots) -> None:
        self._folder = roots.proc("sys/kernel/random")

    def collect(self) -> Sequence[Family]:
        found = singles(
            (
                (host.ENTROPY_AVAILABLE, number(f"{self._folder}/entropy_avail")),
                (host.ENTROPY_POOL_SIZE, number(f"{self._folder}/poolsize")),
            )
        )
        if not found:
            raise NoData(f"{self._folder}: not there")
        return found
