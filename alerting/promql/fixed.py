"""Parts of a query that have the same value at every evaluation time: whose selectors are all fixed by ``@``.

They are evaluated once instead of at each step, as Prometheus does it (``StepInvariantExpr`` in promql/engine.go, with
the same exceptions: functions that look at the evaluation time themselves).
"""

from __future__ import annotations

from alerting.promql import nodes
from alerting.promql.elementwise import CALENDAR

_LOOK_AT_THE_TIME = CALENDAR | {"predict_linear", "time", "timestamp"}


def fixed_parts(expr: nodes.Expr) -> frozenset[int]:
    """The ``id`` of each largest fixed part that is a computation; good for as long as the tree lives."""
    found: set[int] = set()
    if _is_fixed(expr, found):
        _add(expr, found)
    return frozenset(found)


def _is_fixed(expr: nodes.Expr, found: set[int]) -> bool:
    """Whether all of ``expr`` is fixed; fixed parts of one that is not are put into ``found``."""
    if isinstance(expr, nodes.NumberLiteral | nodes.StringLiteral):
        return True
    if isinstance(expr, nodes.VectorSelector):
        return expr.at is not None
    if isinstance(expr, nodes.MatrixSelector):
        return expr.selector.at is not None
    fixed = [child for child in nodes.children(expr) if _is_fixed(child, found)]
    of_the_time = isinstance(expr, nodes.Call) and expr.func in _LOOK_AT_THE_TIME
    inside = isinstance(expr, nodes.Subquery)  # is evaluated at times of its own
    if len(fixed) == len(list(nodes.children(expr))) and not of_the_time and not inside:
        return True
    for child in fixed:
        _add(child, found)
    return isinstance(expr, nodes.Subquery) and expr.at is not None


def _add(expr: nodes.Expr, found: set[int]) -> None:
    if isinstance(expr, nodes.Aggregate | nodes.Binary | nodes.Call | nodes.Negation):
        found.add(id(expr))
    elif isinstance(expr, nodes.Paren):
        _add(expr.expr, found)
