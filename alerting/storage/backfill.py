"""Putting samples of any time into a store that no aggregator is using.

They become blocks of sources of their own (``import/0`` ...), each commit whole or not at all. What the store has at a
time already stays, and what comes in is left out there: so the same data twice changes nothing, and a run that ended in
the middle is simply run again.
"""

from __future__ import annotations

import logging
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from alerting.model.labels import Labels
from alerting.model.series import SeriesData
from alerting.storage.blocks import make_block
from alerting.storage.disk import Disk, NewBlock, _insert, _texts
from alerting.storage.options import IMPORTED, StoreOptions
from alerting.storage.ports import StorageError
from alerting.storage.rectangles import rectangles, tables
from alerting.storage.registry import Series
from alerting.storage.store import Store

log = logging.getLogger(__name__)

MOST_READ = 2_000_000  # places (rows x series) of the store looked at at once
LANES = 256  # sources of imported blocks; two rectangles of one window lie in different ones


@dataclass(frozen=True, slots=True)
class Written:
    """Numbers of samples: stored now, there already, and of series that were one too many."""

    stored: int = 0
    known: int = 0
    refused: int = 0

    def __add__(self, other: Written) -> Written:
        return Written(self.stored + other.stored, self.known + other.known, self.refused + other.refused)


class Backfill:
    """The caller sees to it that nobody else has the store open. Raises StorageError, as a store does."""

    def __init__(self, store: _Store) -> None:
        """For ``Backfill.open``."""
        self._store = store

    @classmethod
    def open(cls, path: Path, options: StoreOptions, now_ms: int) -> Self:
        disk = _Disk(path, now_ms)
        try:
            store = _Store(disk, options)
            store.fill(disk, now_ms)
        except BaseException:
            disk.close()
            raise
        return cls(store)

    def write(self, runs: Sequence[SeriesData]) -> Written:
        """Samples of one window (``block_ms`` long, aligned to the epoch), each label set once; durable on return."""
        return self._store.backfill(runs)

    def file_bytes(self) -> int:
        """What is in use of the database file."""
        return self._store.used_bytes()

    def close(self) -> None:
        self._store.let_go()


class _Disk(Disk):
    def write_backfill(self, blocks: Sequence[NewBlock], series: Sequence[Series], sources: dict[int, str]) -> None:
        """Blocks with the series and sources they are the first to speak of."""
        with self._database.transaction() as connection:
            connection.executemany("INSERT OR IGNORE INTO sources (id, name) VALUES (?, ?)", sources.items())
            connection.executemany("INSERT OR REPLACE INTO series VALUES (?, ?, ?)", _texts(series))
            for new in blocks:
                _insert(connection, new)
        self._log_bytes += sum(new.block.bytes for new in blocks)
        self.checkpoint()


class _Store(Store):
    def fill(self, disk: _Disk, now_ms: int) -> None:
        loaded = disk.load_or_start_empty(now_ms)
        self._restore(loaded, now_ms)
        self._to = disk
        self._next_block = loaded.next_block
        self._new_sources: dict[int, str] = {}
        self._known: dict[Labels, list[Series]] = {}
        for series in self._registry.resolve([]):
            self._known.setdefault(series.labels, []).append(series)

    def let_go(self) -> None:
        """Nothing of the heads has changed, so nothing of them is written."""
        self._to.close()

    def used_bytes(self) -> int:
        return self._to.used_bytes()

    def backfill(self, runs: Sequence[SeriesData]) -> Written:
        total = sum(len(run.times) for run in runs)
        fresh = self._without_known(runs)
        kept = sum(len(run.times) for run in fresh)
        blocks: list[NewBlock] = []
        new_series: list[Series] = []
        refused = 0
        taken: set[int] = set()
        by_target: dict[tuple[str, str], list[SeriesData]] = {}
        for run in fresh:
            by_target.setdefault((run.labels.get("job"), run.labels.get("instance")), []).append(run)
        for target, its in by_target.items():
            for rectangle in rectangles(its):
                lane = self._lane(target, [its[place].labels for place in rectangle.members], taken)
                taken.add(lane)
                for members, times, values in tables(rectangle, its):
                    ids = [self._series_id(lane, its[place].labels, new_series) for place in members]
                    places = [(series_id, row) for row, series_id in enumerate(ids) if series_id is not None]
                    refused += sum(len(its[p].times) for p, i in zip(members, ids, strict=True) if i is None)
                    if not places:
                        continue
                    places.sort()
                    rows = np.array([row for _, row in places], np.intp)
                    new = make_block(
                        block_id=self._next_block,
                        source=lane,
                        level=1,
                        times=times,
                        ids=np.array([series_id for series_id, _ in places], np.uint32),
                        values=np.ascontiguousarray(values[rows]),
                        name_of=self._name_of,
                    )
                    if new is not None:
                        self._next_block += 1
                        blocks.append(new)
        if blocks:
            self._to.write_backfill(blocks, new_series, self._new_sources)
            self._take_in(blocks, new_series)
        return Written(kept - refused, total - kept, refused)

    def _without_known(self, runs: Sequence[SeriesData]) -> list[SeriesData]:
        """What the store has no sample for at the same time."""
        fresh = []
        for part in self._readable(runs):
            there = [series for run in part for series in self._known.get(run.labels, ())]
            start_ms = min(int(run.times[0]) for run in part)
            end_ms = max(int(run.times[-1]) for run in part)
            found = {data.labels: data.times for data in self._query.read(there, start_ms, end_ms)} if there else {}
            for run in part:
                times = found.get(run.labels)
                if times is None:
                    fresh.append(run)
                    continue
                new = ~np.isin(run.times, times, assume_unique=True)
                if new.any():
                    fresh.append(SeriesData(run.labels, run.times[new], run.values[new]))
        return fresh

    def _readable(self, runs: Sequence[SeriesData]) -> Iterator[list[SeriesData]]:
        """Some runs at a time, so that what the store has of them is read within bounds."""
        start_ms = min((int(run.times[0]) for run in runs), default=0)
        end_ms = max((int(run.times[-1]) for run in runs), default=0)
        rows: dict[int, int] = {}
        part: list[SeriesData] = []
        cells = 0
        for run in runs:
            for series in self._known.get(run.labels, ()):
                if series.source not in rows:
                    blocks = self._sources[series.source].overlapping(start_ms, end_ms)
                    rows[series.source] = sum(block.count for block in blocks)
                cells += rows[series.source]
            part.append(run)
            if cells > MOST_READ:
                yield part
                part, cells = [], 0
        if part:
            yield part

    def _lane(self, target: tuple[str, str], labels: Iterable[Labels], taken: set[int]) -> int:
        """The source for a rectangle: where most of its series have been before, else one by the target's name."""
        before: Counter[int] = Counter()
        for one in labels:
            before.update(series.source for series in self._known.get(one, ()) if self._is_lane(series.source))
        for source, _ in before.most_common():
            if source not in taken:
                return source
        first = zlib.crc32("\xff".join(target).encode("utf-8", "replace")) % LANES
        for step in range(LANES):
            source = self._lane_id((first + step) % LANES)
            if source not in taken:
                break
        return source

    def _is_lane(self, source: int) -> bool:
        return self._sources[source].name.startswith(IMPORTED)

    def _lane_id(self, number: int) -> int:
        name = f"{IMPORTED}{number}"
        found = self._by_name.get(name)
        if found is not None:
            return found.id
        source = max(self._sources, default=0) + 1
        self._add_source(source, name, self._head(source))
        self._new_sources[source] = name
        return source

    def _series_id(self, source: int, labels: Labels, new: list[Series]) -> int | None:
        """None when there are as many series as there may be."""
        for series in self._known.get(labels, ()):
            if series.source == source:
                return series.id
        try:
            series_id = self._registry.add(source, labels)
        except StorageError as error:
            log.debug("%s", error)
            return None
        series = Series(series_id, source, labels, labels.metric_name)
        self._known.setdefault(labels, []).append(series)
        new.append(series)
        return series_id

    def _name_of(self, series_id: int) -> str:
        series = self._registry.get(series_id)
        return series.name if series is not None else ""

    def _take_in(self, blocks: Sequence[NewBlock], series: Sequence[Series]) -> None:
        """What is on disk now is found by the queries that look for samples that are there already."""
        self._registry.saved(series)
        self._new_sources = {}
        by_source: dict[int, list[NewBlock]] = {}
        for new in blocks:
            by_source.setdefault(new.block.source, []).append(new)
        for number, its in by_source.items():
            source = self._sources[number]
            merged = sorted([*source.blocks, *(new.block for new in its)], key=lambda block: block.start_ms)
            source.set_blocks(merged)


__all__ = ["Backfill", "Written"]
