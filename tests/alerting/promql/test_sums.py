from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.model.labels import Labels
from alerting.model.series import SeriesData
from alerting.promql.budget import Budget
from alerting.promql.samples import Windows, from_series, windows
from alerting.promql.sums import row_sums, scalar_mean, scalar_sum, window_means, window_sums

NUMBERS = st.one_of(
    st.floats(-1e6, 1e6),
    st.floats(-1e15, 1e15),
    st.integers(-1000, 1000).map(float),
    st.floats(1e-9, 1e-3),
)


def window_of(series: list[list[float]], ends: list[int], length: int) -> Windows:
    """Samples at 1, 2, 3, ... ms."""
    data = [
        SeriesData(
            Labels.of({"row": str(index)}), np.arange(1, len(row) + 1, dtype=np.int64), np.array(row, dtype=float)
        )
        for index, row in enumerate(series)
    ]
    times = np.array(ends, dtype=np.int64)
    return windows(from_series(data), times, length, times, Budget(10**9, None))


@settings(max_examples=150, deadline=None)
@given(
    series=st.lists(st.lists(NUMBERS, max_size=40), min_size=1, max_size=4),
    ends=st.lists(st.integers(-5, 50), min_size=1, max_size=6).map(sorted),
    length=st.integers(1, 30),
)
def test_sums_and_means_of_windows_are_exact(series: list[list[float]], ends: list[int], length: int) -> None:
    window = window_of(series, ends, length)
    sums, means = window_sums(window), window_means(window)
    for row, values in enumerate(series):
        for column, end in enumerate(ends):
            inside = [value for time, value in enumerate(values, 1) if end - length < time <= end]
            assert window.counts[row, column] == len(inside)
            exact = sum(map(Fraction, inside), Fraction(0))
            largest = max((abs(value) for value in inside), default=0.0)
            # A last bit of the sum, and what Neumaier's method leaves of the largest term.
            slack = abs(float(exact)) * 2**-52 + largest * 2**-90
            assert abs(Fraction(float(sums[row, column])) - exact) <= slack
            if inside:
                assert math.isclose(
                    means[row, column], float(exact / len(inside)), rel_tol=2**-51, abs_tol=largest * 2**-90
                )


@settings(deadline=None)
@given(value=st.floats(-1e300, 1e300), count=st.integers(1, 40))
def test_the_average_of_equal_values_is_that_value(value: float, count: int) -> None:
    window = window_of([[value] * count], [count], count)
    assert window_means(window)[0, 0] == pytest.approx(value, rel=3e-16, abs=0)
    assert scalar_mean([value] * count) == pytest.approx(value, rel=3e-16, abs=0)


def test_integers_stay_exact_over_a_long_series() -> None:
    values = [52.0] * 20_000
    window = window_of([values, [0.1] * 20_000], list(range(100, 20_001, 100)), 100)
    assert (window_means(window)[0] == 52.0).all()
    assert (window_means(window)[1] == 0.1).all()


@pytest.mark.parametrize(
    ("values", "total", "mean"),
    [
        ([1.0, 1e100, 1.0, -1e100], 2.0, 0.5),
        ([1e308, 1e308], math.inf, 1e308),
        ([-1e308, -1e308, -1e308], -math.inf, -1e308),
        ([math.inf, 1.0], math.inf, math.inf),
        ([math.inf, -math.inf], math.nan, math.nan),
        ([math.nan, 1.0], math.nan, math.nan),
        ([5e-324, 5e-324], 1e-323, 5e-324),
    ],
)
def test_extreme_values(values: list[float], total: float, mean: float) -> None:
    with np.errstate(all="ignore"):
        window = window_of([values, [1.0] * len(values)], [len(values)], len(values))
        assert scalar_sum(values) == pytest.approx(total, nan_ok=True)
        assert scalar_mean(values) == pytest.approx(mean, nan_ok=True)
        assert window_sums(window)[:, 0].tolist() == pytest.approx([total, len(values)], nan_ok=True)
        assert window_means(window)[:, 0].tolist() == pytest.approx([mean, 1.0], nan_ok=True)
        sums, lost = row_sums(np.array([values]).T, None)
        assert float((sums + lost)[0]) == pytest.approx(total, nan_ok=True)
