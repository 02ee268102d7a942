"""A database copied while another process writes to it: SQLite's online backup, of one moment.

The read transaction is opened first, so the copy never starts over because of a write
(https://www.sqlite.org/backup.html), and several databases can be held at the same moment.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from alerting.storage.ports import StorageError
from alerting.storage.reader import Reader
from alerting.storage.sqlite import DatabaseDamaged, our_errors, to_read

PAGES_AT_ONCE = 256  # 1 MiB between two reports


class Held:
    """One moment of a database; ``bytes`` is its size. Every method raises StorageError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = to_read(path)
        try:
            with our_errors(path):
                self._connection.execute("BEGIN")
                self._connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
                ((pages,),) = self._connection.execute("PRAGMA page_count").fetchall()
                ((size,),) = self._connection.execute("PRAGMA page_size").fetchall()
        except BaseException:
            self._connection.close()
            raise
        self.bytes = int(pages) * int(size)

    def copy(self, target: Path, tell: Callable[[float], None]) -> None:
        """To a new file, durable on return; ``tell`` hears the share that is done."""
        with our_errors(target):
            copied = sqlite3.connect(target, isolation_level=None)
        try:
            with our_errors(target):
                copied.execute("PRAGMA synchronous=OFF")  # durable at the end, not page by page
                self._connection.backup(
                    copied, pages=PAGES_AT_ONCE, progress=lambda _, left, all_: tell(1 - left / max(all_, 1))
                )
        finally:
            copied.close()
        with target.open("r+b") as file:
            os.fsync(file.fileno())

    def close(self) -> None:
        self._connection.close()


def verify(path: Path) -> None:
    """Read all of a database. Raises DatabaseDamaged (or StorageError) when anything in it is wrong."""
    reader = Reader(path)
    try:
        found = reader.rows("PRAGMA integrity_check(1)")
    finally:
        reader.close()
    if found != [("ok",)]:
        raise DatabaseDamaged(f"{path}: {' '.join(str(found[0][0]).split()) if found else 'cannot be checked'}")


__all__ = ["Held", "StorageError", "verify"]
