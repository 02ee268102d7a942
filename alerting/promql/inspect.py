"""What an expression reads."""

from __future__ import annotations

from alerting.model.matcher import Matcher
from alerting.promql import nodes


def selectors(expr: nodes.Expr) -> list[tuple[Matcher, ...]]:
    """The matchers of every selector in an expression, in reading order, each once."""
    found = [node.matchers for node in nodes.walk(expr) if isinstance(node, nodes.VectorSelector)]
    return list(dict.fromkeys(found))


def metric_names(expr: nodes.Expr) -> set[str]:
    """Metric names that the selectors name exactly."""
    return {
        matcher.value
        for matchers in selectors(expr)
        for matcher in matchers
        if matcher.name == "__name__" and matcher.op == "="
    }


def reach_ms(expr: nodes.Expr) -> int:
    """How far before its evaluation time an expression looks through range vectors, in milliseconds; offsets and the
    lookback of instant vectors not counted."""
    below = max((reach_ms(child) for child in nodes.children(expr)), default=0)
    if isinstance(expr, nodes.MatrixSelector | nodes.Subquery):
        return below + expr.range_ms
    return below
