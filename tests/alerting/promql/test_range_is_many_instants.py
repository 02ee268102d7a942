"""A range query is the instant query at each of its steps: the two ways through the engine check each other."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.model.labels import Labels
from alerting.promql.engine import Engine
from alerting.promql.errors import ExecutionError
from alerting.promql.parse import parse
from alerting.promql.value import Matrix, Result, Vector
from tests.alerting.promql.queries import LENGTH_MS, START_MS, filled, vectors

ENGINE = Engine(filled())


def close(left: float, right: float) -> bool:
    if math.isnan(left) or math.isnan(right):
        return math.isnan(left) and math.isnan(right)
    return left == right or math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-9)


def attempt(run: Callable[[], Result]) -> Result | str:
    try:
        return run()
    except ExecutionError as error:
        return str(error)


@settings(max_examples=250, deadline=None)
@given(
    text=vectors(),
    start=st.integers(0, LENGTH_MS).map(lambda offset: START_MS + offset),
    step=st.sampled_from([1000, 15_000, 60_000, 301_000]),
    steps=st.integers(2, 6),
)
def test_a_range_query_is_the_instant_query_at_every_step(text: str, start: int, step: int, steps: int) -> None:
    expr = parse(text)
    times = [start + index * step for index in range(steps)]
    ranged = attempt(partial(ENGINE.range, expr, start, times[-1], step))
    instants = [attempt(partial(ENGINE.instant, expr, time)) for time in times]
    if isinstance(ranged, str):
        # A subquery of a range query is also evaluated between the windows of its steps.
        assert ":" in text or any(isinstance(instant, str) for instant in instants), ranged
        return
    assert isinstance(ranged.value, Matrix)
    found: dict[int, dict[Labels, float]] = {time: {} for time in times}
    for series in ranged.value:
        for time, value in series:
            found[time][series.labels] = value
    for time, instant in zip(times, instants, strict=True):
        assert not isinstance(instant, str), instant
        assert isinstance(instant.value, Vector)
        expected = dict(instant.value)
        if "count_values" not in text and "topk" not in text:  # these turn the last bit of a value into labels
            assert found[time].keys() == expected.keys()
            for labels, value in expected.items():
                assert close(found[time][labels], value), (labels, found[time][labels], value)


@pytest.mark.parametrize("text", ["count_values('v', round(g))", "topk(2, g)", "bottomk by (job) (1, h)"])
def test_picked_and_counted_series(text: str) -> None:
    expr = parse(text)
    matrix = ENGINE.range(expr, START_MS, START_MS + LENGTH_MS, 60_000).value
    assert isinstance(matrix, Matrix)
    for time in range(START_MS, START_MS + LENGTH_MS, 60_000):
        vector = ENGINE.instant(expr, time).value
        assert isinstance(vector, Vector)
        assert dict(vector) == {s.labels: dict(s)[time] for s in matrix if time in dict(s)}
