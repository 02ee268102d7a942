"""Reading a database beside whoever writes it, also one that is damaged."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from alerting.storage.database import Database
from alerting.storage.ports import StorageError
from alerting.storage.sqlite import as_it_is, our_errors, text, to_read

UNREADABLE = 2000  # rows of a damaged table that are looked for in vain before the rest is given up


class Reader:
    """A second connection that only reads, beside a ``Database``: any thread, one at a time, never behind a writer."""

    def __init__(self, path: Path, *, damaged: bool = False, beside: Database | None = None) -> None:
        """``damaged``: read what can be read of a file that was cut short. ``beside``: whoever writes it; while that
        one can only read, so does this."""
        self.path = path
        self._lock = threading.Lock()
        self._beside = beside
        self._as_it_is = beside is not None and beside.read_only
        self._connection = as_it_is(path) if self._as_it_is else to_read(path)
        if damaged:
            self._connection.text_factory = text
            with suppress(StorageError):  # pages beyond the file's end are then an error of their own
                self.rows("PRAGMA writable_schema=ON")

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and fetch everything. Raises StorageError."""
        with self._lock, our_errors(self.path):
            if self._as_it_is and self._beside is not None and not self._beside.read_only:
                self._connection.close()
                self._connection = to_read(self.path)
                self._as_it_is = False
            return self._connection.execute(sql, parameters).fetchall()

    def readable(self, table: str, key: str, columns: Sequence[str]) -> tuple[list[tuple[Any, ...]], int]:
        """The rows of a damaged file's table that can be read, by ascending key, and how many tries found nothing:
        ranges that fail are halved until what fails is one row."""
        found: list[tuple[Any, ...]] = []
        lost = 0
        between = f"SELECT {', '.join(columns)} FROM {table} WHERE {key} BETWEEN ? AND ? ORDER BY {key}"  # noqa: S608
        ranges = [self._range(table, key)]
        while ranges and lost < UNREADABLE:
            low, high = ranges.pop()
            try:
                found += self.rows(between, (low, high))
            except StorageError:
                if low >= high:
                    lost += 1
                    continue
                middle = (low + high) // 2
                ranges += [(middle + 1, high), (low, middle)]
        return found, lost

    def _range(self, table: str, key: str) -> tuple[int, int]:
        ends = []
        for which, otherwise in (("min", 0), ("max", 1 << 24)):
            try:
                ((end,),) = self.rows(f"SELECT {which}({key}) FROM {table}")  # noqa: S608 - our own names
            except StorageError:
                end = otherwise
            ends.append(end if isinstance(end, int) else 0)
        return ends[0], ends[1]

    def close(self) -> None:
        with self._lock, our_errors(self.path):
            self._connection.close()
