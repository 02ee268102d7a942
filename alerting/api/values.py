"""Query results as JSON. Times are numbers in seconds, sample values are strings in Go's notation.

Written by hand where there are many samples: an answer of half a million points must not hold the interpreter for
seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
import numpy as np

from alerting.api.answer import to_json, wrap
from alerting.model.labels import Labels
from alerting.model.series import IntArray
from alerting.promql.errors import ExecutionError
from alerting.promql.value import Matrix, Result, Scalar, String, Value, Vector, format_value

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Go's zero time: what Prometheus writes where something never happened.
NEVER = "0001-01-01T00:00:00Z"
CUT_OFF = "results truncated due to limit"
REMEMBERED_POINTS = 2500  # of a graph; the texts of some 75 bytes each
# So many warnings, and so many infos, are told.
MOST_NOTES = 10


def result_json(
    result: Result,
    limit: int = 0,
    most_points: int = 2_000_000,
    *,
    stats: dict[str, Any] | None = None,
    check: Callable[[], None] = lambda: None,
) -> bytes:
    """The whole answer of a query; with a limit, that many series at most and a warning when there are more.

    ``check`` is asked between series whether somebody still waits, and raises when not. Raises ExecutionError for more
    than ``most_points`` samples: the text of millions would not fit a small board.
    """
    value, warnings = result.value, result.warnings
    if isinstance(value, Vector) and 0 < limit < len(value):
        value = Vector(value.time_ms, value.labels[:limit], value.values[:limit])
        warnings = (*warnings, CUT_OFF)
    elif isinstance(value, Matrix) and 0 < limit < len(value):
        value = replace(value, series=value.series[:limit])
        warnings = (*warnings, CUT_OFF)
    points = sum(len(series.times) for series in value.series) if isinstance(value, Matrix) else 0
    if points > most_points:
        raise ExecutionError(
            f"the answer would hold {points} points, at most {most_points} are given; "
            "ask for a longer step, a shorter time or fewer series"
        )
    data = _value(value, check)
    if stats is not None:
        data = data[:-1] + b',"stats":' + to_json(stats) + b"}"
    return wrap(data, _some(warnings, "warning"), _some(result.infos, "info"))


def _some(notes: Sequence[str], kind: str) -> Sequence[str]:
    if len(notes) <= MOST_NOTES:
        return notes
    return [*notes[:MOST_NOTES], f"{len(notes) - MOST_NOTES} more {kind} annotations omitted"]


def _value(value: Value, check: Callable[[], None]) -> bytes:
    match value:
        case Scalar():
            return _typed("scalar", f'[{seconds(value.time_ms)},"{format_value(value.value)}"]'.encode())
        case String():
            return _typed("string", f"[{seconds(value.time_ms)},".encode() + to_json(value.value) + b"]")
        case Vector():
            when = seconds(value.time_ms)
            rows = [
                b'{"metric":' + metric(labels) + f',"value":[{when},"{text}"]}}'.encode()
                for labels, text in zip(value.labels, number_texts(value.values), strict=True)
            ]
            return _typed("vector", b"[" + b",".join(rows) + b"]")
        case Matrix():
            return _typed("matrix", _matrix(value, check))


def _typed(kind: str, result: bytes) -> bytes:
    return b'{"resultType":"' + kind.encode() + b'","result":' + result + b"}"


def _matrix(matrix: Matrix, check: Callable[[], None]) -> bytes:
    rows = []
    shared: tuple[IntArray, list[str]] | None = None
    for series in matrix.series:
        check()
        # Series of one query mostly have the very same times.
        if shared is None or shared[0] is not series.times:
            shared = series.times, _point_starts(series.times)
        points = [""] * (2 * len(series.times))
        points[0::2] = shared[1]
        points[1::2] = number_texts(series.values.tolist())
        rows.append(b'{"metric":' + metric(series.labels) + b',"values":[' + "".join(points)[3:].encode() + b'"]]}')
    return b"[" + b",".join(rows) + b"]"


def _point_starts(times: IntArray) -> list[str]:
    """What stands before each value: the end of the point before it, and the time."""
    if 2 < len(times) <= REMEMBERED_POINTS:
        first, step = times.item(0), times.item(1) - times.item(0)
        if times.item(-1) - first == step * (len(times) - 1) and (np.diff(times) == step).all():
            return _regular_starts(first, step, len(times))
    return _starts(times)


@lru_cache(maxsize=4)
def _regular_starts(first_ms: int, step_ms: int, count: int) -> list[str]:
    """Those of all panels of a dashboard are the same."""
    return _starts(first_ms + step_ms * np.arange(count, dtype=np.int64))


def _starts(times: IntArray) -> list[str]:
    whole, rest = np.divmod(times, 1000)
    texts = [seconds(time) for time in times.tolist()] if rest.any() else list(map(str, whole.tolist()))
    return ('"],[' + ',"\n"],['.join(texts) + ',"').split("\n")


def metric(labels: Labels) -> bytes:
    return to_json(dict(labels))


def seconds(time_ms: int) -> str:
    """Milliseconds as a JSON number of seconds, without the loss a float would bring."""
    whole, rest = divmod(abs(time_ms), 1000)
    sign = "-" if time_ms < 0 else ""
    return f"{sign}{whole}.{rest:03d}".rstrip("0") if rest else f"{sign}{whole}"


def number_texts(values: Sequence[float]) -> list[str]:
    """Each value as the API writes it. msgspec's texts are the shortest ones too, in a tenth of the time of ``repr``;
    those with an exponent, and what JSON has no number for, are written again."""
    if not values:
        return []
    joined = (msgspec.json.encode(values)[1:-1] + b",").replace(b".0,", b",").decode()
    texts = joined[:-1].split(",")
    if "e" in joined or "n" in joined:
        return [
            format_value(value) if "e" in text or "n" in text else text
            for text, value in zip(texts, values, strict=True)
        ]
    return texts


def exponent_text(value: float) -> str:
    """A value as alerts show it: Go's ``FormatFloat(value, 'e', -1, 64)``."""
    if not np.isfinite(value):
        return format_value(value)
    text: str = np.format_float_scientific(value, trim="-", exp_digits=2)
    return text.replace(".e", "e")


def moment(time_ms: int | None) -> str:
    """RFC 3339 in UTC; None is Go's zero time."""
    if time_ms is None:
        return NEVER
    stamp = _EPOCH + timedelta(milliseconds=time_ms)
    text = stamp.replace(tzinfo=None).isoformat(timespec="milliseconds" if time_ms % 1000 else "seconds")
    return f"{text}Z"


def cut(items: list[T], limit: int) -> tuple[list[T], tuple[str, ...]]:
    """At most ``limit`` items (0: all) and the warning that belongs to it."""
    return (items[:limit], (CUT_OFF,)) if 0 < limit < len(items) else (items, ())
