"""The data folder of an aggregator: its files, and who uses it."""

from __future__ import annotations

import os
from pathlib import Path

from alerting.storage.lock import LOCK, writer_named

DEFAULT = Path("/var/lib/tierwatch")
SAMPLES = "metrics.db"
DATABASES = (SAMPLES, "states.db", "alerts.db", "remote.db")  # those that are there


def as_its_owner(data: Path) -> None:
    """What root puts into the folder must belong to the user whose folder it is: from here on, be that user."""
    if os.geteuid() == 0:
        owner = data.stat()
        os.setegid(owner.st_gid)
        os.seteuid(owner.st_uid)


def in_use(data: Path) -> bool:
    """Whether an aggregator runs on the folder. Found without trying its lock, which could keep one from starting."""
    try:
        found = (data / LOCK).stat()
        place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
        if not any(place in line.split() for line in Path("/proc/locks").read_text(encoding="ascii").splitlines()):
            return False
        return writer_named(data / LOCK) != "import"
    except (OSError, ValueError):
        return False


def missing(data: Path) -> str:
    """What of a running aggregator's samples is not on disk yet, as a line; nothing for one that is stopped."""
    return (
        "not in it: what the running aggregator has yet to write to disk, the last ten seconds\n"
        if in_use(data)
        else ""
    )
