"""The data folder of an aggregator: its files, and who may write to it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alerting.storage.ports import StorageError

DEFAULT = Path("/var/lib/tierwatch")
SAMPLES = "metrics.db"
DATABASES = (SAMPLES, "states.db", "alerts.db", "remote.db")  # those that are there
LOCK = "lock"


@contextmanager
def alone(data: Path) -> Iterator[None]:
    """Nobody else writes to the folder meanwhile. Raises StorageError when an aggregator does."""
    try:
        with (data / LOCK).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StorageError(
                    f"{data}: an aggregator is using this folder, and an import has to be alone. Stop it, import, and "
                    "start it again:\n  sudo systemctl stop tierwatch-aggregator"
                ) from None
            yield
    except OSError as error:
        raise StorageError(f"{data}: cannot be used as data folder: {error.strerror or error}") from error


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
        return any(place in line.split() for line in Path("/proc/locks").read_text(encoding="ascii").splitlines())
    except (OSError, ValueError):
        return False


def missing(data: Path) -> str:
    """What of a running aggregator's samples is not on disk yet, as a line; nothing for one that is stopped."""
    return (
        "not in it: what the running aggregator has yet to write to disk, the last ten seconds\n"
        if in_use(data)
        else ""
    )
