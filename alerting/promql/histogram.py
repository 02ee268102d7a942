"""histogram_quantile and histogram_fraction on classic buckets (promql/quantile.go of Prometheus).

Buckets are the rows of one histogram in order of their upper bounds; counts are cumulative.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from alerting.model.labels import Labels
from alerting.model.series import BoolArray, FloatArray, IntArray
from alerting.promql import nodes
from alerting.promql.annotations import Annotations
from alerting.promql.budget import Budget
from alerting.promql.grid import Grid, compact, empty, nameless

# Differences this small, relative to the counts, come from floating point and are corrected without a word.
_SMALL_DELTA = 1e-12
_BUCKET_LABEL = "le"


@dataclass(frozen=True, slots=True)
class About:
    """The call: its buckets, its quantile, its evaluation times in seconds; where notes go, and what it may take."""

    buckets: nodes.Expr
    quantile: nodes.Expr
    times_s: FloatArray
    notes: Annotations
    budget: Budget


def histogram_quantile(grid: Grid, quantile: FloatArray, about: About) -> Grid:
    """``quantile`` has one number for each column."""
    for wrong in np.unique(quantile[~((quantile >= 0) & (quantile <= 1))]).tolist():
        about.notes.invalid_quantile(wrong, about.quantile)

    def compute(bounds: FloatArray, counts: FloatArray, columns: IntArray, metric: str) -> FloatArray:
        if not math.isinf(bounds[-1]) or bounds[-1] < 0 or len(bounds) < 2:
            result = np.full(len(columns), np.nan)
        else:
            fixed, falls = _monotonic(counts)
            if falls.any():
                drops = np.where(falls, fixed - counts, 0.0)
                _tell_falls(metric, bounds, drops, about.times_s[columns], about)
            result = _bucket_quantile(quantile[columns], bounds, fixed)
        wanted = quantile[columns]
        result = np.where(wanted < 0, -np.inf, result)
        result = np.where(wanted > 1, np.inf, result)
        return np.where(np.isnan(wanted), np.nan, result)

    return _for_each(grid, about, compute)


def histogram_fraction(grid: Grid, lower: FloatArray, upper: FloatArray, about: About) -> Grid:
    """The share of observations between two bounds (one number of each for each column)."""

    def compute(bounds: FloatArray, counts: FloatArray, columns: IntArray, _: str) -> FloatArray:
        if not math.isinf(bounds[-1]) or bounds[-1] < 0:
            return np.full(len(columns), np.nan)
        return np.array(
            [
                _bucket_fraction(float(lower[column]), float(upper[column]), bounds.tolist(), counts[:, index].tolist())
                for index, column in enumerate(columns.tolist())
            ]
        )

    return _for_each(grid, about, compute)


def _for_each(
    grid: Grid,
    about: About,
    compute: Callable[[FloatArray, FloatArray, IntArray, str], FloatArray],
) -> Grid:
    """Group the buckets of each histogram and compute it wherever it has any."""
    histograms = _histograms(grid.labels, about)
    steps = grid.values.shape[1]
    if not histograms:
        return empty(steps)
    values = np.zeros((len(histograms), steps))
    present = np.zeros((len(histograms), steps), dtype=np.bool_)
    mask = grid.mask()
    for index, buckets in enumerate(histograms.values()):
        about.budget.check_time()
        order = sorted(buckets, key=lambda bucket: bucket[0])
        bounds = np.array([bound for bound, _ in order])
        rows = [row for _, row in order]
        counts, here = grid.values[rows], mask[rows]
        metric = grid.labels[rows[0]].metric_name
        for pattern, columns in _patterns(here):
            merged_bounds, merged_counts = _coalesced(bounds[pattern], counts[pattern][:, columns])
            values[index, columns] = compute(merged_bounds, merged_counts, columns, metric)
            present[index, columns] = True
    return nameless(compact(list(histograms), values, present))


def _histograms(labels: Sequence[Labels], about: About) -> dict[Labels, list[tuple[float, int]]]:
    """(upper bound, row) of the buckets of every histogram. Two metrics are two histograms, also where their labels
    are the same."""
    histograms: dict[Labels, list[tuple[float, int]]] = {}
    for row, series in enumerate(labels):
        text = series.get(_BUCKET_LABEL)
        bound = _bound(text)
        if bound is None:
            about.notes.bad_bucket(series.metric_name, text, about.buckets)
            continue
        histograms.setdefault(series.without((_BUCKET_LABEL,)), []).append((bound, row))
    return histograms


def _bound(text: str) -> float | None:
    """The number of a bucket label, or None; Python reads some texts that Go does not."""
    if "_" in text or text != text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value


def _patterns(here: BoolArray) -> list[tuple[BoolArray, IntArray]]:
    """Which buckets are present together, and in which columns; columns without any are left out."""
    if here.all():
        return [(np.ones(len(here), dtype=np.bool_), np.arange(here.shape[1]))]
    distinct, which = np.unique(here, axis=1, return_inverse=True)
    which = which.reshape(-1)
    return [
        (distinct[:, index], np.flatnonzero(which == index))
        for index in range(distinct.shape[1])
        if distinct[:, index].any()
    ]


def _coalesced(bounds: FloatArray, counts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Buckets with the same bound, written differently, added up."""
    starts = np.flatnonzero(np.concatenate(([True], bounds[1:] != bounds[:-1])))
    if len(starts) == len(bounds):
        return bounds, counts
    return bounds[starts], np.add.reduceat(counts, starts, axis=0)


def _monotonic(counts: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Cumulative counts without decreases, and the places of those too large to be rounding errors."""
    fixed = counts.copy()
    forced = np.zeros(counts.shape, dtype=np.bool_)
    for row in range(1, len(fixed)):
        before, here = fixed[row - 1], fixed[row]
        gap = np.abs(here - before)
        close = (gap > 0) & (gap / (np.abs(here) + np.abs(before)) < _SMALL_DELTA)
        falls = (here < before) & ~close
        forced[row] = falls
        fixed[row] = np.where(close | falls, before, here)
    return fixed, forced


def _tell_falls(metric: str, bounds: FloatArray, drops: FloatArray, times_s: FloatArray, about: About) -> None:
    """Between which buckets and at what times counts fell, and by how much at most: ``drops`` [bound, time]."""
    rows, columns = np.flatnonzero(drops.any(axis=1)), np.flatnonzero(drops.any(axis=0))
    about.notes.forced_monotonic(
        metric,
        about.buckets,
        bounds=(float(bounds[rows[0]]), float(bounds[rows[-1]])),
        change=float(drops.max()),
        times_s=times_s[columns].tolist(),
    )


def _bucket_quantile(quantile: FloatArray, bounds: FloatArray, counts: FloatArray) -> FloatArray:
    observations = counts[-1]
    rank = quantile * observations
    last = len(bounds) - 1
    reached = counts[:-1] >= rank
    bucket = np.where(reached.any(axis=0), reached.argmax(axis=0), last)
    columns = np.arange(counts.shape[1])
    below = np.maximum(bucket - 1, 0)
    start = np.where(bucket > 0, bounds[below], 0.0)
    before = np.where(bucket > 0, counts[below, columns], 0.0)
    end = bounds[bucket]
    result = start + (end - start) * ((rank - before) / (counts[bucket, columns] - before))
    result = np.where((bucket == 0) & (bounds[0] <= 0), bounds[0], result)
    result = np.where(bucket == last, bounds[last - 1], result)
    return np.where(observations == 0, np.nan, result)


def _bucket_fraction(lower: float, upper: float, bounds: list[float], counts: list[float]) -> float:
    total = counts[-1]
    if total == 0 or math.isnan(total) or math.isnan(lower) or math.isnan(upper):
        return math.nan
    if lower >= upper:
        return 0.0
    return (_rank(upper, bounds, counts) - _rank(lower, bounds, counts)) / total


def _rank(value: float, bounds: list[float], counts: list[float]) -> float:
    """How many observations are below a value, linear within a bucket of finite width."""
    rank = 0.0
    below = 0.0 if bounds[0] > 0 else -math.inf
    for bound, count in zip(bounds, counts, strict=True):
        if below >= value:
            return rank
        if bound > value:
            if math.isinf(below):
                return min(count, counts[-1])
            return min(rank + (count - rank) * (value - below) / (bound - below), counts[-1])
        rank, below = count, bound
    return counts[-1]
