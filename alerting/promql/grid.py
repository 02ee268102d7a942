"""Instant vectors over a whole grid of evaluation times.

A row is a series, a column is a time. ``present`` tells where a series has a value (NaN is a value); None means
everywhere. Values at absent places are arbitrary and must not be read.
An instant query is a grid with one column, and then every row is present: rows without a value are taken out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alerting.model.labels import METRIC_NAME, Labels
from alerting.model.series import BoolArray, FloatArray, IntArray
from alerting.promql.errors import ExecutionError

EMPTY = Labels()
# What a function or operator makes untrue (schema/labels.go of Prometheus).
METADATA = (METRIC_NAME, "__type__", "__unit__")


@dataclass(slots=True)
class Grid:
    """``values`` is float64 [series, times]; ``present`` bool of the same shape or None for all."""

    labels: Sequence[Labels]
    values: FloatArray
    present: BoolArray | None = None

    def mask(self) -> BoolArray:
        """``present`` as an array."""
        if self.present is None:
            return np.ones(self.values.shape, dtype=np.bool_)
        return self.present

    def take(self, rows: IntArray | list[int]) -> Grid:
        """The rows with these indices, in this order."""
        present = None if self.present is None else self.present[rows]
        return Grid([self.labels[row] for row in rows], self.values[rows], present)

    def with_values(self, values: FloatArray) -> Grid:
        return Grid(self.labels, values, self.present)


def empty(steps: int) -> Grid:
    return Grid([], np.empty((0, steps)))


def compact(labels: Sequence[Labels], values: FloatArray, present: BoolArray) -> Grid:
    """A grid without the rows that have no value at all."""
    if values.shape[1] == 1:
        column = present[:, 0]
        if column.all():
            return Grid(labels, values)
        rows = np.flatnonzero(column)
        return Grid([labels[row] for row in rows.tolist()], values[rows])
    if present.all():
        return Grid(labels, values)
    rows = np.flatnonzero(present.any(axis=1))
    if len(rows) == len(labels):
        return Grid(labels, values, present)
    return Grid([labels[row] for row in rows.tolist()], values[rows], present[rows])


def single(values: FloatArray, present: BoolArray | None = None, labels: Labels = EMPTY) -> Grid:
    """A grid of one series from one row of values."""
    if present is None:
        return Grid([labels], values.reshape(1, -1))
    return compact([labels], values.reshape(1, -1), present.reshape(1, -1))


def any_series(mask: BoolArray) -> BoolArray:
    """The columns in which at least one row is marked."""
    found: BoolArray = np.logical_or.reduce(mask, axis=0)
    return found


def drop_name(labels: Labels) -> Labels:
    """The labels without those that say what the value is: metric name, type and unit."""
    if labels and labels[0][0] == METRIC_NAME and (len(labels) == 1 or labels[1][0][:2] != "__"):
        return Labels(labels[1:])
    # Upper case letters sort before the underscore.
    return labels.without(METADATA) if any(labels.get(name) for name in METADATA) else labels


def nameless(grid: Grid) -> Grid:
    """The same values under labels without metric names; see ``merged``."""
    return merged(Grid([drop_name(labels) for labels in grid.labels], grid.values, grid.present))


def merged(grid: Grid) -> Grid:
    """Rows with the same labels put together where they do not overlap in time.

    Raises ExecutionError when they do.
    """
    if len(set(grid.labels)) == len(grid.labels):
        return grid
    present = grid.mask()
    first: dict[Labels, int] = {}
    values = grid.values.copy()
    taken = present.copy()
    for row, labels in enumerate(grid.labels):
        target = first.setdefault(labels, row)
        if target == row:
            continue
        here = present[row]
        if (taken[target] & here).any():
            raise ExecutionError("vector cannot contain metrics with the same labelset")
        values[target] = np.where(here, grid.values[row], values[target])
        taken[target] |= here
    rows = list(first.values())
    return Grid([grid.labels[row] for row in rows], values[rows], taken[rows])
