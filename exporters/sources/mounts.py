"""Mounted file systems: the table, and asking each for its size without waiting for a dead one.

``statvfs`` on a dead NFS server or a stopped FUSE process sleeps in the kernel where nothing can wake it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from exporters.lanes import Lanes, Stuck


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of ``/proc/1/mounts``."""

    device: str
    mountpoint: str
    fstype: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes and inodes. ``available`` is what users other than root may still write."""

    size: int
    free: int
    available: int
    files: int
    files_free: int


Statvfs = Callable[[str], os.statvfs_result]


def parse_mounts(text: str) -> list[Mount]:
    """fstab(5) format: white space, ``#`` and backslash in a field are written as three octal digits."""
    mounts = []
    for line in text.splitlines():
        words = line.split(" ")
        if len(words) >= 4:
            options = words[3].split(",")
            mounts.append(Mount(unescape(words[0]), unescape(words[1]), words[2], "ro" in options))
    return mounts


def unescape(field: str) -> str:
    """Undo ``\\040`` and its kin."""
    if "\\" not in field:
        return field
    head, *rest = field.split("\\")
    out = [head]
    for part in rest:
        octal = part[:3]
        if len(octal) == 3 and all(digit in "01234567" for digit in octal):
            out.append(chr(int(octal, 8)) + part[3:])
        else:
            out.append("\\" + part)
    return "".join(out)


class Asker:
    """Asks mounts for their usage; a stuck one costs its own answer only, see ``exporters.lanes``."""

    def __init__(self, deadline: float = 0.5, statvfs: Statvfs = os.statvfs) -> None:
        """``deadline``: seconds that one round of questions may take together."""
        self._deadline = deadline
        self._statvfs = statvfs
        self._lanes: Lanes[Usage] = Lanes("statvfs")

    @property
    def in_flight(self) -> frozenset[str]:
        """Paths with an unanswered question."""
        return self._lanes.in_flight

    def ask(self, paths: Iterable[str]) -> dict[str, Usage | Stuck | Exception]:
        """Usage of every path, the error it gave, or Stuck."""
        return self._lanes.run({path: partial(self._question, path) for path in paths}, self._deadline)

    def _question(self, path: str) -> Usage:
        return usage(self._statvfs(path))


def usage(answer: os.statvfs_result) -> Usage:
    """``f_frsize`` is the unit of the block counts (statvfs(3))."""
    unit = answer.f_frsize
    return Usage(
        size=answer.f_blocks * unit,
        free=answer.f_bfree * unit,
        available=answer.f_bavail * unit,
        files=answer.f_files,
        files_free=answer.f_ffree,
    )
