"""What each function does, by name; ``signatures`` says what it takes."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from alerting.model.labels import Labels
from alerting.model.series import BoolArray, FloatArray
from alerting.promql import elementwise, histogram, nodes, overtime, rates, relabel
from alerting.promql.check import literal_text
from alerting.promql.evaluate import Evaluated, Evaluator
from alerting.promql.grid import Grid, any_series, compact, merged, nameless, single
from alerting.promql.nodes import unwrapped
from alerting.promql.overtime import Answer
from alerting.promql.samples import Windows
from alerting.promql.signatures import KEEPS_NAME

Function = Callable[[Evaluator, nodes.Call], Evaluated]


def call(evaluator: Evaluator, expr: nodes.Call) -> Evaluated:
    """The value of a function call whose arguments were checked."""
    if expr.func in elementwise.SIMPLE:
        grid = evaluator.vector(expr.args[0])
        return nameless(grid.with_values(elementwise.SIMPLE[expr.func](grid.values)))
    if expr.func in _OVER_WINDOWS:
        return _over_windows(evaluator, expr, _OVER_WINDOWS[expr.func])
    if expr.func in elementwise.CALENDAR:
        return _calendar(evaluator, expr)
    return _OTHERS[expr.func](evaluator, expr)


_OVER_WINDOWS: dict[str, Callable[[Windows], Answer]] = {
    "avg_over_time": overtime.avg_over_time,
    "changes": overtime.changes,
    "count_over_time": overtime.count_over_time,
    "delta": rates.delta,
    "deriv": overtime.deriv,
    "first_over_time": overtime.first_over_time,
    "idelta": rates.idelta,
    "increase": rates.increase,
    "irate": rates.irate,
    "last_over_time": overtime.last_over_time,
    "max_over_time": overtime.max_over_time,
    "min_over_time": overtime.min_over_time,
    "present_over_time": overtime.present_over_time,
    "rate": rates.rate,
    "resets": overtime.resets,
    "stddev_over_time": overtime.stddev_over_time,
    "stdvar_over_time": overtime.stdvar_over_time,
    "sum_over_time": overtime.sum_over_time,
}


def _over_windows(evaluator: Evaluator, expr: nodes.Call, function: Callable[[Windows], Answer]) -> Grid:
    window = evaluator.windows(expr.args[0])
    answer = function(window)
    if expr.func in ("rate", "increase"):
        answered = np.logical_or.reduce(answer[1], axis=1).tolist()
        for name in sorted({labels.metric_name for labels, here in zip(window.labels, answered, strict=True) if here}):
            evaluator.notes.rated(name, expr.args[0])
    return _answered(window, answer, keep_name=expr.func in KEEPS_NAME)


def _answered(window: Windows, answer: Answer, *, keep_name: bool = False) -> Grid:
    values, here = answer
    grid = compact(window.labels, values, here)
    return merged(grid) if keep_name else nameless(grid)


def _calendar(evaluator: Evaluator, expr: nodes.Call) -> Grid:
    if not expr.args:
        return single(elementwise.calendar(expr.func, evaluator.seconds()))
    grid = evaluator.vector(expr.args[0])
    return nameless(grid.with_values(elementwise.calendar(expr.func, grid.values)))


def _timestamp(evaluator: Evaluator, expr: nodes.Call) -> Grid:
    argument = unwrapped(expr.args[0])
    if isinstance(argument, nodes.VectorSelector):
        grid, stamps = evaluator.select(argument)
        return nameless(grid.with_values(stamps))
    grid = evaluator.vector(argument)
    return nameless(grid.with_values(np.broadcast_to(evaluator.seconds(), grid.values.shape).copy()))


def _round(evaluator: Evaluator, expr: nodes.Call) -> Grid:
    grid = evaluator.vector(expr.args[0])
    nearest: FloatArray | float = evaluator.scalar(expr.args[1]) if len(expr.args) > 1 else 1.0
    return nameless(grid.with_values(elementwise.rounded(grid.values, nearest)))


def _clamp(evaluator: Evaluator, expr: nodes.Call) -> Grid:
    least, most = evaluator.scalar(expr.args[1]), evaluator.scalar(expr.args[2])
    return nameless(elementwise.clamp(evaluator.vector(expr.args[0]), least, most))


def _clamp_max(evaluator: Evaluator, expr: nodes.Call) -> Grid:
    grid = evaluator.vector(expr.args[0])
    return nameless(grid.with_values(elementwise.at_most(evaluator.scalar(expr.args[1]), grid.values)))


def _clamp_min(evaluator: Evaluator, expr: nodes.Call) -> Grid:
    grid = evaluator.vector(expr.args[0])
    return nameless(grid.with_values(elementwise.at_least(evaluator.scalar(expr.args[1]), grid.values)))


def _predict_linear(evaluator: Evaluator, expr: nodes.Call) -> Grid:
    window = evaluator.windows(expr.args[0])
    return _answered(window, overtime.predict_linear(window, evaluator.scalar(expr.args[1])))


def _quantile_over_time(evaluator: Evaluator, expr: nodes.Call) -> Grid:
    window = evaluator.windows(expr.args[1])
    wanted = evaluator.scalar(expr.args[0])
    answer = overtime.quantile_over_time(window, wanted)
    asked = wanted[answer[1].any(axis=0)]
    for wrong in np.unique(asked[~((asked >= 0) & (asked <= 1))]).tolist():
        evaluator.notes.invalid_quantile(wrong, expr.args[0])
    return _answered(window, answer)


def _histogram_quantile(evaluator: Evaluator, expr: nodes.Call) -> Grid:
    wanted = evaluator.scalar(expr.args[0])
    about = histogram.About(expr.args[1], expr.args[0], evaluator.seconds(), evaluator.notes, evaluator.budget)
    return histogram.histogram_quantile(evaluator.vector(expr.args[1]), wanted, about)


def _histogram_fraction(evaluator: Evaluator, expr: nodes.Call) -> Grid:
    lower, upper = evaluator.scalar(expr.args[0]), evaluator.scalar(expr.args[1])
    about = histogram.About(expr.args[2], expr.args[2], evaluator.seconds(), evaluator.notes, evaluator.budget)
    return histogram.histogram_fraction(evaluator.vector(expr.args[2]), lower, upper, about)


def _label_replace(evaluator: Evaluator, expr: nodes.Call) -> Grid:
    target, template, source, pattern = map(literal_text, expr.args[1:])
    return relabel.label_replace(evaluator.vector(expr.args[0]), target, template, source, pattern)


def _label_join(evaluator: Evaluator, expr: nodes.Call) -> Grid:
    target, separator, *sources = map(literal_text, expr.args[1:])
    return relabel.label_join(evaluator.vector(expr.args[0]), target, separator, sources)


def _absent(evaluator: Evaluator, expr: nodes.Call) -> Grid:
    argument = unwrapped(expr.args[0])
    labels = relabel.absent_labels(argument.matchers) if isinstance(argument, nodes.VectorSelector) else Labels()
    return _where_nothing(evaluator.vector(argument), evaluator.steps, labels)


def _absent_over_time(evaluator: Evaluator, expr: nodes.Call) -> Grid:
    argument = unwrapped(expr.args[0])
    labels = Labels()
    if isinstance(argument, nodes.MatrixSelector):
        labels = relabel.absent_labels(argument.selector.matchers)
    window = evaluator.windows(argument)
    return _where_nothing(compact(window.labels, np.ones(window.low.shape), window.counts > 0), evaluator.steps, labels)


def _where_nothing(grid: Grid, steps: int, labels: Labels) -> Grid:
    nothing: BoolArray = np.ones(steps, dtype=np.bool_)
    if grid.labels:
        nothing = ~any_series(grid.mask())
    return single(np.ones(steps), nothing, labels)


def _scalar(evaluator: Evaluator, expr: nodes.Call) -> FloatArray:
    """The value of the only element; NaN where there is none or several."""
    grid = evaluator.vector(expr.args[0])
    if not grid.labels:
        return np.full(evaluator.steps, np.nan)
    mask = grid.mask()
    only: FloatArray = np.where(mask, grid.values, 0.0).sum(axis=0)
    return np.where(mask.sum(axis=0) == 1, only, np.nan)


def _sort(evaluator: Evaluator, expr: nodes.Call) -> Grid:
    """By value, NaN last. Results of range queries are sorted by labels in any case."""
    grid = evaluator.vector(expr.args[0])
    if evaluator.is_range:
        evaluator.notes.sort_in_range_query(expr)
        return grid
    sign = -1.0 if expr.func == "sort_desc" else 1.0
    values = [sign * value for value in grid.values[:, 0].tolist()]
    keys = [(math.isnan(value), value if value == value else 0.0) for value in values]  # noqa: PLR0124 - not NaN
    return grid.take(sorted(range(len(keys)), key=keys.__getitem__))


_OTHERS: dict[str, Function] = {
    "absent": _absent,
    "absent_over_time": _absent_over_time,
    "clamp": _clamp,
    "clamp_max": _clamp_max,
    "clamp_min": _clamp_min,
    "histogram_fraction": _histogram_fraction,
    "histogram_quantile": _histogram_quantile,
    "label_join": _label_join,
    "label_replace": _label_replace,
    "pi": lambda evaluator, _: np.full(evaluator.steps, math.pi),
    "predict_linear": _predict_linear,
    "quantile_over_time": _quantile_over_time,
    "round": _round,
    "scalar": _scalar,
    "sort": _sort,
    "sort_desc": _sort,
    "time": lambda evaluator, _: evaluator.seconds(),
    "timestamp": _timestamp,
    "vector": lambda evaluator, expr: single(evaluator.scalar(expr.args[0])),
}
