"""Who writes into a data folder: one program at a time, and the file ``lock`` says which.

The kernel's lock on that file counts, not what stands in it: it ends with the process, however that ends.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from alerting.storage.ports import StorageError

LOCK = "lock"
Writer = Literal["aggregator", "import"]
_WRITERS: tuple[Writer, ...] = ("aggregator", "import")


class InUse(StorageError):
    """Another program writes into the folder. ``writer``: its kind, None when the file does not say."""

    def __init__(self, data: Path, refused: Writer) -> None:
        self.writer = writer_named(data / LOCK)
        process = f" (process {number})" if (number := _words(data / LOCK)[1]).isdigit() else ""
        which = "another" if self.writer in (refused, None) else "an"
        named = f"{which} {self.writer or 'program'}{process}"
        super().__init__(f"{data}: {named} uses this folder")


def writer_named(lock: Path) -> Writer | None:
    """Who took the lock last, as the file says."""
    kind = _words(lock)[0]
    return next((writer for writer in _WRITERS if writer == kind), None)


@contextmanager
def alone(data: Path, writer: Writer) -> Iterator[None]:
    """Nobody else writes to the folder meanwhile. Raises InUse, and StorageError when the folder cannot be used."""
    try:
        # Not opened for writing: that would take away what the one who holds it wrote.
        file = os.open(data / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise StorageError(f"{data}: cannot be used as data folder: {error.strerror or error}") from error
    try:
        _take(file, data, writer)
        yield
    finally:
        os.close(file)


def _take(file: int, data: Path, writer: Writer) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InUse(data, writer) from None
    except OSError as error:
        raise StorageError(f"{data}: cannot be used as data folder: {error.strerror or error}") from error
    with suppress(OSError):  # a full disk: the lock holds without a name
        os.ftruncate(file, 0)
        os.pwrite(file, f"{writer} {os.getpid()}\n".encode(), 0)


def _words(lock: Path) -> tuple[str, str]:
    try:
        with lock.open("rb") as file:
            kind, _, process = file.read(100).decode("ascii", "replace").strip().partition(" ")
    except OSError:
        return "", ""
    return kind, process
