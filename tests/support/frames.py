"""A store for tests that need frames only: what was appended, in memory, with the marks the ports promise."""

from __future__ import annotations

import math

import numpy as np

from alerting.model.labels import Labels
from alerting.model.series import STALE, FloatArray, is_absent, is_stale


class MemoryWriter:
    """One source; ``samples`` by series as (time, value) with staleness markers."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.columns: list[Labels] = []
        self.samples: dict[Labels, list[tuple[int, float]]] = {}
        self.times: list[int] = []
        self.closed_ms: int | None = None
        self._live: set[int] = set()

    @property
    def width(self) -> int:
        return len(self.columns)

    def column(self, labels: Labels) -> int:
        if labels not in self.samples:
            self.samples[labels] = []
            self.columns.append(labels)
        return self.columns.index(labels)

    def append(self, time_ms: int, row: FloatArray) -> bool:
        assert row.shape == (self.width,)
        assert row.dtype == np.float64
        if self.times and time_ms <= self.times[-1]:
            return False
        self.times.append(time_ms)
        absent = is_absent(row)
        for column, labels in enumerate(self.columns):
            if not absent[column]:
                self.samples[labels].append((time_ms, float(row[column])))
                self._live.add(column)
            elif column in self._live:
                self.samples[labels].append((time_ms, STALE))
                self._live.discard(column)
        return True

    def compact(self) -> None:
        """Columns stay."""

    def close(self, time_ms: int) -> None:
        self.closed_ms = time_ms
        for column in sorted(self._live):
            self.samples[self.columns[column]].append((time_ms, STALE))
        self._live.clear()

    def values(self, **labels: str) -> list[float]:
        """The values of the one series with these labels among its own; ``name`` stands for the metric name."""
        if "name" in labels:
            labels["__name__"] = labels.pop("name")
        found = [key for key in self.columns if labels.items() <= dict(key).items()]
        assert len(found) == 1, f"{labels}: {len(found)} series"
        return [value for _, value in self.samples[found[0]]]


class MemoryFrames:
    """``source`` as the store has it."""

    def __init__(self) -> None:
        self.writers: dict[str, MemoryWriter] = {}

    def source(self, name: str) -> MemoryWriter:
        return self.writers.setdefault(name, MemoryWriter(name))


def stale(value: float) -> bool:
    """True for the staleness marker (not for any other NaN)."""
    return math.isnan(value) and bool(is_stale(np.array([value]))[0])
