"""Samples of many series in flat arrays, and the windows of a range vector over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alerting.model.labels import Labels
from alerting.model.series import FloatArray, IntArray, SeriesData, is_stale
from alerting.promql.budget import Budget
from alerting.promql.grid import Grid
from alerting.storage.ports import Instant, Runs


@dataclass(slots=True)
class Samples:
    """Series one after another: series ``i`` is ``times[bounds[i]:bounds[i + 1]]`` and the same of ``values``.

    Times are milliseconds, ascending within a series. No staleness markers.
    """

    labels: list[Labels]
    times: IntArray
    values: FloatArray
    bounds: IntArray

    def series(self, row: int) -> slice:
        return slice(int(self.bounds[row]), int(self.bounds[row + 1]))


def from_series(found: Sequence[SeriesData]) -> Samples:
    """Flat arrays of what a querier gave, staleness markers taken out."""
    labels = [series.labels for series in found]
    bounds = np.zeros(len(found) + 1, dtype=np.int64)
    if not found:
        return Samples([], np.empty(0, dtype=np.int64), np.empty(0), bounds)
    np.cumsum([len(series.times) for series in found], out=bounds[1:])
    times = np.concatenate([series.times for series in found])
    values = np.concatenate([series.values for series in found])
    return _without_markers(labels, times, values, bounds)


def from_runs(runs: Runs) -> Samples:
    """The same of what a quick querier gave."""
    return _without_markers(list(runs.labels), runs.times, runs.values, runs.bounds)


def _without_markers(labels: list[Labels], times: IntArray, values: FloatArray, bounds: IntArray) -> Samples:
    stale = is_stale(values)
    if stale.any():
        before = np.zeros(len(values) + 1, dtype=np.int64)
        np.cumsum(~stale, out=before[1:])
        bounds = before[bounds]
        times, values = times[~stale], values[~stale]
    return Samples(labels, times, values, bounds)


def from_grid(grid: Grid, grid_times: IntArray) -> Samples:
    """The present places of a grid as samples."""
    bounds = np.zeros(len(grid.labels) + 1, dtype=np.int64)
    if grid.present is None:
        rows, steps = grid.values.shape
        bounds[1:] = steps * np.arange(1, rows + 1)
        return Samples(list(grid.labels), np.tile(grid_times, rows), grid.values.reshape(-1), bounds)
    np.cumsum(grid.present.sum(axis=1), out=bounds[1:])
    columns = np.nonzero(grid.present)[1]
    return Samples(list(grid.labels), grid_times[columns], grid.values[grid.present], bounds)


def joined(pieces: Sequence[Samples]) -> Samples:
    """Samples of successive times put together; series in the order in which they appear."""
    if len(pieces) == 1:
        return pieces[0]
    found: dict[Labels, list[SeriesData]] = {}
    for piece in pieces:
        for row, labels in enumerate(piece.labels):
            part = piece.series(row)
            found.setdefault(labels, []).append(SeriesData(labels, piece.times[part], piece.values[part]))
    runs = [run for its in found.values() for run in its]
    bounds = np.zeros(len(found) + 1, dtype=np.int64)
    np.cumsum([sum(len(run.times) for run in its) for its in found.values()], out=bounds[1:])
    if not runs:
        return Samples([], np.empty(0, dtype=np.int64), np.empty(0), bounds)
    times = np.concatenate([run.times for run in runs])
    return Samples(list(found), times, np.concatenate([run.values for run in runs]), bounds)


@dataclass(slots=True)
class Windows:
    """A range vector at many times: window [i, j] holds samples ``low[i, j] <= k < high[i, j]`` of the flat arrays.

    ``ends`` are the right ends of the windows (one for each column, offset applied), ``range_ms`` their length;
    ``eval_times`` the times the query asks for. Functions that take long ask ``budget`` whether there is time left.
    """

    samples: Samples
    low: IntArray
    high: IntArray
    ends: IntArray
    range_ms: int
    eval_times: IntArray
    budget: Budget

    @property
    def labels(self) -> list[Labels]:
        return self.samples.labels

    @property
    def counts(self) -> IntArray:
        return self.high - self.low


def windows(samples: Samples, ends: IntArray, range_ms: int, eval_times: IntArray, budget: Budget) -> Windows:
    """The windows (end - range, end] of every series."""
    rows = len(samples.labels)
    if len(ends) == 1 and _all_inside(samples.times, int(ends[0]) - range_ms, int(ends[0])):
        # What an instant query was given is its window.
        low, high = samples.bounds[:-1].reshape(-1, 1), samples.bounds[1:].reshape(-1, 1)
        return Windows(samples, low, high, ends, range_ms, eval_times, budget)
    if len(ends) == 1:
        # Times are compared on the flat array: no Python work for each series.
        before = np.zeros(len(samples.times) + 1, dtype=np.int64)
        np.cumsum(samples.times <= ends[0] - range_ms, out=before[1:])
        upto = np.zeros(len(samples.times) + 1, dtype=np.int64)
        np.cumsum(samples.times <= ends[0], out=upto[1:])
        starts = samples.bounds[:-1]
        low = starts + before[samples.bounds[1:]] - before[starts]
        high = starts + upto[samples.bounds[1:]] - upto[starts]
        return Windows(samples, low.reshape(-1, 1), high.reshape(-1, 1), ends, range_ms, eval_times, budget)
    low = np.empty((rows, len(ends)), dtype=np.int64)
    high = np.empty((rows, len(ends)), dtype=np.int64)
    starts_ms = ends - range_ms
    shared: IntArray | None = None
    first, last = ends, ends
    for row in range(rows):
        budget.check_time()
        part = samples.series(row)
        times = samples.times[part]
        if shared is None or not np.array_equal(times, shared):  # the series of a target mostly have the same times
            shared = times
            first = np.searchsorted(times, starts_ms, side="right")
            last = np.searchsorted(times, ends, side="right")
        low[row] = first + part.start
        high[row] = last + part.start
    return Windows(samples, low, high, ends, range_ms, eval_times, budget)


def _all_inside(times: IntArray, after_ms: int, last_ms: int) -> bool:
    return not len(times) or (int(times.min()) > after_ms and int(times.max()) <= last_ms)


def latest(found: Sequence[SeriesData], times: IntArray, lookback_ms: int) -> tuple[Grid, FloatArray]:
    """The newest sample of each series at each time, no older than the lookback and no staleness marker.

    Also the times of these samples in seconds, in the shape of the grid's values.
    """
    if len(times) == 1:
        return _latest_at(found, int(times[0]), lookback_ms)
    shape = (len(found), len(times))
    values = np.empty(shape)
    stamps = np.empty(shape)
    present = np.empty(shape, dtype=np.bool_)
    shared: IntArray | None = None
    index, stamp, here = times, times, np.empty(0, dtype=np.bool_)
    for row, series in enumerate(found):
        if series.times is not shared:  # the series of a target mostly share their times
            shared = series.times
            index = np.searchsorted(shared, times, side="right") - 1
            here = index >= 0
            index[~here] = 0
            stamp = shared[index]
            here &= stamp > times - lookback_ms
        value = series.values[index]
        values[row], stamps[row], present[row] = value, stamp, here & ~is_stale(value)
    stamps /= 1000.0
    rows = np.flatnonzero(present.any(axis=1)).tolist()
    labels = [found[row].labels for row in rows]
    if len(rows) < len(found):
        values, stamps, present = values[rows], stamps[rows], present[rows]
    return Grid(labels, values, None if present.all() else present), stamps


def at_once(instant: Instant) -> tuple[Grid, FloatArray]:
    """What ``latest`` gives for one time, when the querier knew it."""
    return Grid(instant.labels, instant.values.reshape(-1, 1)), instant.times.reshape(-1, 1) / 1000.0


def _latest_at(found: Sequence[SeriesData], time_ms: int, lookback_ms: int) -> tuple[Grid, FloatArray]:
    """One time: plain Python numbers are quicker than arrays of one element."""
    oldest = time_ms - lookback_ms
    labels, values, stamps = [], [], []
    for series in found:
        stamp = series.times.item(-1)
        index = -1
        if stamp > time_ms:
            index = int(np.searchsorted(series.times, time_ms, side="right")) - 1
            if index < 0:
                continue
            stamp = series.times.item(index)
        if stamp > oldest:
            labels.append(series.labels)
            values.append(series.values.item(index))
            stamps.append(stamp)
    column = np.array(values, dtype=np.float64).reshape(-1, 1)
    stamp_column = np.array(stamps, dtype=np.float64).reshape(-1, 1) / 1000.0
    stale = is_stale(column)[:, 0]
    if stale.any():
        rows = np.flatnonzero(~stale)
        return Grid([labels[row] for row in rows.tolist()], column[rows]), stamp_column[rows]
    return Grid(labels, column), stamp_column
