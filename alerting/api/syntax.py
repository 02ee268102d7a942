"""The tree of a query as JSON, in the shape of Prometheus' parse_query (web/api/v1/translate_ast.go).

Times and durations are milliseconds. ``anchored``, ``smoothed``, ``fillValues`` and the keys that end in ``Expr``
belong to syntax behind feature flags, which is refused here: they never hold anything.
"""

from __future__ import annotations

from typing import Any

from alerting.model.labels import METRIC_NAME
from alerting.promql import nodes
from alerting.promql.check import kind_of
from alerting.promql.signatures import FUNCTIONS
from alerting.promql.value import format_plain

Tree = dict[str, Any]


def syntax_tree(expr: nodes.Expr) -> Tree:
    """The tree of a checked expression."""
    match expr:
        case nodes.NumberLiteral(value):
            return {"type": "numberLiteral", "val": format_plain(value)}
        case nodes.StringLiteral(text):
            return {"type": "stringLiteral", "val": text}
        case nodes.Paren(inner):
            return {"type": "parenExpr", "expr": syntax_tree(inner)}
        case nodes.Negation(inner):
            return {"type": "unaryExpr", "op": "-", "expr": syntax_tree(inner)}
        case nodes.VectorSelector():
            return {"type": "vectorSelector", **_selector(expr)}
        case nodes.MatrixSelector(selector, range_ms):
            return {"type": "matrixSelector", **_selector(selector), "range": range_ms, "rangeExpr": None}
        case nodes.Subquery():
            return _subquery(expr)
        case nodes.Binary():
            return _binary(expr)
        case nodes.Aggregate():
            return _aggregate(expr)
        case nodes.Call():
            return _call(expr)
        case _:
            raise TypeError(f"no tree for {type(expr).__name__}")


def _selector(selector: nodes.VectorSelector) -> Tree:
    matchers = list(selector.matchers)
    name = ""
    if selector.named and matchers and (matchers[0].name, matchers[0].op) == (METRIC_NAME, "="):
        name = matchers[0].value
        matchers.append(matchers.pop(0))
    return {
        "name": name,
        "matchers": [{"name": matcher.name, "value": matcher.value, "type": matcher.op} for matcher in matchers],
        "anchored": False,
        "smoothed": False,
        **_moved(selector.at, selector.offset_ms),
    }


def _moved(at: nodes.At | None, offset_ms: int) -> Tree:
    return {
        "offset": offset_ms,
        "offsetExpr": None,
        "timestamp": at if isinstance(at, int) else None,
        "startOrEnd": at if isinstance(at, str) else None,
    }


def _subquery(expr: nodes.Subquery) -> Tree:
    return {
        "type": "subquery",
        "expr": syntax_tree(expr.expr),
        "range": expr.range_ms,
        "rangeExpr": None,
        "step": expr.step_ms,
        "stepExpr": None,
        **_moved(expr.at, expr.offset_ms),
    }


def _binary(expr: nodes.Binary) -> Tree:
    matching: Tree | None = None
    if kind_of(expr.left) == kind_of(expr.right) == "vector":
        shown = expr.matching
        card = {"none": "one-to-one", "left": "many-to-one", "right": "one-to-many"}[shown.many]
        matching = {
            "card": "many-to-many" if expr.op in nodes.SET_OPERATORS else card,
            "labels": list(shown.labels),
            "on": shown.on,
            "include": list(shown.include),
            "fillValues": {"lhs": None, "rhs": None},
        }
    return {
        "type": "binaryExpr",
        "op": expr.op,
        "lhs": syntax_tree(expr.left),
        "rhs": syntax_tree(expr.right),
        "matching": matching,
        "bool": expr.return_bool,
    }


def _aggregate(expr: nodes.Aggregate) -> Tree:
    return {
        "type": "aggregation",
        "op": expr.op,
        "expr": syntax_tree(expr.expr),
        "param": None if expr.param is None else syntax_tree(expr.param),
        "grouping": list(expr.grouping),
        "without": expr.without,
    }


def _call(expr: nodes.Call) -> Tree:
    signature = FUNCTIONS[expr.func]
    return {
        "type": "call",
        "func": {
            "name": expr.func,
            "argTypes": list(signature.args),
            # How many of the last arguments may be left out; -1: the last may also be repeated.
            "variadic": -1 if signature.repeats else signature.optional,
            "returnType": signature.returns,
        },
        "args": [syntax_tree(argument) for argument in expr.args],
    }
