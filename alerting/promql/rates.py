"""rate, increase, delta, irate, idelta: how fast something changes within a window.

The extrapolation to the window's ends is that of extrapolatedRate in promql/functions.go of Prometheus.
"""

from __future__ import annotations

import numpy as np

from alerting.model.series import FloatArray, IntArray
from alerting.promql.overtime import Answer
from alerting.promql.samples import Windows


def rate(window: Windows) -> Answer:
    return _extrapolated(window, counter=True, per_second=True)


def increase(window: Windows) -> Answer:
    return _extrapolated(window, counter=True, per_second=False)


def delta(window: Windows) -> Answer:
    return _extrapolated(window, counter=False, per_second=False)


def irate(window: Windows) -> Answer:
    return _last_two(window, counter=True)


def idelta(window: Windows) -> Answer:
    return _last_two(window, counter=False)


def _extrapolated(window: Windows, *, counter: bool, per_second: bool) -> Answer:
    samples = window.samples
    here = window.counts >= 2
    if not here.any():
        return np.zeros(here.shape), here
    # Windows with less than two samples are computed as if they had some, and left out by ``here``.
    low = np.where(here, window.low, 0)
    last = np.where(here, window.high - 1, 0)
    first_value = samples.values[low]
    change = samples.values[last] - first_value
    if counter:
        change += _lost_at_resets(window, low, last)
    first_ms, last_ms = samples.times[low], samples.times[last]
    to_start = (first_ms - (window.ends - window.range_ms)) / 1000.0
    to_end = (window.ends - last_ms) / 1000.0
    sampled = (last_ms - first_ms) / 1000.0
    spacing = sampled / np.maximum(window.counts - 1, 1)
    threshold = spacing * 1.1
    to_start = np.where(to_start >= threshold, spacing / 2, to_start)
    if counter:
        # A counter is not below zero: extrapolate no further than to where it would have started.
        to_zero = sampled * (first_value / np.where(change > 0, change, np.nan))
        apt = (change > 0) & (first_value >= 0) & (to_zero < to_start)
        to_start = np.where(apt, to_zero, to_start)
    to_end = np.where(to_end >= threshold, spacing / 2, to_end)
    factor = (sampled + to_start + to_end) / sampled
    if per_second:
        factor /= window.range_ms / 1000.0
    return change * factor, here


def _lost_at_resets(window: Windows, low: IntArray, last: IntArray) -> FloatArray:
    """What a counter had reached before each of its resets within the windows (low, last]."""
    values = window.samples.values
    lost = np.zeros(low.shape)
    falls = np.flatnonzero(values[1:] < values[:-1]) + 1
    if not len(falls):
        return lost
    before = values[falls - 1]
    if np.isfinite(before).all():
        # Few resets: running totals over them alone keep their precision.
        running = np.concatenate(([0.0], np.cumsum(before)))
        upto = np.searchsorted(falls, last, side="right")
        outside = np.searchsorted(falls, low, side="right")
        return np.where(upto > outside, running[upto] - running[outside], lost)
    for place in np.ndindex(low.shape):
        window.budget.check_time()
        inside = (falls > low[place]) & (falls <= last[place])
        lost[place] = before[inside].sum()
    return lost


def _last_two(window: Windows, *, counter: bool) -> Answer:
    samples = window.samples
    here = window.counts >= 2
    if not here.any():
        return np.zeros(here.shape), here
    last = np.where(here, window.high - 1, 1)
    value, before = samples.values[last], samples.values[last - 1]
    change = value - before
    if not counter:
        return change, here
    # After a reset the counter counts from zero.
    change = np.where(value < before, value, change)
    return change / ((samples.times[last] - samples.times[last - 1]) / 1000.0), here
