"""Evaluates a checked tree on a grid of times.

Values are: a row of numbers for a scalar (one for each time), a text for a string, a ``Grid`` for an instant vector.
Range vectors exist only as the ``Windows`` a function is applied to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from alerting.model.matcher import Matcher
from alerting.model.series import FloatArray, IntArray, SeriesData
from alerting.promql import binary, nodes, operators, samples
from alerting.promql.aggregate import aggregate, count_values, quantile
from alerting.promql.annotations import Annotations
from alerting.promql.budget import Budget
from alerting.promql.check import literal_text
from alerting.promql.errors import ExecutionError
from alerting.promql.grid import Grid, nameless
from alerting.promql.inspect import reach_ms
from alerting.promql.nodes import unwrapped
from alerting.promql.ranking import pick
from alerting.promql.reads import Reads
from alerting.storage.ports import Querier, QuerySession, QuickQuerier

Evaluated: TypeAlias = FloatArray | str | Grid

# A long range is answered piece by piece, so that only the samples of one piece are in memory.
SLICE_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Evaluator:
    """One query being answered. ``times`` are the evaluation times in milliseconds, ``step_ms`` apart; ``start_ms``
    and ``end_ms`` are the ends of the whole query, also inside of subqueries."""

    querier: Querier
    times: IntArray
    start_ms: int
    end_ms: int
    lookback_ms: int
    subquery_step_ms: int
    budget: Budget
    notes: Annotations
    call: Callable[[Evaluator, nodes.Call], Evaluated]  # functions evaluate their arguments, so they come from outside
    is_range: bool = False
    quick: QuickQuerier | None = None
    session: QuerySession | None = None
    fixed: frozenset[int] = frozenset()  # see ``fixed_parts``
    reads: Reads | None = None

    @property
    def steps(self) -> int:
        return len(self.times)

    def seconds(self) -> FloatArray:
        """The evaluation times as the query language sees them."""
        return self.times / 1000.0

    def value(self, expr: nodes.Expr) -> Evaluated:
        self.budget.check_time()
        if self.fixed and self.steps > 1 and id(expr) in self.fixed:
            return self._once(expr)
        match expr:
            case nodes.Paren(inner):
                return self.value(inner)
            case nodes.NumberLiteral(number):
                return np.full(self.steps, number)
            case nodes.StringLiteral(text):
                return text
            case nodes.VectorSelector():
                return self.select(expr)[0]
            case nodes.Negation(inner):
                operand = self.value(inner)
                if isinstance(operand, Grid):
                    return nameless(operand.with_values(-operand.values))
                return -_numbers(operand)
            case nodes.Binary():
                return self._binary(expr)
            case nodes.Aggregate():
                return self._aggregate(expr)
            case nodes.Call():
                return self.call(self, expr)
            case _:
                raise ExecutionError(f"{type(expr).__name__} cannot be evaluated here")

    def _once(self, expr: nodes.Expr) -> Evaluated:
        """The value of a part that is the same at every evaluation time, as a grid or row of them all."""
        value = replace(self, times=self.times[:1]).value(expr)
        if isinstance(value, Grid):
            self.budget.take(len(value.labels) * self.steps)
            return self._at_every_time(value, value.values)[0]
        return value if isinstance(value, str) else np.repeat(value, self.steps)

    def vector(self, expr: nodes.Expr) -> Grid:
        value = self.value(expr)
        if not isinstance(value, Grid):
            raise ExecutionError("expected an instant vector")
        return value

    def scalar(self, expr: nodes.Expr) -> FloatArray:
        """One number for each evaluation time."""
        return _numbers(self.value(expr))

    def select(self, selector: nodes.VectorSelector) -> tuple[Grid, FloatArray]:
        """The values of a selector and the times of their samples in seconds."""
        times = self._selected_times(selector.at, selector.offset_ms)
        if len(times) == 1 and self.quick is not None:
            instant = self.quick.latest(selector.matchers, int(times[0]), self.lookback_ms)
            if instant is not None:
                self.budget.take(len(instant.labels) * self.steps)
                return self._at_every_time(*samples.at_once(instant))
        if self.session is not None:
            found = self.session.at(selector.matchers, times, self.lookback_ms)
        else:
            found = self._read(selector.matchers, int(times[0]) - self.lookback_ms + 1, int(times[-1]))
        read = sum([len(series.times) for series in found]) if len(times) > 1 else 0
        self.budget.take(read + len(found) * self.steps)
        grid, stamps = samples.latest(found, times, self.lookback_ms)
        return (grid, stamps) if len(times) > 1 else self._at_every_time(grid, stamps)

    def windows(self, expr: nodes.Expr) -> samples.Windows:
        """The range vector of a selector or subquery at every evaluation time."""
        expr = unwrapped(expr)
        if isinstance(expr, nodes.MatrixSelector):
            selector = expr.selector
            ends = self._selected_times(selector.at, selector.offset_ms)
            first, last = int(ends[0]) - expr.range_ms + 1, int(ends[-1])
            runs = self.quick.recent(selector.matchers, first, last) if self.quick is not None else None
            if runs is not None:
                found = samples.from_runs(runs)
            else:
                found = samples.from_series(self._read(selector.matchers, first, last))
        elif isinstance(expr, nodes.Subquery):
            ends = self._selected_times(expr.at, expr.offset_ms)
            found = self._subquery(expr, int(ends[0]) - expr.range_ms, int(ends[-1]))
        else:
            raise ExecutionError("expected a range vector")
        self.budget.take(len(found.times) + len(found.labels) * self.steps)
        window = samples.windows(found, ends, expr.range_ms, self.times, self.budget)
        if len(ends) < self.steps:
            shape = (len(found.labels), self.steps)
            # A fixed window looks the same from every time; the functions expect a column for each.
            low = np.ascontiguousarray(np.broadcast_to(window.low, shape))
            high = np.ascontiguousarray(np.broadcast_to(window.high, shape))
            return replace(window, low=low, high=high, ends=np.repeat(ends, self.steps))
        return window

    def _subquery(self, expr: nodes.Subquery, after_ms: int, last_ms: int) -> samples.Samples:
        """The inner expression at all multiples of the step in (after, last]."""
        step = expr.step_ms or self.subquery_step_ms
        first = (after_ms // step + 1) * step
        count = max((last_ms - first) // step + 1, 0)
        self.budget.take(count)
        times = first + step * np.arange(count, dtype=np.int64)
        pieces = []
        for part in slices(times, step, reach_ms(expr.expr)):
            before = self.budget.taken
            grid = replace(self, times=part, is_range=True).vector(expr.expr)
            pieces.append(samples.from_grid(grid, part))
            if len(part) < count:
                self.budget.let_go(self.budget.taken - before)
                self.budget.take(len(pieces[-1].times))
        return samples.joined(pieces)

    def _read(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[SeriesData]:
        return (self.reads or self.querier).select(matchers, start_ms, end_ms)

    def _selected_times(self, at: nodes.At | None, offset_ms: int) -> IntArray:
        """The times a selector looks at: one when it is fixed by ``@``."""
        if at is None:
            return self.times - offset_ms
        fixed = {"start": self.start_ms, "end": self.end_ms}[at] if isinstance(at, str) else at
        return np.array([fixed - offset_ms], dtype=np.int64)

    def _at_every_time(self, grid: Grid, stamps: FloatArray) -> tuple[Grid, FloatArray]:
        """One column repeated for every evaluation time."""
        if self.steps == 1:
            return grid, stamps
        present = None if grid.present is None else np.repeat(grid.present, self.steps, axis=1)
        spread = Grid(grid.labels, np.repeat(grid.values, self.steps, axis=1), present)
        return spread, np.repeat(stamps, self.steps, axis=1)

    def _binary(self, expr: nodes.Binary) -> Evaluated:
        left, right = self.value(expr.left), self.value(expr.right)
        if isinstance(left, Grid) and isinstance(right, Grid):
            return binary.between_vectors(expr, left, right, self.budget)
        if isinstance(left, Grid):
            return operators.with_scalar(expr.op, left, _numbers(right), swapped=False, return_bool=expr.return_bool)
        if isinstance(right, Grid):
            return operators.with_scalar(expr.op, right, _numbers(left), swapped=True, return_bool=expr.return_bool)
        return operators.combine(expr.op, _numbers(left), _numbers(right))

    def _aggregate(self, expr: nodes.Aggregate) -> Grid:
        grid = self.vector(expr.expr)
        if expr.param is None:
            return aggregate(expr, grid)
        if expr.op == "count_values":
            return count_values(expr, grid, literal_text(expr.param), self.budget)
        parameter = self.scalar(expr.param)
        if expr.op == "quantile":
            return quantile(expr, grid, parameter, self.notes)
        return pick(expr, grid, parameter)


def slices(times: IntArray, step_ms: int, reach: int) -> list[IntArray]:
    """Evaluation times in pieces; each is long against what it reads before its first time (``reach_ms``)."""
    size = max(SLICE_MS, 2 * reach) // step_ms + 1
    return [times[start : start + size] for start in range(0, len(times), size)]


def _numbers(value: Evaluated) -> FloatArray:
    if isinstance(value, Grid | str):
        raise ExecutionError("expected a scalar")
    return value
