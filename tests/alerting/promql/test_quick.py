"""A querier that knows the newest samples changes no answer."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.model.matcher import Matcher
from alerting.model.series import STALE_BITS, is_stale
from alerting.promql.engine import Engine
from alerting.promql.errors import ExecutionError
from alerting.promql.parse import parse
from alerting.promql.value import Vector
from alerting.storage.ports import Instant, Runs
from tests.alerting.promql.queries import LENGTH_MS, START_MS, filled, vectors
from tests.support.memory_querier import MemoryQuerier


class Quick(MemoryQuerier):
    """Also a QuickQuerier, that refuses each third time."""

    def __init__(self, inner: MemoryQuerier) -> None:
        super().__init__()
        self._series = inner._series
        self.asked = 0

    def latest(self, matchers: Sequence[Matcher], time_ms: int, lookback_ms: int) -> Instant | None:
        self.asked += 1
        if self.asked % 3 == 0:
            return None
        found = self.select(matchers, time_ms - lookback_ms + 1, time_ms)
        found = [series for series in found if not is_stale(series.values[-1:])[0]]
        return Instant(
            [series.labels for series in found],
            np.array([series.times[-1] for series in found], np.int64),
            np.array([series.values[-1] for series in found], np.float64),
        )

    def recent(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Runs | None:
        self.asked += 1
        found = self.select(matchers, start_ms, end_ms)
        if self.asked % 3 == 0 or not found:
            return None
        return Runs(
            [series.labels for series in found],
            np.concatenate([series.times for series in found]),
            np.concatenate([series.values for series in found]),
            np.cumsum([0, *(len(series.times) for series in found)]),
        )


PLAIN, QUICK = filled(), Quick(filled())


def outcome(engine: Engine, text: str, time_ms: int) -> list[object]:
    """The answer bit for bit, or the error."""
    try:
        result = engine.instant(parse(text), time_ms)
    except ExecutionError as error:
        return [str(error)]
    assert isinstance(result.value, Vector)
    found = [(labels, struct.pack("<d", value)) for labels, value in result.value]
    return [found, result.warnings, result.infos]


@settings(max_examples=300, deadline=None)
@given(text=vectors(), offset=st.integers(0, LENGTH_MS))
def test_instant_queries_are_the_same_with_it(text: str, offset: int) -> None:
    assert outcome(Engine(QUICK), text, START_MS + offset) == outcome(Engine(PLAIN), text, START_MS + offset)


def test_it_is_asked_and_staleness_is_known() -> None:
    asked = QUICK.asked
    Engine(QUICK).instant(parse("g"), START_MS + 60_000)
    assert QUICK.asked == asked + 1
    assert any((series.values.view(np.int64) == STALE_BITS).any() for series in PLAIN.select([], 0, 2**60))
