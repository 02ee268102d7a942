"""Window functions against the plainest way to write them."""

from __future__ import annotations

import math
import statistics
import tracemalloc
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.model.labels import Labels
from alerting.model.series import STALE, SeriesData
from alerting.promql import overtime, rates
from alerting.promql.budget import Budget
from alerting.promql.samples import Samples, Windows, from_series, windows

Row = list[tuple[int, float]]


@st.composite
def rows(draw: st.DrawFn) -> Row:
    """Samples at rising times; some are NaN or staleness markers."""
    times = sorted(draw(st.sets(st.integers(0, 400), max_size=40)))
    value = st.one_of(st.integers(0, 20).map(float), st.floats(-100, 100), st.sampled_from([math.nan, STALE]))
    return [(time, draw(value)) for time in times]


def window_of(series: list[Row], ends: list[int], length: int) -> Windows:
    data = [
        SeriesData(
            Labels.of({"row": str(index)}),
            np.array([time for time, _ in row], dtype=np.int64),
            np.array([value for _, value in row], dtype=np.float64),
        )
        for index, row in enumerate(series)
    ]
    times = np.array(ends, dtype=np.int64)
    return windows(from_series(data), times, length, times, Budget(10**9, None))


def bits(value: float) -> int:
    return int(np.array([value]).view(np.int64)[0])


def inside(row: Row, end: int, length: int) -> Row:
    return [(time, value) for time, value in row if end - length < time <= end and bits(value) != bits(STALE)]


def plain_rate(row: Row, end: int, length: int) -> float:
    """extrapolatedRate of Prometheus, for a counter, one window."""
    (first_time, first), (last_time, last) = row[0], row[-1]
    change = last - first
    for (_, before), (_, value) in pairwise(row):
        if value < before:
            change += before
    to_start, to_end = (first_time - (end - length)) / 1000, (end - last_time) / 1000
    sampled = (last_time - first_time) / 1000
    spacing = sampled / (len(row) - 1)
    if to_start >= spacing * 1.1:
        to_start = spacing / 2
    if change > 0 and first >= 0:
        to_start = min(to_start, sampled * (first / change))
    if to_end >= spacing * 1.1:
        to_end = spacing / 2
    return change * ((sampled + to_start + to_end) / sampled / (length / 1000))


def plain_changes(row: Row) -> float:
    values = [value for _, value in row]
    return float(sum(a != b and not (math.isnan(a) and math.isnan(b)) for a, b in pairwise(values)))


def plain_extreme(pick: Callable[[list[float]], float]) -> Callable[[Row], float]:
    return lambda row: pick([value for _, value in row if not math.isnan(value)] or [math.nan])


def plain_variance(row: Row) -> float:
    values = [value for _, value in row]
    return math.nan if any(map(math.isnan, values)) else statistics.pvariance(values)


CASES: list[tuple[Callable[[Windows], overtime.Answer], Callable[[Row], float], int]] = [
    (overtime.count_over_time, lambda row: float(len(row)), 1),
    (overtime.present_over_time, lambda _: 1.0, 1),
    (overtime.first_over_time, lambda row: row[0][1], 1),
    (overtime.last_over_time, lambda row: row[-1][1], 1),
    (overtime.min_over_time, plain_extreme(min), 1),
    (overtime.max_over_time, plain_extreme(max), 1),
    (overtime.changes, plain_changes, 1),
    (
        overtime.resets,
        lambda row: float(sum(b < a for (_, a), (_, b) in pairwise(row))),
        1,
    ),
    (overtime.stdvar_over_time, plain_variance, 1),
    (rates.idelta, lambda row: row[-1][1] - row[-2][1], 2),
]


@settings(max_examples=120, deadline=None)
@given(
    series=st.lists(rows(), min_size=1, max_size=3),
    ends=st.lists(st.integers(-10, 450), min_size=1, max_size=5).map(sorted),
    length=st.integers(1, 200),
)
def test_every_window_as_if_it_were_alone(series: list[Row], ends: list[int], length: int) -> None:
    window = window_of(series, ends, length)
    with np.errstate(all="ignore"):
        answers = [(function(window), plain, least) for function, plain, least in CASES]
        rated = rates.rate(window)
        quantiles = overtime.quantile_over_time(window, np.full(len(ends), 0.3))
    for index, row in enumerate(series):
        for column, end in enumerate(ends):
            found = inside(row, end, length)
            for (values, here), plain, least in answers:
                assert bool(here[index, column]) == (len(found) >= least)
                if len(found) >= least:
                    assert values[index, column] == pytest.approx(plain(found), rel=1e-9, abs=1e-9, nan_ok=True)
            if len(found) >= 2 and not any(math.isnan(value) for _, value in found):
                assert rated[0][index, column] == pytest.approx(plain_rate(found, end, length), rel=1e-9, abs=1e-9)
            if found and not any(math.isnan(value) for _, value in found):
                expected = np.quantile([value for _, value in found], 0.3)
                assert quantiles[0][index, column] == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_a_reset_from_infinity_spoils_only_its_own_windows() -> None:
    row = [(index * 10, value) for index, value in enumerate([1.0, 2.0, math.inf, 0.0, 1.0, 2.0, 0.0, 3.0], 1)]
    with np.errstate(all="ignore"):
        values, here = rates.increase(window_of([row], [20, 40, 80], 31))
    assert here.all()
    assert math.isfinite(values[0, 0])
    assert not math.isfinite(values[0, 1])
    assert math.isfinite(values[0, 2])


def test_regression_of_a_straight_line() -> None:
    row = [(index * 1000, 3.0 + 2.0 * index) for index in range(1, 50)]
    window = window_of([row, [(1000, 5.0), (2000, 5.0), (9000, 5.0)]], [40_000], 60_000)
    slope, here = overtime.deriv(window)
    assert here.all()
    assert slope[:, 0].tolist() == pytest.approx([2.0, 0.0], abs=1e-12)
    ahead, _ = overtime.predict_linear(window, np.array([10.0]))
    assert ahead[:, 0].tolist() == pytest.approx([103.0, 5.0])


def test_blocks_cover_every_window_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overtime, "_BLOCK", 50)
    row = [(index, float(index)) for index in range(1, 200)]
    window = window_of([row, row[:50]], list(range(0, 220, 7)), 60)
    seen = np.concatenate([places for places, _, _ in overtime.blocks(window)])
    assert sorted(seen.tolist()) == np.flatnonzero(window.counts.reshape(-1)).tolist()
    for places, index, here in overtime.blocks(window):
        assert index.size <= 2 * 60 or len(places) == 1 or index.size <= 4 * 50
        assert (here.sum(axis=1) == window.counts.reshape(-1)[places]).all()


def test_the_greatest_of_long_windows_takes_no_memory_for_each_power_of_two() -> None:
    count = 1 << 17
    times = 1000 * np.arange(count, dtype=np.int64)
    flat = Samples([Labels()], times, np.sin(times), np.array([0, count]))
    ends = times[-20::10]
    window = windows(flat, ends, int(times[-1]), ends, Budget(count))
    tracemalloc.start()
    try:
        found, _ = overtime.max_over_time(window)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.tolist() == [[flat.values[: count - 19].max(), flat.values[: count - 9].max()]]
    assert peak < 4 * flat.values.nbytes
