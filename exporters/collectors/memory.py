"""Memory: all of meminfo, and the counters of vmstat that tell paging and OOM kills."""

from __future__ import annotations

import re
from collections.abc import Sequence

from exporters.catalog import host
from exporters.collector import CollectorFailed, Family
from exporters.collectors.shape import single
from exporters.sources import procfs
from exporters.sources.files import Roots, read

# node_exporter's default for --collector.vmstat.fields.
VMSTAT_FIELDS = re.compile(r"^(oom_kill|pgpg|pswp|pg.*fault)")


class MemoryInfo:
    """``/proc/meminfo``."""

    def __init__(self, roots: Roots) -> None:
        self._path = roots.proc("meminfo")

    def collect(self) -> Sequence[Family]:
        fields = procfs.meminfo(read(self._path))
        if not fields:
            raise CollectorFailed(f"{self._path}: empty")
        return [single(host.memory_field(name), value) for name, value in fields.items()]


class VmStat:
    """``/proc/vmstat``."""

    def __init__(self, roots: Roots) -> None:
        self._path = roots.proc("vmstat")
        self._wanted: dict[str, bool] = {}

    def collect(self) -> Sequence[Family]:
        found = []
        for line in read(self._path).splitlines():
            name, _, value = line.partition(" ")
            wanted = self._wanted.get(name)
            if wanted is None and len(self._wanted) < 4096:
                wanted = self._wanted[name] = VMSTAT_FIELDS.match(name) is not None
            if wanted:
                found.append(single(host.vmstat_field(name), float(value)))
        return found
