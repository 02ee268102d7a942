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
