"""Functions of one range vector that give one number for each window.

Every function takes ``Windows`` and returns values of the windows' shape with the places where it has an answer.
Meaning and order of operations: promql/functions.go of Prometheus.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from alerting.model.series import BoolArray, FloatArray, IntArray
from alerting.promql.samples import Windows
from alerting.promql.sums import window_means, window_sums

Answer = tuple[FloatArray, BoolArray]

# Functions that look at all samples of a window at once copy them to padded blocks of at most this many values.
_BLOCK = 500_000


def sum_over_time(window: Windows) -> Answer:
    return window_sums(window), window.counts > 0


def avg_over_time(window: Windows) -> Answer:
    return window_means(window), window.counts > 0


def count_over_time(window: Windows) -> Answer:
    counts = window.counts
    return counts.astype(np.float64), counts > 0


def present_over_time(window: Windows) -> Answer:
    return np.ones(window.low.shape), window.counts > 0


def last_over_time(window: Windows) -> Answer:
    return _at(window.samples.values, window.high - 1), window.counts > 0


def first_over_time(window: Windows) -> Answer:
    return _at(window.samples.values, window.low), window.counts > 0


def min_over_time(window: Windows) -> Answer:
    return _extreme(window, np.fmin), window.counts > 0


def max_over_time(window: Windows) -> Answer:
    return _extreme(window, np.fmax), window.counts > 0


def changes(window: Windows) -> Answer:
    values = window.samples.values
    differs = np.zeros(len(values), dtype=np.bool_)
    if len(values):
        both_nan = np.isnan(values[1:]) & np.isnan(values[:-1])
        differs[1:] = (values[1:] != values[:-1]) & ~both_nan
    return _count_steps(window, differs), window.counts > 0


def resets(window: Windows) -> Answer:
    values = window.samples.values
    falls = np.zeros(len(values), dtype=np.bool_)
    if len(values):
        falls[1:] = values[1:] < values[:-1]
    return _count_steps(window, falls), window.counts > 0


def stdvar_over_time(window: Windows) -> Answer:
    out = np.zeros(window.low.shape)
    flat = out.reshape(-1)
    for places, index, inside in blocks(window):
        counts = inside.sum(axis=1)
        # Relative to the first value: constant windows get exactly 0, large levels cost no precision.
        values = window.samples.values[index]
        shifted = np.where(inside, values - values[:, :1], 0.0)
        mean = shifted.sum(axis=1) / counts
        deviation = np.where(inside, shifted - mean[:, None], 0.0)
        flat[places] = np.einsum("ij,ij->i", deviation, deviation) / counts
    return out, window.counts > 0


def stddev_over_time(window: Windows) -> Answer:
    variance, here = stdvar_over_time(window)
    return np.sqrt(variance), here


def quantile_over_time(window: Windows, quantile: FloatArray) -> Answer:
    """``quantile`` has one number for each column."""
    out = np.zeros(window.low.shape)
    flat = out.reshape(-1)
    columns = len(window.ends)
    here = window.counts > 0
    for places, index, inside in blocks(window):
        flat[places] = quantiles(window.samples.values[index], inside, quantile[places % columns])
    return out, here


def quantiles(values: FloatArray, inside: BoolArray, quantile: FloatArray) -> FloatArray:
    """The quantile of every row among its values where ``inside``; NaN sorts first (promql/quantile.go)."""
    is_nan = np.isnan(values) & inside
    sorted_values = np.sort(np.where(inside & ~is_nan, values, np.inf), axis=1)
    nans = is_nan.sum(axis=1)
    counts = inside.sum(axis=1)
    rank = np.where(np.isfinite(quantile), quantile, 0.0) * (counts - 1)
    lower = np.clip(np.floor(rank), 0, counts - 1).astype(np.int64)
    upper = np.minimum(lower + 1, counts - 1)
    weight = rank - np.floor(rank)
    rows = np.arange(len(values))

    def ranked(position: IntArray) -> FloatArray:
        place = np.maximum(position - nans, 0)
        return np.where(position < nans, np.nan, sorted_values[rows, place])

    result = ranked(lower) * (1 - weight) + ranked(upper) * weight
    result = np.where(quantile < 0, -np.inf, result)
    result = np.where(quantile > 1, np.inf, result)
    return np.where(np.isnan(quantile), np.nan, result)


def deriv(window: Windows) -> Answer:
    """Slope by least squares, per second."""
    slope, _ = _regression(window, None)
    return slope, window.counts > 1


def predict_linear(window: Windows, ahead_s: FloatArray) -> Answer:
    """The regression line's value at evaluation time plus ``ahead_s`` (one number for each column)."""
    slope, intercept = _regression(window, window.eval_times)
    return slope * ahead_s + intercept, window.counts > 1


def _regression(window: Windows, origin: IntArray | None) -> tuple[FloatArray, FloatArray]:
    """Slope and value at ``origin`` (each column's; the first sample's time without) of every window."""
    samples = window.samples
    slope = np.zeros(window.low.shape)
    intercept = np.zeros(window.low.shape)
    flat_slope, flat_intercept = slope.reshape(-1), intercept.reshape(-1)
    columns = len(window.ends)
    for places, index, inside in blocks(window):
        counts = inside.sum(axis=1)[:, None]
        zero = samples.times[index[:, :1]] if origin is None else origin[places % columns][:, None]
        seconds = np.where(inside, (samples.times[index] - zero) / 1000.0, 0.0)
        values = np.where(inside, samples.values[index], 0.0)
        mean_time = seconds.sum(axis=1, keepdims=True) / counts
        mean_value = values.sum(axis=1, keepdims=True) / counts
        off_time = np.where(inside, seconds - mean_time, 0.0)
        off_value = np.where(inside, values - mean_value, 0.0)
        found = (off_time * off_value).sum(axis=1) / (off_time * off_time).sum(axis=1)
        crossing = mean_value[:, 0] - found * mean_time[:, 0]
        # A constant series has exactly no slope, whatever rounding says.
        first = values[:, :1]
        constant = (np.where(inside, values, first) == first).all(axis=1)
        level = np.where(np.isinf(first[:, 0]), np.nan, first[:, 0])
        flat_slope[places] = np.where(constant, level * 0.0, found)
        flat_intercept[places] = np.where(constant, level, crossing)
    return slope, intercept


def blocks(window: Windows) -> Iterator[tuple[IntArray, IntArray, BoolArray]]:
    """Non-empty windows in blocks of bounded size: their flat places, and the sample index and whether it is inside
    for [window, place]. Windows of similar length share a block, so little is padded."""
    low, counts = window.low.reshape(-1), window.counts.reshape(-1)
    order = np.argsort(counts, kind="stable")
    order = order[np.searchsorted(counts[order], 1) :]
    done = 0
    while done < len(order):
        window.budget.check_time()
        # Lengths rise: a block that ends where its longest window still fits.
        take = max(1, _BLOCK // max(int(counts[order[done]]), 1))
        while take > 1 and take * int(counts[order[min(done + take, len(order)) - 1]]) > 2 * _BLOCK:
            take = max(1, take // 2)
        places = order[done : done + take]
        width = int(counts[places[-1]])
        offsets = np.arange(width)
        inside = offsets < counts[places, None]
        yield places, np.where(inside, low[places, None] + offsets, low[places, None]), inside
        done += take


def _at(values: FloatArray, index: IntArray) -> FloatArray:
    """Values at these places; anything for places outside."""
    if not len(values):
        return np.zeros(index.shape)
    return values[np.clip(index, 0, len(values) - 1)]


def _count_steps(window: Windows, marked: BoolArray) -> FloatArray:
    """How many marked samples every window has, its first one not counted."""
    running = np.zeros(len(marked) + 1, dtype=np.int64)
    np.cumsum(marked, out=running[1:])
    after_first = np.minimum(window.low + 1, window.high)
    return (running[window.high] - running[after_first]).astype(np.float64)


def _extreme(window: Windows, pick: np.ufunc) -> FloatArray:
    """Smallest or largest value of every window: two overlapping spans of a power of two cover it."""
    counts = window.counts
    if counts.shape[1] == 1:
        return _extreme_of_each(window, pick)
    out = np.zeros(counts.shape)
    level = np.where(counts > 0, np.frexp(np.maximum(counts, 1))[1] - 1, -1)
    span = window.samples.values  # of the spans of 2**exponent samples that begin at each sample
    for exponent in range(int(level.max(initial=-1)) + 1):
        if exponent:
            half = 2 ** (exponent - 1)
            span = pick(span[:-half], span[half:])
        here = level == exponent
        if here.any():
            out[here] = pick(span[window.low[here]], span[window.high[here] - 2**exponent])
    return out


def _extreme_of_each(window: Windows, pick: np.ufunc) -> FloatArray:
    """The same for one window a series: these do not overlap."""
    out = np.zeros(window.low.shape)
    rows = (window.counts[:, 0] > 0).nonzero()[0]
    if len(rows):
        ends = np.stack((window.low[rows, 0], window.high[rows, 0]), axis=1).reshape(-1)
        if ends[-1] == len(window.samples.values):
            ends = ends[:-1]
        out[rows, 0] = pick.reduceat(window.samples.values, ends)[::2]
    return out
