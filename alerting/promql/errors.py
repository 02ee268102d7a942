"""What can go wrong with a query, in the kinds the HTTP API tells apart."""

from __future__ import annotations

from typing import Literal

ErrorKind = Literal["bad_data", "execution", "timeout", "canceled"]


class QueryError(ValueError):
    """A query that cannot be parsed, is not supported, or failed while it was evaluated.

    ``kind`` is the ``errorType`` of the Prometheus HTTP API. ``position`` is (line, column), both counted from 1,
    where it is known.
    """

    kind: ErrorKind = "bad_data"

    def __init__(self, message: str, position: tuple[int, int] | None = None) -> None:
        self.message = message
        self.position = position
        super().__init__(message if position is None else f"{position[0]}:{position[1]}: {message}")


class ExecutionError(QueryError):
    """The query is well formed; the data does not allow an answer, or the answer is too large."""

    kind: ErrorKind = "execution"


class QueryTimeout(QueryError):
    """The deadline passed before the answer was complete."""

    kind: ErrorKind = "timeout"


class QueryCanceled(QueryError):
    """Nobody waits for the answer any more."""

    kind: ErrorKind = "canceled"
