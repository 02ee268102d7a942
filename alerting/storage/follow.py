"""Reading a store's samples source by source in the order they came, for those who pass them on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alerting.model.series import ABSENT_BITS, SeriesData
from alerting.storage.options import IMPORTED
from alerting.storage.registry import Series
from alerting.storage.store import Store


@dataclass(frozen=True, slots=True)
class Position:
    """How far a source has come: the time of its last frame, and of the first one since the clock was last set back
    (that is still in memory)."""

    source: str
    last_ms: int
    since_ms: int


class Follower:
    """Imported sources are left out: they have no order. Any thread may call; ``read`` blocks on the disk."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._version = -1
        self._series: dict[int, list[Series]] = {}

    def positions(self) -> list[Position]:
        """Every source that has a frame."""
        found = []
        for source in list(self._store._sources.values()):
            head = source.head
            with head.lock:
                last_ms, rows = head.last_ms, head.rows_now()
            if last_ms is not None and not source.name.startswith(IMPORTED):
                since_ms = int(rows.times[0]) if len(rows.times) else last_ms
                found.append(Position(source.name, last_ms, since_ms))
        return found

    def first_ms(self, name: str) -> int | None:
        """The time of the first frame that is kept of a source."""
        source = self._store._by_name.get(name)
        if source is None:
            return None
        with source.head.lock:
            rows = source.head.oldest()
            starts = [block.start_ms for block in source.blocks]
        return min([*starts, *rows.times[:1].tolist()], default=None)

    def read(self, name: str, after_ms: int, until_ms: int) -> list[SeriesData]:
        """A source's samples with after < time <= until, staleness markers included. Raises StorageError."""
        source = self._store._by_name.get(name)
        if source is None or until_ms <= after_ms:
            return []
        series = self._series_of(source.id)
        return self._store._query.read_source(source, series, after_ms + 1, until_ms) if series else []

    def count(self, name: str, after_ms: int, until_ms: int) -> int:
        """How many samples ``read`` would give, at most, without reading the disk."""
        source = self._store._by_name.get(name)
        if source is None or until_ms <= after_ms:
            return 0
        with source.head.lock:
            blocks = source.overlapping(after_ms + 1, until_ms)
            rows = source.head.rows_now().within(after_ms + 1, until_ms)
        given = int(np.count_nonzero(rows.values.view(np.int64) != ABSENT_BITS))
        for block in blocks:
            inside = min(block.end_ms, until_ms) - max(block.start_ms, after_ms)
            share = min(inside / max(block.end_ms - block.start_ms, 1), 1.0)
            given += round(share * block.count) * len(block.members.ids)
        return given

    def _series_of(self, source: int) -> list[Series]:
        registry = self._store._registry
        version = registry.version
        if version != self._version:
            by_source: dict[int, list[Series]] = {}
            for one in registry.resolve(()):
                by_source.setdefault(one.source, []).append(one)
            self._series, self._version = by_source, version
        return self._series.get(source, [])
