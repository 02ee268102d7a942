"""Runs the commands of a script against the engine and says what differs."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from alerting.model.labels import Labels
from alerting.model.series import is_stale
from alerting.promql import nodes
from alerting.promql.engine import Engine
from alerting.promql.errors import QueryError
from alerting.promql.parse import parse
from alerting.promql.value import Matrix, Result, Scalar, String, Value, Vector
from tests.promqltest.notation import Sample
from tests.promqltest.script import Clear, Eval, Load, Text, read
from tests.support.memory_querier import MemoryQuerier

TOLERANCE = 0.000001
MINUTE_MS = 60_000

Points = dict[Labels, dict[int, float]]


@dataclass(slots=True)
class Outcome:
    passed: int = 0
    failures: list[str] = field(default_factory=list)


class Mismatch(Exception):
    """The engine's answer is not the expected one."""


def run_file(path: Path) -> Outcome:
    """Run all evals of a file. Raises ScriptError when it cannot be read."""
    querier = MemoryQuerier()
    engine = Engine(querier)
    outcome = Outcome()
    for command in read(path):
        if isinstance(command, Clear):
            querier.clear()
        elif isinstance(command, Load):
            for labels, samples in command.series.items():
                _load(querier, labels, samples, command.interval_ms)
        else:
            try:
                check(engine, command)
            except Mismatch as mismatch:
                outcome.failures.append(f"{path}:{command.line}: {command.query}\n    {mismatch}")
            except Exception as error:
                outcome.failures.append(f"{path}:{command.line}: {command.query}\n    {type(error).__name__}: {error}")
            else:
                outcome.passed += 1
    return outcome


def _load(querier: MemoryQuerier, labels: Labels, samples: Sequence[Sample], interval_ms: int) -> None:
    querier.put(labels, ((index * interval_ms, value) for index, value in enumerate(samples) if value is not None))


def check(engine: Engine, command: Eval) -> None:
    """Compare one eval in all its forms. Raises Mismatch."""
    try:
        expr = parse(command.query)
        result = _evaluate(engine, expr, command)
    except QueryError as error:
        _check_failure(command, error)
        return
    if command.fails:
        raise Mismatch(f"expected to fail, got {_shown(result.value)}")
    _check_notes("warning", result.warnings, command.warnings, none=command.no_warnings)
    _check_notes("info", result.infos, command.infos, none=command.no_infos)
    _check_value(command, result.value)
    if command.is_instant and command.text is None and command.raw is None:
        if not _knows_query_range(expr):
            _check_as_range(engine, expr, command)
        if not _knows_its_time(expr):
            _check_elsewhere(engine, expr, command)


def _evaluate(engine: Engine, expr: nodes.Expr, command: Eval) -> Result:
    if command.raw is not None:
        return engine.instant(expr, command.raw[1])
    if command.is_instant:
        return engine.instant(expr, command.start_ms)
    return engine.range(expr, command.start_ms, command.end_ms, command.step_ms)


def _check_failure(command: Eval, error: QueryError) -> None:
    if not command.fails:
        raise Mismatch(f"failed: {error}")
    for wanted in command.fails:
        if not wanted.accepts(str(error)):
            raise Mismatch(f"failed with {str(error)!r}, expected {wanted}")


def _check_notes(kind: str, found: Sequence[str], wanted: Sequence[Text], *, none: bool) -> None:
    """Messages may be expected with the position at their end, or without it."""
    if none and found:
        raise Mismatch(f"unexpected {kind}: {found[0]}")
    for text in wanted:
        if not any(text.accepts_note(message) for message in found):
            raise Mismatch(f"no {kind} like {text}, only {list(found)}")
    for message in found if wanted else ():
        if not any(text.accepts_note(message) for text in wanted):
            raise Mismatch(f"unexpected {kind}: {message}")


def _check_value(command: Eval, value: Value) -> None:
    if command.text is not None:
        if not isinstance(value, String) or value.value != command.text:
            raise Mismatch(f"expected the string {command.text!r}, got {_shown(value)}")
    elif command.scalar is not None and command.is_instant:
        _check_scalar(command.scalar, value)
    elif command.is_instant and command.raw is None:
        _check_vector(command, value, command.start_ms)
    else:
        start, _, step = command.raw or (command.start_ms, command.end_ms, command.step_ms)
        if not isinstance(value, Matrix):
            raise Mismatch(f"expected a matrix, got {_shown(value)}")
        labels = [series.labels for series in value]
        if labels != sorted(labels):
            raise Mismatch("the series are not sorted by labels")
        _compare(_expected_points(command, start, step), _matrix_points(value))


def _check_scalar(expected: float, value: Value) -> None:
    if not isinstance(value, Scalar) or not equal(value.value, expected):
        raise Mismatch(f"expected the scalar {expected}, got {_shown(value)}")


def _check_vector(command: Eval, value: Value, time_ms: int) -> None:
    if not isinstance(value, Vector):
        raise Mismatch(f"expected an instant vector, got {_shown(value)}")
    if value.time_ms != time_ms:
        raise Mismatch(f"the vector's time is {value.time_ms}, not {time_ms}")
    _compare(_expected_points(command, time_ms, 1), _vector_points(value, time_ms))
    if command.ordered and list(value.labels) != [labels for labels, _ in command.rows]:
        raise Mismatch(f"the order is {', '.join(map(str, value.labels))}")


def _check_as_range(engine: Engine, expr: nodes.Expr, command: Eval) -> None:
    """The same query as the middle step of a range query."""
    middle = command.start_ms
    try:
        result = engine.range(expr, middle - MINUTE_MS, middle + MINUTE_MS, MINUTE_MS)
    except QueryError as error:
        raise Mismatch(f"as a range query: failed: {error}") from error
    if not isinstance(result.value, Matrix):
        raise Mismatch(f"as a range query: expected a matrix, got {_shown(result.value)}")
    expected = _expected_points(command, middle, 1)
    if command.scalar is not None:
        expected = {Labels(): {middle: command.scalar}}
    found = {
        labels: {middle: points[middle]} for labels, points in _matrix_points(result.value).items() if middle in points
    }
    try:
        _compare(expected, found)
    except Mismatch as mismatch:
        raise Mismatch(f"as a range query: {mismatch}") from mismatch


def _check_elsewhere(engine: Engine, expr: nodes.Expr, command: Eval) -> None:
    """With its selectors fixed by @ at its time, the query gives the same when it is asked at other times."""
    fixed = _fixed_at(expr, command.start_ms)
    at = command.start_ms
    for time in (-10 * at, 0, at // 5, at, 10 * at) if at else (-1000, 0, 1000):
        try:
            value = engine.instant(fixed, time).value
            if command.scalar is not None:
                _check_scalar(command.scalar, value)
            else:
                _check_vector(command, value, time)
        except (Mismatch, QueryError) as error:
            raise Mismatch(f"with its selectors fixed by @, asked at {time} ms: {error}") from error


def _knows_query_range(expr: nodes.Expr) -> bool:
    return any(getattr(node, "at", None) in ("start", "end") for node in nodes.walk(expr))


_TIME_DEPENDENT = frozenset(
    [
        "time",
        "timestamp",
        "predict_linear",
        "day_of_month",
        "day_of_week",
        "day_of_year",
        "days_in_month",
        "hour",
        "minute",
        "month",
        "year",
    ]
)


def _knows_its_time(expr: nodes.Expr) -> bool:
    """Whether a function asks for the evaluation time."""
    return any(isinstance(node, nodes.Call) and node.func in _TIME_DEPENDENT for node in nodes.walk(expr))


def _fixed_at(expr: nodes.Expr, time_ms: int) -> nodes.Expr:
    """The expression with @ on every selector and subquery that has none, or ``start()`` or ``end()``, which are that
    time; what is inside of a subquery stays."""
    match expr:
        case nodes.VectorSelector() | nodes.Subquery():
            return expr if isinstance(expr.at, int) else replace(expr, at=time_ms)
        case nodes.MatrixSelector(selector):
            return expr if isinstance(selector.at, int) else replace(expr, selector=replace(selector, at=time_ms))
        case nodes.Call(_, args):
            return replace(expr, args=tuple(_fixed_at(argument, time_ms) for argument in args))
        case nodes.Binary(_, left, right):
            return replace(expr, left=_fixed_at(left, time_ms), right=_fixed_at(right, time_ms))
        case nodes.Aggregate(_, inner, param):
            fixed = None if param is None else _fixed_at(param, time_ms)
            return replace(expr, expr=_fixed_at(inner, time_ms), param=fixed)
        case nodes.Paren(inner) | nodes.Negation(inner):
            return replace(expr, expr=_fixed_at(inner, time_ms))
        case _:
            return expr


def _expected_points(command: Eval, start: int, step: int) -> Points:
    points: Points = {}
    for labels, samples in command.rows:
        if labels in points:
            raise Mismatch(f"the script expects {labels} twice")
        row = {start + index * step: value for index, value in enumerate(samples) if value is not None}
        if row:
            points[labels] = row
    return points


def _vector_points(vector: Vector, time: int) -> Points:
    return _unique((labels, {time: value}) for labels, value in vector)


def _matrix_points(matrix: Matrix) -> Points:
    return _unique((series.labels, dict(series)) for series in matrix)


def _unique(rows: Iterable[tuple[Labels, dict[int, float]]]) -> Points:
    points: Points = {}
    for labels, row in rows:
        if labels in points:
            raise Mismatch(f"{labels} is in the result twice")
        if not row:
            raise Mismatch(f"{labels} is in the result without a point")
        points[labels] = row
    return points


def _compare(expected: Points, found: Points) -> None:
    for labels in found.keys() - expected.keys():
        raise Mismatch(f"unexpected series {labels} {found[labels]}")
    for labels, points in expected.items():
        if labels not in found:
            raise Mismatch(f"missing series {labels} {points}; found {list(map(str, found))}")
        if points.keys() != found[labels].keys():
            raise Mismatch(f"{labels}: points at {list(found[labels])}, expected at {list(points)}")
        for time, value in points.items():
            if not equal(found[labels][time], value):
                raise Mismatch(f"{labels} at {time} ms: {found[labels][time]!r}, expected {value!r}")


def equal(found: float, expected: float) -> bool:
    """Equal within the tolerance of the scripts; a staleness marker is no value at all."""
    if is_stale(np.array([found, expected])).any():
        return False
    if (math.isnan(found) and math.isnan(expected)) or found == expected:
        return True
    if math.isnan(found) or math.isnan(expected) or math.isinf(found) or math.isinf(expected):
        return False
    size = abs(found) + abs(expected)
    difference = abs(found - expected)
    if found == 0 or expected == 0 or size < sys.float_info.min:
        return difference < TOLERANCE * sys.float_info.min
    return difference / min(size, sys.float_info.max) < TOLERANCE


def _shown(value: Value) -> str:
    if isinstance(value, Vector):
        return "the vector " + ", ".join(f"{labels} {number}" for labels, number in value)
    if isinstance(value, Matrix):
        return "the matrix " + ", ".join(f"{series.labels} {dict(series)}" for series in value)
    return f"the {type(value).__name__.lower()} {value.value!r}"
