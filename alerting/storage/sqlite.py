"""The door to sqlite3 itself: its errors as ours, and ways to open a file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from alerting.storage.ports import StorageError

BUSY_TIMEOUT_S = 10.0
_SIDE_BYTES = 64 * 1024
SIDE_FILES = ("-wal", "-shm", "-journal")
# Primary result codes, https://www.sqlite.org/rescode.html.
DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
# A disk that takes nothing: full, broken, or mounted read-only after an error.
FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN})


class DatabaseDamaged(StorageError):
    """The file is no usable SQLite database (any more)."""


def to_read(path: Path) -> sqlite3.Connection:
    """A connection that only reads, beside whoever writes. Where the disk has no room for the index of the log, a file
    that was closed well is read as it is. Raises StorageError."""
    with our_errors(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro",
            uri=True,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
        )
    try:
        connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.Error as error:  # what is damaged is for the reader to find out
        if primary(error) in FULL and path.is_file() and not has_log(path):
            connection.close()
            return as_it_is(path)
    return connection


def as_it_is(path: Path) -> sqlite3.Connection:
    """A connection that needs no file beside the database's, and sees no log: https://sqlite.org/uri.html, "immutable".
    Right while nobody writes. Raises StorageError."""
    with our_errors(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?immutable=1", uri=True, isolation_level=None, check_same_thread=False
        )
    connection.text_factory = text
    return connection


def has_room(path: Path) -> bool:
    """Whether the disk has room for the files that SQLite needs beside a database."""
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return True
    return disk.f_bavail * disk.f_frsize >= _SIDE_BYTES and (disk.f_favail > 0 or not disk.f_files)


def has_log(path: Path) -> bool:
    """Whether there is something that is not in the database's file yet. Raises StorageError."""
    try:
        return path.with_name(path.name + "-wal").stat().st_size > 0
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}") from error


def text(data: bytes) -> str:
    """Text whose bytes were damaged is for the reader to judge, not a reason to fail."""
    return data.decode("utf-8", "replace")


def primary(error: BaseException) -> int | None:
    """SQLite's primary result code; the low byte of the extended one."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


@contextmanager
def our_errors(path: Path, damaged: Collection[int] = DAMAGED) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:  # SQLite quotes the damaged schema in its message
        raise DatabaseDamaged(f"{path}: text that is no UTF-8") from error
    except sqlite3.Error as error:
        if primary(error) in damaged:
            raise DatabaseDamaged(f"{path}: {error}") from error
        raise StorageError(f"{path}: {error}") from error
