"""Reading a store's file beside the aggregator that writes it: one moment of it, for as long as the reading takes.

SQLite's write-ahead log gives a read transaction the file as it was when it began, and the writer never waits for it
(https://www.sqlite.org/isolation.html). What the aggregator has not flushed yet, the last ten seconds, is not in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self, cast

from alerting.model.labels import Labels
from alerting.model.matcher import Matcher
from alerting.model.series import SeriesData
from alerting.storage.database import Database
from alerting.storage.disk import Disk
from alerting.storage.options import StoreOptions
from alerting.storage.ports import StorageError
from alerting.storage.reader import Reader
from alerting.storage.registry import Series
from alerting.storage.store import Store

BATCH_CELLS = 2_000_000  # places (rows x series) read at once: 8 bytes each, and as much again for times
_HINT = "run it as the user the aggregator runs as (sudo -u tierwatch ...)"


class Snapshot:
    """Implements ``Querier``. For one thread; ``close`` it soon: the writer's log cannot be emptied meanwhile."""

    def __init__(self, view: _View, disk: _FrozenDisk) -> None:
        """For ``Snapshot.open``."""
        self._view = view
        self._disk = disk

    @classmethod
    def open(cls, path: Path, now_ms: int, options: StoreOptions | None = None) -> Self:
        """Of ``options`` the bounds of a query and of the cache count. Raises StorageError."""
        if not path.exists():
            raise StorageError(f"{path}: no such file; --data must name the folder of an aggregator")
        disk = _FrozenDisk(path)
        try:
            view = _View(disk, options or StoreOptions())
            view.fill(now_ms)
        except BaseException:
            disk.close()
            raise
        return cls(view, disk)

    def close(self) -> None:
        self._disk.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- Querier ----------------------------------------------------------------------------------------------------

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[SeriesData]:
        """See ``Querier``."""
        return self._view.select(matchers, start_ms, end_ms)

    def series(self, matcher_sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[Labels]:
        """See ``Querier``."""
        return self._view.series(matcher_sets, start_ms, end_ms)

    # --- everything, in pieces --------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """All metric names, sorted."""
        return sorted({series.name for series in self._view.chosen([])})

    def everything(
        self, matcher_sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int
    ) -> Iterator[list[SeriesData]]:
        """The series that match any of the sets (all when empty), by metric name, then by labels, some at a time."""
        yield from self._view.everything(matcher_sets, start_ms, end_ms)

    def cells(self) -> int:
        """Places on disk (rows x series): how much ``everything`` has to read without limits, roughly."""
        return self._view.cells()


class _FrozenDisk(Disk):
    """A ``Disk`` in one read transaction. Whatever would write does nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes_written = 0
        self.moved_aside = 0
        try:
            self._reader = Reader(path)
        except StorageError as error:
            raise StorageError(f"{error}; {_HINT}") from error
        # Of the database, loading uses ``rows`` alone.
        self._database = cast(Database, self._reader)
        try:
            self._reader.rows("BEGIN")
            found = {str(name) for (name,) in self._reader.rows("SELECT name FROM sqlite_master")}
        except StorageError as error:
            self._reader.close()
            raise StorageError(f"{error}; {_HINT}") from error
        if "blocks" not in found:
            self._reader.close()
            raise StorageError(f"{path}: no store of samples")

    def delete_blocks(self, blocks: Sequence[int], series: Iterable[int] = ()) -> None:
        """Left to the aggregator."""

    def close(self) -> None:
        self._reader.close()


class _View(Store):
    """The store that lies in a file, to be read only."""

    def fill(self, now_ms: int) -> None:
        try:
            self._restore(self._disk.load(), now_ms)
        except (TypeError, ValueError) as error:
            raise StorageError(f"{self._disk.path}: cannot be read: {error}") from error

    def chosen(self, matcher_sets: Sequence[Sequence[Matcher]]) -> list[Series]:
        found = {one.id: one for matchers in (matcher_sets or [()]) for one in self._registry.resolve(matchers)}
        return sorted(found.values(), key=lambda one: (one.name, one.labels, one.id))

    def everything(
        self, matcher_sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int
    ) -> Iterator[list[SeriesData]]:
        rows = {number: self._rows(number, start_ms, end_ms) for number in self._sources}
        batch: list[Series] = []
        cells = 0
        for series in self.chosen(matcher_sets):
            begins = not batch or batch[-1].labels != series.labels  # equal label sets are merged: read them together
            if begins and batch and (cells > BATCH_CELLS or batch[-1].name != series.name):
                yield self._query.read(batch, start_ms, end_ms)
                batch, cells = [], 0
            if rows[series.source]:
                batch.append(series)
                cells += rows[series.source]
        if batch:
            yield self._query.read(batch, start_ms, end_ms)

    def cells(self) -> int:
        blocks = (block for source in self._sources.values() for block in source.blocks)
        return sum(block.count * len(block.members.ids) for block in blocks)

    def _rows(self, number: int, start_ms: int, end_ms: int) -> int:
        source = self._sources[number]
        return sum(block.count for block in source.overlapping(start_ms, end_ms)) + source.head.count
