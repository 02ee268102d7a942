"""topk and bottomk: aggregations that pick series and keep them as they are."""

from __future__ import annotations

import math

import numpy as np

from alerting.model.series import BoolArray, FloatArray
from alerting.promql import nodes
from alerting.promql.aggregate import groups_of
from alerting.promql.errors import ExecutionError
from alerting.promql.grid import Grid, compact, empty
from alerting.promql.value import format_general

_INT64 = 2.0**63


def pick(expr: nodes.Aggregate, grid: Grid, limit: FloatArray) -> Grid:
    """The ``limit`` (one number for each column) largest or smallest of every group; NaN comes last.

    With one column the rows come in the order of their rank, as Prometheus gives them.
    """
    if (limit < 1).all():
        return empty(grid.values.shape[1])
    if np.isnan(limit).any():
        raise ExecutionError("Parameter value is NaN")
    if limit.min() <= -_INT64:
        raise ExecutionError(f"Scalar value {format_general(float(limit.min()))} underflows int64")
    if limit.max() >= _INT64:
        raise ExecutionError(f"Scalar value {format_general(float(limit.max()))} overflows int64")
    whole = np.trunc(limit)
    if not grid.labels:
        return empty(grid.values.shape[1])
    groups = groups_of(expr, grid.labels)
    if grid.values.shape[1] == 1:
        rows = [row for members in groups.values() for row in _ranked(expr.op, grid, members)[: int(whole[0])]]
        return grid.take(rows)
    keep = np.zeros(grid.values.shape, dtype=np.bool_)
    mask = grid.mask()
    for members in groups.values():
        keep[members] = _kept(expr.op, grid.values[members], mask[members], whole)
    return compact(grid.labels, grid.values, keep)


def _ranked(op: str, grid: Grid, members: list[int]) -> list[int]:
    sign = -1.0 if op == "topk" else 1.0
    values = [float(grid.values[row, 0]) for row in members]
    keys = [(math.isnan(value), 0.0 if math.isnan(value) else sign * value) for value in values]
    return [members[index] for index in sorted(range(len(members)), key=keys.__getitem__)]


def _kept(op: str, values: FloatArray, mask: BoolArray, limit: FloatArray) -> BoolArray:
    """Which of a group's rows are among the first ``limit`` of each column; ties go to the earlier row."""
    is_nan = np.isnan(values)
    category = np.where(mask, is_nan.astype(np.int64), 2)  # values, then NaN, then nothing
    key = np.where(is_nan, 0.0, -values if op == "topk" else values)
    order = np.lexsort((key, category), axis=0)
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(len(values))[:, None], order.shape), axis=0)
    return mask & (rank < limit)
