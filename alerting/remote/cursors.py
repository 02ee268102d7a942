"""How far each source was written, durably: one row a source, saved seldom (flash is written to, too).

The samples themselves are not stored again: the own store is the queue.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from alerting.storage.database import Database

SCHEMA = """
CREATE TABLE destinations (id TEXT PRIMARY KEY, begun_ms INTEGER NOT NULL);
CREATE TABLE cursors (destination TEXT NOT NULL, source TEXT NOT NULL, acked_ms INTEGER NOT NULL,
  PRIMARY KEY (destination, source)) WITHOUT ROWID;
"""
DESTINATIONS = 8
"""So many are remembered, for one who comes back to an address."""


class Cursors:
    """Of one destination. Every method raises StorageError."""

    def __init__(self, path: Path, destination: str, now_ms: int) -> None:
        """A destination never seen before begins now."""
        self._database = Database(path, [SCHEMA], now_ms=now_ms)
        try:
            self._database.empty_if_damaged(now_ms)
            self._destination = destination
            self.begun_ms = self._begun(now_ms)
        except BaseException:
            self._database.close()
            raise

    def load(self) -> dict[str, int]:
        """Source name -> time up to which everything was taken by the other side."""
        rows = self._database.rows("SELECT source, acked_ms FROM cursors WHERE destination = ?", (self._destination,))
        return {str(source): int(acked) for source, acked in rows}

    def save(self, acked: Mapping[str, int]) -> None:
        with self._database.transaction() as connection:
            rows = ((self._destination, source, at) for source, at in acked.items())
            connection.executemany("INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)", rows)

    def start_empty(self, now_ms: int) -> None:
        """The file turned out damaged: it goes aside. This destination keeps its beginning."""
        self._database.reopen_empty(now_ms)
        self._database.execute("INSERT INTO destinations VALUES (?, ?)", (self._destination, self.begun_ms))

    def close(self) -> None:
        self._database.close()

    def _begun(self, now_ms: int) -> int:
        found = self._database.rows("SELECT begun_ms FROM destinations WHERE id = ?", (self._destination,))
        if found:  # and nothing to write, for which a full disk may have no room
            return int(found[0][0])
        with self._database.transaction() as connection:
            connection.execute("INSERT INTO destinations VALUES (?, ?)", (self._destination, now_ms))
            old = "SELECT id FROM destinations WHERE id != ? ORDER BY begun_ms DESC LIMIT -1 OFFSET ?"
            for (gone,) in connection.execute(old, (self._destination, DESTINATIONS - 1)).fetchall():
                connection.execute("DELETE FROM cursors WHERE destination = ?", (gone,))
                connection.execute("DELETE FROM destinations WHERE id = ?", (gone,))
        return now_ms
