"""What a query answered, wherever it was answered: the ``data`` of Prometheus' HTTP API, read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class AskError(Exception):
    """No answer. ``position`` is (line, column) in the expression, both from 1, where it is known; ``advice`` what to
    do."""

    def __init__(self, message: str, position: tuple[int, int] | None = None, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.position = position
        self.advice = advice


@dataclass(frozen=True, slots=True)
class Line:
    """One series; ``times`` in milliseconds since the epoch, ascending, ``texts`` the values as they came."""

    labels: Mapping[str, str]
    times: Sequence[int]
    texts: Sequence[str]

    @property
    def values(self) -> list[float]:
        return [float(text) for text in self.texts]


@dataclass(frozen=True, slots=True)
class Answer:
    """``data`` is the API's data object. ``notes``: its warnings and infos."""

    data: dict[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """vector, matrix, scalar or string."""
        return str(self.data.get("resultType"))

    @property
    def lines(self) -> list[Line]:
        """Of a vector or a matrix. Raises AskError for data of another shape."""
        try:
            return [_line(one) for one in self.data["result"]]
        except (KeyError, TypeError, ValueError) as error:
            raise AskError(f"the answer cannot be read: {type(error).__name__} {error}") from error

    @property
    def single(self) -> str:
        """The value of a scalar or a string."""
        return str(self.data["result"][1])


def _line(one: Mapping[str, Any]) -> Line:
    samples = [one["value"]] if "value" in one else one.get("values", [])
    return Line(
        {str(name): str(value) for name, value in one["metric"].items()},
        [round(float(at) * 1000) for at, _ in samples],
        [str(value) for _, value in samples],
    )


@dataclass(frozen=True, slots=True)
class Question:
    """At ``start_ms``, or with a step from there to ``end_ms``; times in milliseconds since the epoch."""

    expr: str
    start_ms: int
    end_ms: int
    step_ms: int | None = None
