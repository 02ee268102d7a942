"""Functions that turn each value of an instant vector into another one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from alerting.model.series import FloatArray, IntArray
from alerting.promql.grid import Grid, compact

_DAY_S = 86_400
# Seconds since the epoch beyond which Go's clock overflows; there, calendar functions answer NaN.
_MOST_S = 9.2e18
# The calendar repeats after 400 years.
_ERA_DAYS = 146_097


def _sign(values: FloatArray) -> FloatArray:
    return np.where(values > 0, 1.0, np.where(values < 0, -1.0, values))


SIMPLE: dict[str, Callable[[FloatArray], FloatArray]] = {
    "abs": np.abs,
    "acos": np.arccos,
    "acosh": np.arccosh,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "ceil": np.ceil,
    "cos": np.cos,
    "cosh": np.cosh,
    "deg": np.degrees,
    "exp": np.exp,
    "floor": np.floor,
    "ln": np.log,
    "log10": np.log10,
    "log2": np.log2,
    "rad": np.radians,
    "sgn": _sign,
    "sin": np.sin,
    "sinh": np.sinh,
    "sqrt": np.sqrt,
    "tan": np.tan,
    "tanh": np.tanh,
}


def rounded(values: FloatArray, nearest: FloatArray | float) -> FloatArray:
    """To the nearest multiple; ties go up. Dividing by the inverse is how Prometheus keeps 0.1 exact."""
    inverse = 1.0 / np.asarray(nearest)
    return np.floor(values * inverse + 0.5) / inverse


def at_most(limit: FloatArray, values: FloatArray) -> FloatArray:
    """Go's math.Min: NaN wins over numbers, and -Inf over NaN."""
    smaller = np.minimum(limit, values)
    return np.where(np.isneginf(limit) | np.isneginf(values), -np.inf, smaller)


def at_least(limit: FloatArray, values: FloatArray) -> FloatArray:
    """Go's math.Max: NaN wins over numbers, and +Inf over NaN."""
    larger = np.maximum(limit, values)
    return np.where(np.isposinf(limit) | np.isposinf(values), np.inf, larger)


def clamp(grid: Grid, least: FloatArray, most: FloatArray) -> Grid:
    """Nothing where ``most`` is below ``least``; both have one number for each column."""
    values = at_least(least, at_most(most, grid.values))
    empty_range = most < least
    if not empty_range.any():
        return grid.with_values(values)
    return compact(grid.labels, values, grid.mask() & ~empty_range)


def _days(values: FloatArray) -> IntArray:
    """Whole days since the epoch; in integers, which are exact far beyond what a float's fraction is."""
    return values.astype(np.int64) // _DAY_S


def _second_of_day(values: FloatArray) -> IntArray:
    return values.astype(np.int64) % _DAY_S


def _dates(values: FloatArray) -> NDArray[np.datetime64]:
    """The days within the first 400 years after 1970."""
    return (_days(values) % _ERA_DAYS).astype("datetime64[D]")


def _since(values: FloatArray, unit: str, within: str) -> FloatArray:
    """How many ``unit`` have passed since the start of the current ``within``."""
    days = _dates(values)
    passed: FloatArray = (days.astype(f"datetime64[{unit}]") - days.astype(f"datetime64[{within}]")).astype(np.float64)
    return passed


def _year(values: FloatArray) -> FloatArray:
    eras = _days(values) // _ERA_DAYS
    years: FloatArray = (_dates(values).astype("datetime64[Y]").astype(np.int64) + 1970 + 400 * eras).astype(np.float64)
    return years


def _days_in_month(values: FloatArray) -> FloatArray:
    month = _dates(values).astype("datetime64[M]")
    length: FloatArray = ((month + 1).astype("datetime64[D]") - month.astype("datetime64[D]")).astype(np.float64)
    return length


_CALENDAR: dict[str, Callable[[FloatArray], FloatArray]] = {
    "day_of_month": lambda values: _since(values, "D", "M") + 1.0,
    "day_of_week": lambda values: ((_days(values) + 4) % 7).astype(np.float64),  # the epoch was a Thursday
    "day_of_year": lambda values: _since(values, "D", "Y") + 1.0,
    "days_in_month": _days_in_month,
    "hour": lambda values: (_second_of_day(values) // 3600).astype(np.float64),
    "minute": lambda values: (_second_of_day(values) % 3600 // 60).astype(np.float64),
    "month": lambda values: _since(values, "M", "Y") + 1.0,
    "year": _year,
}
CALENDAR = frozenset(_CALENDAR)


def calendar(name: str, values: FloatArray) -> FloatArray:
    """A part of the UTC date of values that are seconds since the epoch."""
    usable = np.abs(values) < _MOST_S
    parts = _CALENDAR[name](np.where(usable, values, 0.0))
    return np.where(usable, parts, np.nan)
