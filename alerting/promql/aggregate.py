"""Aggregations that give one series for each group: sum, avg, min, max, count, group, stddev, stdvar, quantile,
count_values. The ones that pick series are in ``ranking``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from alerting.model.labels import METRIC_NAME, Labels
from alerting.model.series import BoolArray, FloatArray
from alerting.promql import nodes
from alerting.promql.annotations import Annotations
from alerting.promql.budget import Budget
from alerting.promql.grid import EMPTY, Grid, compact, empty, merged
from alerting.promql.overtime import quantiles
from alerting.promql.sums import row_sums, scalar_mean, scalar_sum
from alerting.promql.value import format_plain

Reduce = Callable[[FloatArray, BoolArray | None], FloatArray]


def groups_of(expr: nodes.Aggregate, labels: Sequence[Labels]) -> dict[Labels, list[int]]:
    """The rows of each group, groups in order of appearance."""
    if not expr.grouping and not expr.without:
        return {EMPTY: list(range(len(labels)))} if labels else {}
    names = frozenset(expr.grouping)
    groups: dict[Labels, list[int]] = {}
    if expr.without:
        names |= {METRIC_NAME}
        for row, series in enumerate(labels):
            key = Labels([pair for pair in series if pair[0] not in names])
            groups.setdefault(key, []).append(row)
    else:
        for row, series in enumerate(labels):
            key = Labels([pair for pair in series if pair[0] in names])
            groups.setdefault(key, []).append(row)
    return groups


def aggregate(expr: nodes.Aggregate, grid: Grid) -> Grid:
    """Aggregations without a parameter."""
    if not grid.labels:
        return empty(grid.values.shape[1])
    groups = groups_of(expr, grid.labels)
    if grid.values.shape[1] == 1:
        column = grid.values[:, 0].tolist()
        reduce_list = _LISTS[expr.op]
        answers = [reduce_list([column[row] for row in rows]) for rows in groups.values()]
        return Grid(list(groups), np.array(answers, dtype=np.float64).reshape(-1, 1))
    reduce = _COLUMNS[expr.op]
    values = np.empty((len(groups), grid.values.shape[1]))
    present = None if grid.present is None else np.empty(values.shape, dtype=np.bool_)
    for index, rows in enumerate(groups.values()):
        mask = None if grid.present is None else grid.present[rows]
        values[index] = reduce(grid.values[rows], mask)
        if present is not None and mask is not None:
            present[index] = mask.any(axis=0)
    return Grid(list(groups), values, present)


def quantile(expr: nodes.Aggregate, grid: Grid, which: FloatArray, notes: Annotations) -> Grid:
    """``which`` has one number for each column."""
    for wrong in np.unique(which[~((which >= 0) & (which <= 1))]).tolist():
        notes.invalid_quantile(wrong, expr.param or expr)
    groups = groups_of(expr, grid.labels)
    values = np.empty((len(groups), grid.values.shape[1]))
    present = np.empty(values.shape, dtype=np.bool_)
    mask = grid.mask()
    for index, rows in enumerate(groups.values()):
        present[index] = mask[rows].any(axis=0)
        inside = mask[rows].T
        values[index] = quantiles(grid.values[rows].T, inside, which)
    return compact(list(groups), values, present)


def count_values(expr: nodes.Aggregate, grid: Grid, label: str, budget: Budget) -> Grid:
    """How often each value occurs in a group; the value becomes a label."""
    mask = grid.mask()
    steps = grid.values.shape[1]
    counts: dict[Labels, FloatArray] = {}
    for key, rows in groups_of(expr, grid.labels).items():
        for row in rows:
            budget.check_time()
            for column in np.flatnonzero(mask[row]).tolist():
                text = format_plain(float(grid.values[row, column]))
                series = key.merged(((label, text),))
                if series not in counts:
                    budget.take(steps)
                    counts[series] = np.zeros(steps)
                counts[series][column] += 1
    if not counts:
        return empty(steps)
    values = np.array(list(counts.values()))
    return merged(compact(list(counts), values, values > 0))


def _list_sum(values: list[float]) -> float:
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):  # what fsum makes of infinities
        return scalar_sum(values)


def _list_min(values: list[float]) -> float:
    return min((value for value in values if value == value), default=math.nan)  # noqa: PLR0124 - not NaN


def _list_max(values: list[float]) -> float:
    return max((value for value in values if value == value), default=math.nan)  # noqa: PLR0124 - not NaN


def _list_variance(values: list[float]) -> float:
    """Welford's running variance, as Prometheus does it: exactly 0 for equal values, NaN once a value is infinite."""
    mean = spread = 0.0
    for count, value in enumerate(values, 1):
        change = value - mean
        mean += change / count
        spread += change * (value - mean)
    return spread / len(values)


def _column_sum(values: FloatArray, present: BoolArray | None) -> FloatArray:
    sums, lost = row_sums(values, present)
    return sums + lost


def _column_mean(values: FloatArray, present: BoolArray | None) -> FloatArray:
    counts = _column_count(values, present)
    sums, lost = row_sums(values, present)
    means = sums / counts + lost / counts
    for column in np.flatnonzero(~np.isfinite(means)).tolist():
        here = values[:, column] if present is None else values[present[:, column], column]
        if len(here):
            means[column] = scalar_mean(here.tolist())
    return means


def _column_count(values: FloatArray, present: BoolArray | None) -> FloatArray:
    if present is None:
        return np.full(values.shape[1], float(values.shape[0]))
    counts: FloatArray = present.sum(axis=0).astype(np.float64)
    return counts


def _column_variance(values: FloatArray, present: BoolArray | None) -> FloatArray:
    steps = values.shape[1]
    mean, spread, count = np.zeros(steps), np.zeros(steps), np.zeros(steps)
    for row in range(values.shape[0]):
        here = np.ones(steps, dtype=np.bool_) if present is None else present[row]
        count += here
        change = np.where(here, values[row] - mean, 0.0)
        mean = mean + np.where(here, change / count, 0.0)
        spread = spread + np.where(here, change * (values[row] - mean), 0.0)
    return spread / count


def _column_extreme(pick: Callable[..., Any]) -> Reduce:
    def reduce(values: FloatArray, present: BoolArray | None) -> FloatArray:
        found: FloatArray = pick(values if present is None else np.where(present, values, np.nan), axis=0)
        return found

    return reduce


_LISTS: dict[str, Callable[[list[float]], float]] = {
    "avg": scalar_mean,
    "count": lambda values: float(len(values)),
    "group": lambda _: 1.0,
    "max": _list_max,
    "min": _list_min,
    "stddev": lambda values: math.sqrt(_list_variance(values)),
    "stdvar": _list_variance,
    "sum": _list_sum,
}
_COLUMNS: dict[str, Reduce] = {
    "avg": _column_mean,
    "count": _column_count,
    "group": lambda values, _: np.ones(values.shape[1]),
    "max": _column_extreme(np.fmax.reduce),
    "min": _column_extreme(np.fmin.reduce),
    "stddev": lambda values, present: np.sqrt(_column_variance(values, present)),
    "stdvar": _column_variance,
    "sum": _column_sum,
}
