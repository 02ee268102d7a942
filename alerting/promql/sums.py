"""Sums that do not lose the small terms, and averages that do not overflow.

Prometheus adds with Neumaier's compensation (``Inc`` in util/kahansum). Scalars here do the same, step by step.
For the windows of a range vector, ``window_sums`` splits every value in parts that are multiples of a power of two
and small enough that running totals of them are exact in float64; differences of these totals are exact sums of
windows, in time linear in the samples. Series whose values are too different in size, or not finite, take the slow way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from alerting.model.series import BoolArray, FloatArray
from alerting.promql.samples import Windows

_PARTS = 3  # of some 30 bits each, so that a value of any size within the dynamic range is covered to its last bit
# The slow way is taken when a series' smallest value is below its largest by this factor.
_DYNAMIC_RANGE = 2.0**40


def neumaier(term: float, total: float, lost: float) -> tuple[float, float]:
    """Add a term to a total; ``lost`` collects what rounding drops."""
    new = total + term
    if math.isinf(new):
        return new, 0.0
    if abs(total) >= abs(term):
        return new, lost + ((total - new) + term)
    return new, lost + ((term - new) + total)


def scalar_sum(values: Iterable[float]) -> float:
    """Compensated sum of plain numbers."""
    total = lost = 0.0
    for value in values:
        total, lost = neumaier(value, total, lost)
    return total if math.isinf(total) else total + lost


def scalar_mean(values: list[float]) -> float:
    """Average of at least one number. Switches to a running mean where the sum would overflow (the algorithm of
    avg and avg_over_time in promql/functions.go)."""
    total, lost = values[0], 0.0
    mean = 0.0
    running = False
    count = 1.0
    for index, value in enumerate(values[1:], 2):
        count = float(index)
        if not running:
            new, new_lost = neumaier(value, total, lost)
            if not math.isinf(new):
                total, lost = new, new_lost
                continue
            running = True
            mean = total / (count - 1)
            lost /= count - 1
        share = (count - 1) / count
        mean, lost = neumaier(value / count, share * mean, share * lost)
    if running:
        return mean + lost
    return total / count + lost / count


def row_sums(values: FloatArray, present: BoolArray | None) -> tuple[FloatArray, FloatArray]:
    """Sum of every column of [terms, columns] and what rounding took from it (0 for infinite sums); absent terms
    count as nothing."""
    total = np.zeros(values.shape[1])
    lost = np.zeros(values.shape[1])
    for row in range(values.shape[0]):
        term = values[row] if present is None else np.where(present[row], values[row], 0.0)
        new = total + term
        larger = np.abs(total) >= np.abs(term)
        change = np.where(larger, (total - new) + term, (term - new) + total)
        lost = np.where(np.isinf(new), 0.0, lost + change)
        total = new
    return total, lost


def window_sums(window: Windows) -> FloatArray:
    """Sum of every window; 0 for empty ones."""
    sums, lost, exact = _exact_sums(window)
    sums += lost
    _slowly(window, sums, exact, scalar_sum)
    return sums


def window_means(window: Windows) -> FloatArray:
    """Average of every window; 0 for empty ones."""
    sums, lost, exact = _exact_sums(window)
    counts = np.maximum(window.counts, 1)
    means = sums / counts + lost / counts
    _slowly(window, means, exact, scalar_mean)
    return means


def _exact_sums(window: Windows) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Sums by exact running totals, what rounding took from them, and for which series they hold."""
    samples = window.samples
    values, bounds = samples.values, samples.bounds
    sums = np.zeros(window.low.shape)
    lost = np.zeros(window.low.shape)
    rows = len(samples.labels)
    sizes = np.diff(bounds)
    filled = sizes > 0
    exact = np.ones(rows, dtype=np.bool_)
    if not filled.any():
        return sums, lost, exact
    # reduceat needs non-empty pieces: the starts of the series that have samples cut the flat array completely.
    starts = bounds[:-1][filled]
    magnitude = np.abs(values)
    finite = np.isfinite(magnitude)
    largest = np.maximum.reduceat(np.where(finite, magnitude, 0.0), starts)
    smallest = np.minimum.reduceat(np.where(magnitude > 0, magnitude, np.inf), starts)
    good = np.logical_and.reduceat(finite, starts)
    # Far from the ends of what float64 can say, and not too different from each other.
    good &= (largest == 0) | ((largest < 2.0**900) & (largest > 2.0**-800) & (smallest >= largest / _DYNAMIC_RANGE))
    exact[filled] = good
    # Every part is a whole number of units, so small that a running total over all samples stays an exact float64.
    room = 52 - len(values).bit_length()
    exponent = np.frexp(np.where(good & (largest > 0), largest, 1.0))[1]
    pieces = sizes[filled]
    rest = np.where(np.repeat(good, pieces), values, 0.0)
    running = np.zeros(len(values) + 1)
    for part in range(1, _PARTS + 1):
        unit = np.ldexp(1.0, np.maximum(exponent - room * part, -1000))
        unit_of_value = np.repeat(unit, pieces)
        head = np.rint(rest / unit_of_value)
        np.cumsum(head, out=running[1:])
        unit_of_row = np.ones(rows)
        unit_of_row[filled] = unit
        term = (running[window.high] - running[window.low]) * unit_of_row[:, None]
        new = sums + term
        lost += np.where(np.abs(sums) >= np.abs(term), (sums - new) + term, (term - new) + sums)
        sums = new
        rest -= head * unit_of_value
        if not rest.any():
            break
    return sums, lost, exact


def _slowly(window: Windows, out: FloatArray, exact: BoolArray, reduce: Callable[[list[float]], float]) -> None:
    """Fill the rows that are not exact, one window after the other."""
    for row in np.flatnonzero(~exact).tolist():
        part = window.samples.series(row)
        values = window.samples.values[part].tolist()
        lows, highs = window.low[row].tolist(), window.high[row].tolist()
        for column, (low, high) in enumerate(zip(lows, highs, strict=True)):
            if high > low:
                window.budget.check_time()
                out[row, column] = reduce(values[low - part.start : high - part.start])
