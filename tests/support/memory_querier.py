"""A Querier over series held in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from alerting.model.labels import Labels
from alerting.model.matcher import Matcher, all_match
from alerting.model.series import SeriesData


class MemoryQuerier:
    """Series by labels, each with (time in ms, value) samples in ascending time."""

    def __init__(self) -> None:
        self._series: dict[Labels, SeriesData] = {}

    def put(self, labels: Labels | Mapping[str, str], samples: Iterable[tuple[int, float]]) -> None:
        """Add a series, replacing one with the same labels."""
        key = Labels.of(dict(labels))
        rows = list(samples)
        times = np.array([time for time, _ in rows], dtype=np.int64)
        values = np.array([value for _, value in rows], dtype=np.float64)
        self._series[key] = SeriesData(key, times, values)

    def clear(self) -> None:
        self._series.clear()

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[SeriesData]:
        found = []
        for labels in sorted(self._series):
            if not all_match(matchers, labels.as_dict()):
                continue
            series = self._series[labels]
            low = int(np.searchsorted(series.times, start_ms, side="left"))
            high = int(np.searchsorted(series.times, end_ms, side="right"))
            if high > low:
                found.append(SeriesData(labels, series.times[low:high], series.values[low:high]))
        return found

    def series(self, matcher_sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[Labels]:
        found = {
            series.labels for matchers in (matcher_sets or [()]) for series in self.select(matchers, start_ms, end_ms)
        }
        return sorted(found)
