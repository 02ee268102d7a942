"""A store in memory for runs that leave nothing behind: rule tests."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np

from alerting.model.labels import METRIC_NAME, Labels
from alerting.model.matcher import Matcher, all_match
from alerting.model.series import STALE, FloatArray, SeriesData, is_absent
from alerting.storage.ports import FrameWriter


class _Samples:
    __slots__ = ("labels", "plain", "times", "values")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.plain = labels.as_dict()
        self.times: list[int] = []
        self.values: list[float] = []


class ScratchStorage:
    """Keeps everything it is given as long as it lives."""

    def __init__(self) -> None:
        self._series: dict[Labels, _Samples] = {}
        self._by_name: dict[str, list[_Samples]] = {}
        self._sources: dict[str, ScratchWriter] = {}

    def put(self, labels: Labels, time_ms: int, value: float) -> None:
        """Add a sample; one that is not after the series' last replaces it."""
        kept = self._of(labels)
        if kept.times and kept.times[-1] >= time_ms:
            kept.values[-1] = value
        else:
            kept.times.append(time_ms)
            kept.values.append(value)

    def _of(self, labels: Labels) -> _Samples:
        if labels not in self._series:
            self._series[labels] = _Samples(labels)
            self._by_name.setdefault(labels.metric_name, []).append(self._series[labels])
        return self._series[labels]

    def source(self, name: str) -> FrameWriter:
        if name not in self._sources:
            self._sources[name] = ScratchWriter(self)
        return self._sources[name]

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[SeriesData]:
        found = []
        for kept in self._candidates(matchers):
            low, high = bisect_left(kept.times, start_ms), bisect_right(kept.times, end_ms)
            if high > low and all_match(matchers, kept.plain):
                times = np.array(kept.times[low:high], dtype=np.int64)
                found.append(SeriesData(kept.labels, times, np.array(kept.values[low:high], dtype=np.float64)))
        return sorted(found, key=lambda series: series.labels)

    def _candidates(self, matchers: Sequence[Matcher]) -> Sequence[_Samples]:
        for matcher in matchers:
            if matcher.name == METRIC_NAME and matcher.op == "=":
                return self._by_name.get(matcher.value, ())
        return list(self._series.values())

    def series(self, matcher_sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[Labels]:
        found = {one.labels for matchers in (matcher_sets or [()]) for one in self.select(matchers, start_ms, end_ms)}
        return sorted(found)


class ScratchWriter:
    """One source, as the port says: a column that goes gets the staleness marker."""

    def __init__(self, storage: ScratchStorage) -> None:
        self._storage = storage
        self._columns: dict[Labels, int] = {}
        self._live: set[Labels] = set()
        self._last_ms: int | None = None

    def column(self, labels: Labels) -> int:
        return self._columns.setdefault(labels, len(self._columns))

    @property
    def width(self) -> int:
        return len(self._columns)

    def append(self, time_ms: int, row: FloatArray) -> bool:
        if self._last_ms is not None and time_ms <= self._last_ms:
            return False
        self._last_ms = time_ms
        absent = is_absent(row)
        now = {labels for labels, column in self._columns.items() if not absent[column]}
        for labels in now:
            self._storage.put(labels, time_ms, float(row[self._columns[labels]]))
        for labels in self._live - now:
            self._storage.put(labels, time_ms, STALE)
        self._live = now
        return True

    def compact(self) -> None:
        """Nothing here lives long."""

    def close(self, time_ms: int) -> None:
        for labels in self._live:
            self._storage.put(labels, time_ms, STALE)
        self._live = set()
