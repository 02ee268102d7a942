"""Binary operators between numbers: arithmetic, comparison. Numpy's float64 rules are Go's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from alerting.model.series import BoolArray, FloatArray
from alerting.promql.grid import Grid, compact, nameless

_ARITHMETIC: dict[str, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
    "^": np.power,
    "atan2": np.arctan2,
}
_COMPARISON: dict[str, Callable[[FloatArray, FloatArray], BoolArray]] = {
    "==": np.equal,
    "!=": np.not_equal,
    ">": np.greater,
    "<": np.less,
    ">=": np.greater_equal,
    "<=": np.less_equal,
}


def is_comparison(op: str) -> bool:
    return op in _COMPARISON


def drops_name(op: str, return_bool: bool) -> bool:
    """Whether the result of an operator is another quantity than its left side."""
    return return_bool or op in _ARITHMETIC


def combine(op: str, left: FloatArray, right: FloatArray) -> FloatArray:
    """Arithmetic, or a comparison as 0 and 1."""
    if op in _ARITHMETIC:
        return _ARITHMETIC[op](left, right)
    return _COMPARISON[op](left, right).astype(np.float64)


def holds(op: str, left: FloatArray, right: FloatArray) -> BoolArray:
    return _COMPARISON[op](left, right)


def with_scalar(op: str, grid: Grid, scalar: FloatArray, *, swapped: bool, return_bool: bool) -> Grid:
    """A vector and a scalar (one number for each column); ``swapped`` when the scalar stands on the left."""
    left, right = (scalar, grid.values) if swapped else (grid.values, scalar)
    if drops_name(op, return_bool):
        return nameless(grid.with_values(combine(op, left, right)))
    # A filter keeps the vector's value, on whichever side it stands.
    keep = holds(op, left, right)
    if grid.present is not None:
        keep &= grid.present
    return compact(grid.labels, grid.values, keep)
