"""What runs here: kernel, distribution, processes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from exporters.catalog import host
from exporters.collector import CollectorFailed, Family, NoData
from exporters.collectors.shape import single, singles
from exporters.sources import procfs
from exporters.sources.files import Roots, attribute, entries, number, read, read_bytes


class Uname:
    """``/proc/sys/kernel``; the architecture has a file there since Linux 6.1, before that uname(2) tells it."""

    def __init__(self, roots: Roots, machine: str) -> None:
        """``machine``: the architecture as uname(2) gives it."""
        self._folder = roots.proc("sys/kernel")
        self._machine = machine

    def collect(self) -> Sequence[Family]:
        release = attribute(f"{self._folder}/osrelease")
        if release is None:
            raise CollectorFailed(f"{self._folder}/osrelease cannot be read")
        labels = (
            attribute(f"{self._folder}/ostype") or "Linux",
            release,
            attribute(f"{self._folder}/version") or "",
            attribute(f"{self._folder}/arch") or self._machine,
            attribute(f"{self._folder}/hostname") or "",
            attribute(f"{self._folder}/domainname") or "",
        )
        return [Family(host.UNAME_INFO, [(labels, 1.0)])]


class OsRelease:
    """os-release(5)."""

    def __init__(self, roots: Roots) -> None:
        self._paths = (roots.root("etc/os-release"), roots.root("usr/lib/os-release"))

    def collect(self) -> Sequence[Family]:
        try:
            text = read(self._paths[0])
        except NoData:
            text = read(self._paths[1])
        known = procfs.os_release(text)
        labels = tuple(known.get(name.upper(), "") for name in host.OS_INFO_LABELS)
        found = [Family(host.OS_INFO, [(labels, 1.0)])]
        if version := re.match(r"\d+(\.\d+)?", known.get("VERSION_ID", "")):
            identity = tuple(known.get(name, "") for name in ("ID", "ID_LIKE", "NAME"))
            found.append(Family(host.OS_VERSION, [(identity, float(version[0]))]))
        return found


class Processes:
    """One read of ``/proc/PID/stat`` for each process."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots

    def collect(self) -> Sequence[Family]:
        states: Counter[str] = Counter()
        threads = 0
        for name in entries(self._roots.procfs):
            if not name.isdigit():
                continue
            try:
                text = read_bytes(self._roots.proc(f"{name}/stat")).decode("utf-8", "replace")
            except OSError:
                continue  # it ended since the listing
            process = procfs.process(text)
            if process is not None:
                states[process[0]] += 1
                threads += process[1]
        if not states:
            raise CollectorFailed(f"no process in {self._roots.procfs} can be read")
        return [
            single(host.PROCESSES_PIDS, float(states.total())),
            single(host.PROCESSES_THREADS, float(threads)),
            Family(host.PROCESSES_STATE, [((state,), float(count)) for state, count in sorted(states.items())]),
            *singles(
                (
                    (host.PROCESSES_MAX_THREADS, number(self._roots.proc("sys/kernel/threads-max"))),
                    (host.PROCESSES_MAX, number(self._roots.proc("sys/kernel/pid_max"))),
                )
            ),
        ]
