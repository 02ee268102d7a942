"""The door of this room: parsed expressions and a querier in, results out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from alerting.model.labels import Labels
from alerting.model.series import IntArray
from alerting.promql import nodes, samples
from alerting.promql.annotations import Annotations
from alerting.promql.budget import Budget, Patience
from alerting.promql.check import kind_of
from alerting.promql.errors import QueryError
from alerting.promql.evaluate import Evaluated, Evaluator, slices
from alerting.promql.fixed import fixed_parts
from alerting.promql.functions import call
from alerting.promql.grid import Grid
from alerting.promql.inspect import reach_ms
from alerting.promql.reads import Reads
from alerting.promql.value import Matrix, Result, Scalar, Series, String, Value, Vector
from alerting.storage.ports import PerQuery, Querier, QuickQuerier

LOOKBACK_MS = 300_000
SUBQUERY_STEP_MS = 60_000
MAX_SAMPLES = 20_000_000  # 16 bytes each at most while a query runs; Prometheus' limit is 50 million
MAX_STEPS = 1_000_000


class Engine:
    """Answers queries over what a ``Querier`` has. Holds no state between queries; may be used from many threads."""

    def __init__(
        self,
        querier: Querier,
        *,
        lookback_ms: int = LOOKBACK_MS,
        max_samples: int = MAX_SAMPLES,
        subquery_step_ms: int = SUBQUERY_STEP_MS,
    ) -> None:
        self.use(querier)
        self._lookback_ms = lookback_ms
        self._max_samples = max_samples
        self._subquery_step_ms = subquery_step_ms

    def use(self, querier: Querier) -> None:
        """Answer from another querier from the next query on."""
        per_query = querier if isinstance(querier, PerQuery) else None
        quick = querier if isinstance(querier, QuickQuerier) else None
        self._sources = (querier, quick, per_query)  # one assignment: queries run meanwhile

    def instant(
        self,
        expr: nodes.Expr,
        time_ms: int,
        *,
        deadline: float | None = None,
        patience: Patience | None = None,
        lookback_ms: int | None = None,
    ) -> Result:
        """The value of an expression at one time.

        ``deadline`` is a reading of time.monotonic(); ``patience`` is one that can also be given up. Raises
        ExecutionError, QueryTimeout and QueryCanceled.
        """
        times = np.array([time_ms], dtype=np.int64)
        evaluator = self._evaluator(times, patience or Patience(deadline), lookback_ms, is_range=False)
        with np.errstate(all="ignore"):
            value = _instant_value(evaluator, expr, time_ms)
        return Result(value, evaluator.notes.warnings, evaluator.notes.infos, evaluator.budget.taken)

    def range(
        self,
        expr: nodes.Expr,
        start_ms: int,
        end_ms: int,
        step_ms: int,
        *,
        deadline: float | None = None,
        patience: Patience | None = None,
        lookback_ms: int | None = None,
    ) -> Result:
        """The value of an expression at start, start + step, ... up to and including end: a Matrix.

        Raises QueryError for a strange range or an expression that has no range result, and what ``instant`` raises.
        """
        if step_ms <= 0:
            raise QueryError("zero or negative query resolution step widths are not accepted")
        if end_ms < start_ms:
            raise QueryError("end timestamp must not be before start time")
        steps = (end_ms - start_ms) // step_ms + 1
        if steps > MAX_STEPS:
            raise QueryError(f"the range has {steps} steps; at most {MAX_STEPS} are accepted")
        kind = kind_of(expr)
        if kind in ("string", "matrix"):
            shown = "range vector" if kind == "matrix" else kind
            raise QueryError(f'invalid expression type "{shown}" for range query, must be Scalar or instant Vector')
        times = start_ms + step_ms * np.arange(steps, dtype=np.int64)
        patience = patience or Patience(deadline)
        evaluator = self._evaluator(times, patience, lookback_ms, is_range=True)
        fixed = fixed_parts(expr)
        points = Budget(self._max_samples, patience)
        collected: dict[Labels, list[Series]] = {}
        taken = 0
        with np.errstate(all="ignore"):
            for part in slices(times, step_ms, reach_ms(expr)):
                budget = Budget(self._max_samples, patience)
                reads = Reads(expr, evaluator.querier)
                piece = replace(evaluator, times=part, budget=budget, fixed=fixed, reads=reads)
                for series in _series(piece.value(expr), part):
                    points.take(len(series.times))
                    collected.setdefault(series.labels, []).append(series)
                taken += budget.taken
        matrix = Matrix([_joined(pieces) for _, pieces in sorted(collected.items())])
        return Result(matrix, evaluator.notes.warnings, evaluator.notes.infos, taken)

    def _evaluator(self, times: IntArray, patience: Patience, lookback_ms: int | None, *, is_range: bool) -> Evaluator:
        notes = Annotations()
        querier, quick, per_query = self._sources
        session = None
        if per_query is not None:
            querier = session = per_query.begin(patience.deadline, notes.of_storage)
            quick = session.quick
        return Evaluator(
            querier=querier,
            quick=quick,
            session=session,
            times=times,
            start_ms=int(times[0]),
            end_ms=int(times[-1]),
            lookback_ms=self._lookback_ms if lookback_ms is None else lookback_ms,
            subquery_step_ms=self._subquery_step_ms,
            budget=Budget(self._max_samples, patience),
            notes=notes,
            call=call,
            is_range=is_range,
        )


def _instant_value(evaluator: Evaluator, expr: nodes.Expr, time_ms: int) -> Value:
    if kind_of(expr) == "matrix":
        return _raw(evaluator.windows(expr))
    value = evaluator.value(expr)
    if isinstance(value, Grid):
        return Vector(time_ms, value.labels, value.values[:, 0].tolist())
    if isinstance(value, str):
        return String(time_ms, value)
    return Scalar(time_ms, float(value[0]))


def _raw(window: samples.Windows) -> Matrix:
    """The samples of the windows of an instant query."""
    found = []
    for row, labels in enumerate(window.labels):
        part = slice(int(window.low[row, 0]), int(window.high[row, 0]))
        if part.stop > part.start:
            found.append(Series(labels, window.samples.times[part], window.samples.values[part]))
    return Matrix(sorted(found, key=lambda series: series.labels))


def _series(value: Evaluated, times: IntArray) -> Iterator[Series]:
    """The rows of a grid, or the one of a scalar, without the times where they have no value."""
    if not isinstance(value, Grid):
        yield Series(Labels(), times, np.asarray(value, dtype=np.float64))
        return
    for row, labels in enumerate(value.labels):
        if value.present is None:
            yield Series(labels, times, value.values[row])
        else:
            here = value.present[row]
            if here.any():
                yield Series(labels, times[here], value.values[row][here])


def _joined(pieces: list[Series]) -> Series:
    if len(pieces) == 1:
        return pieces[0]
    times = np.concatenate([piece.times for piece in pieces])
    return Series(pieces[0].labels, times, np.concatenate([piece.values for piece in pieces]))
