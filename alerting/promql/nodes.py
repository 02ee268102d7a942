"""The tree of a query. Frozen, compared by value, free of the parsing library.

Durations and times are whole milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from alerting.model.matcher import Matcher

ValueKind = Literal["scalar", "string", "vector", "matrix"]
At = int | Literal["start", "end"]  # milliseconds since the epoch, or the ends of the query

ARITHMETIC = frozenset({"+", "-", "*", "/", "%", "^", "atan2"})
COMPARISONS = frozenset({"==", "!=", ">", "<", ">=", "<="})
SET_OPERATORS = frozenset({"and", "or", "unless"})
PARAMETER_AGGREGATIONS = frozenset({"topk", "bottomk", "quantile", "count_values"})


@dataclass(frozen=True, slots=True)
class Expr:
    """Any node. ``position`` is the line and column, from 1, of its first character; None when that is not known."""

    position: tuple[int, int] | None = field(default=None, compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class NumberLiteral(Expr):
    value: float


@dataclass(frozen=True, slots=True)
class StringLiteral(Expr):
    value: str


@dataclass(frozen=True, slots=True)
class VectorSelector(Expr):
    """``matchers`` includes the one on the metric name when the query names it; ``named`` when it does so before the
    braces, which is no more than a way of writing."""

    matchers: tuple[Matcher, ...]
    at: At | None = None
    offset_ms: int = 0
    named: bool = field(default=True, compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class MatrixSelector(Expr):
    selector: VectorSelector
    range_ms: int


@dataclass(frozen=True, slots=True)
class Subquery(Expr):
    """``step_ms`` 0 means the default step of the engine."""

    expr: Expr
    range_ms: int
    step_ms: int = 0
    at: At | None = None
    offset_ms: int = 0


@dataclass(frozen=True, slots=True)
class Negation(Expr):
    expr: Expr


@dataclass(frozen=True, slots=True)
class Paren(Expr):
    expr: Expr


@dataclass(frozen=True, slots=True)
class Matching:
    """``many`` names the side with several series per match group; ``include`` are the labels of group_x()."""

    on: bool = False
    labels: tuple[str, ...] = ()
    many: Literal["none", "left", "right"] = "none"
    include: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Binary(Expr):
    op: str
    left: Expr
    right: Expr
    matching: Matching = Matching()
    return_bool: bool = False


@dataclass(frozen=True, slots=True)
class Aggregate(Expr):
    op: str
    expr: Expr
    param: Expr | None = None
    grouping: tuple[str, ...] = ()
    without: bool = False


@dataclass(frozen=True, slots=True)
class Call(Expr):
    func: str
    args: tuple[Expr, ...]


def children(node: Expr) -> Sequence[Expr]:
    """The direct sub-expressions, in reading order."""
    match node:
        case Call():
            return node.args
        case Binary():
            return (node.left, node.right)
        case Aggregate():
            return (node.expr,) if node.param is None else (node.param, node.expr)
        case Paren() | Negation() | Subquery():
            return (node.expr,)
        case MatrixSelector():
            return (node.selector,)
        case _:
            return ()


def walk(node: Expr) -> Iterator[Expr]:
    """The node and everything below it, parents first."""
    yield node
    for child in children(node):
        yield from walk(child)


def unwrapped(node: Expr) -> Expr:
    """The node without the parentheses around it."""
    while isinstance(node, Paren):
        node = node.expr
    return node
