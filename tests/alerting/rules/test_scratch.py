"""The store of rule tests keeps the port's promises."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from alerting.model.labels import Labels
from alerting.model.matcher import Matcher
from alerting.model.series import ABSENT, is_stale
from alerting.rules.scratch import ScratchStorage

LABELS = [Labels.of({"__name__": "m", "n": str(number)}) for number in range(3)]
NAME = (Matcher("__name__", "=", "m"),)


def test_a_column_that_goes_ends_with_the_staleness_marker() -> None:
    storage = ScratchStorage()
    writer = storage.source("s")
    assert writer is storage.source("s")
    one, two = (writer.column(labels) for labels in LABELS[:2])
    assert (one, two, writer.column(LABELS[0]), writer.width) == (0, 1, 0, 2)
    assert writer.append(10, np.array([1.0, 2.0]))
    assert not writer.append(10, np.array([1.0, 2.0])), "a frame of the same time is refused"
    assert writer.append(20, np.array([ABSENT, 3.0]))
    writer.close(30)
    first, second = storage.select(NAME, 0, 100)
    assert first.times.tolist() == [10, 20]
    assert second.times.tolist() == [10, 20, 30]
    assert [is_stale(series.values).tolist() for series in (first, second)] == [[False, True], [False, False, True]]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 50), st.floats(0, 1)), max_size=40), st.integers(0, 50))
def test_what_is_put_in_comes_out(puts: list[tuple[int, int, float]], start: int) -> None:
    storage = ScratchStorage()
    wanted: dict[Labels, dict[int, float]] = {}
    for number, time, value in sorted(puts, key=lambda put: put[1]):
        storage.put(LABELS[number], time, value)
        wanted.setdefault(LABELS[number], {})[time] = value
    inside = {
        labels: {time: value for time, value in samples.items() if start <= time <= start + 20}
        for labels, samples in wanted.items()
    }
    found = storage.select(NAME, start, start + 20)
    assert {one.labels: dict(zip(one.times.tolist(), one.values.tolist(), strict=True)) for one in found} == {
        labels: samples for labels, samples in inside.items() if samples
    }
    assert [one.labels for one in found] == storage.series([NAME], start, start + 20)
    assert [one.labels for one in found] == sorted(one.labels for one in found)
