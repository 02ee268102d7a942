"""What the store ought to answer, worked out the slow and obvious way."""

from __future__ import annotations

import struct

import numpy as np

from alerting.model.labels import Labels
from alerting.model.matcher import Matcher
from alerting.model.series import ABSENT_BITS, STALE_BITS, FloatArray, SeriesData
from alerting.storage.ports import Instant, Runs

Answer = dict[Labels, list[tuple[int, int]]]


def bits(value: float) -> int:
    (found,) = struct.unpack("<Q", struct.pack("<d", value))
    return int(found)


class Model:
    """Samples as source -> label set -> [(time, bits)]."""

    def __init__(self) -> None:
        self.samples: dict[str, dict[Labels, list[tuple[int, int]]]] = {}
        self.live: dict[str, set[Labels]] = {}

    def append(self, source: str, time_ms: int, frame: dict[Labels, float]) -> None:
        columns = self.samples.setdefault(source, {})
        given = {labels: bits(value) for labels, value in frame.items() if bits(value) != ABSENT_BITS}
        for labels in self.live.get(source, set()) - set(given):
            columns[labels].append((time_ms, STALE_BITS))
        for labels, value in given.items():
            columns.setdefault(labels, []).append((time_ms, value))
        self.live[source] = {labels for labels, value in given.items() if value != STALE_BITS}

    def close(self, source: str, time_ms: int) -> None:
        self.append(source, time_ms, {})

    def select(self, matchers: list[Matcher], start_ms: int, end_ms: int) -> Answer:
        merged: dict[Labels, dict[int, int]] = {}
        for columns in self.samples.values():  # in the order the sources appeared
            for labels, samples in columns.items():
                if not all(matcher.matches(labels.get(matcher.name)) for matcher in matchers):
                    continue
                for time_ms, value in samples:
                    if start_ms <= time_ms <= end_ms:
                        at = merged.setdefault(labels, {})
                        if time_ms not in at or at[time_ms] == STALE_BITS != value:
                            at[time_ms] = value
        return {labels: sorted(at.items()) for labels, at in sorted(merged.items())}

    def latest(self, matchers: list[Matcher], time_ms: int, lookback_ms: int) -> list[tuple[Labels, int, int]]:
        """The newest sample in (time - lookback, time] of every series whose newest is no staleness marker."""
        newest = self.select(matchers, time_ms - lookback_ms + 1, time_ms)
        return [(labels, *samples[-1]) for labels, samples in newest.items() if samples[-1][1] != STALE_BITS]


def answer(found: list[SeriesData]) -> Answer:
    """What ``select`` gave, comparable bit for bit; its order is kept."""
    result: Answer = {}
    for data in found:
        assert data.labels not in result
        assert (np.diff(data.times) > 0).all()
        result[data.labels] = list(zip(data.times.tolist(), unsigned(data.values), strict=True))
    return result


def points(found: Instant) -> list[tuple[Labels, int, int]]:
    """What ``latest`` gave, comparable bit for bit."""
    return list(zip(found.labels, found.times.tolist(), unsigned(found.values), strict=True))


def unrolled(found: Runs) -> Answer:
    """What ``recent`` gave, comparable bit for bit; its order is kept."""
    return answer(
        [
            SeriesData(labels, found.times[low:high], found.values[low:high])
            for labels, low, high in zip(found.labels, found.bounds.tolist(), found.bounds[1:].tolist(), strict=False)
        ]
    )


def unsigned(values: FloatArray) -> list[int]:
    return [int(value) for value in np.ascontiguousarray(values).view(np.uint64).tolist()]
