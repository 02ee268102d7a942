"""A query over several lines, as Prometheus' format_query writes it (promql/parser/prettier.go)."""

from __future__ import annotations

from alerting.promql import nodes
from alerting.promql.format import aggregation_head, format_expr, operator_text, subquery_suffix

# What fits in so many bytes stays on one line.
_LINE = 100
_INDENT = "  "


def pretty(expr: nodes.Expr, level: int = 0) -> str:
    """The text of a tree; parts that are too long go on lines of their own, one level deeper."""
    margin = _INDENT * level
    text = format_expr(expr)
    if isinstance(expr, nodes.Negation):
        return f"{margin}-{pretty(expr.expr, level).strip()}"
    if len(text.encode()) <= _LINE:
        # A short subquery has no margin of its own there either.
        return text if isinstance(expr, nodes.Subquery) else margin + text
    match expr:
        case nodes.Aggregate():
            param = "" if expr.param is None else pretty(expr.param, level + 1) + ",\n"
            return f"{margin}{aggregation_head(expr)}(\n{param}{pretty(expr.expr, level + 1)}\n{margin})"
        case nodes.Binary():
            left, right = pretty(expr.left, level + 1), pretty(expr.right, level + 1)
            return f"{left}\n{margin}{operator_text(expr)}\n{right}"
        case nodes.Call(name, args):
            inner = ",\n".join(pretty(argument, level + 1) for argument in args)
            return f"{margin}{name}(\n{inner}\n{margin})"
        case nodes.Paren(inner_expr):
            return f"{margin}(\n{pretty(inner_expr, level + 1)}\n{margin})"
        case nodes.Subquery():
            return pretty(expr.expr, level) + subquery_suffix(expr)
        case _:
            return margin + text
