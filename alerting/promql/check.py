"""What can be said about a query without data: types, arguments, and what this engine does not do."""

from __future__ import annotations

from alerting.model.regex import RegexError, RegexUnsupported, compile_anchored
from alerting.promql import nodes
from alerting.promql.errors import ExecutionError, QueryError
from alerting.promql.nodes import ValueKind, unwrapped
from alerting.promql.signatures import AGGREGATIONS, FUNCTIONS, REFUSED, REFUSED_AGGREGATIONS

_SPOKEN: dict[ValueKind, str] = {
    "scalar": "scalar",
    "string": "string",
    "vector": "instant vector",
    "matrix": "range vector",
}


def check(expr: nodes.Expr) -> ValueKind:
    """The type of an expression. Raises QueryError when it, or a part of it, can never be evaluated; ExecutionError
    where Prometheus notices that only when it evaluates."""
    if isinstance(expr, nodes.NumberLiteral):
        return "scalar"
    if isinstance(expr, nodes.StringLiteral):
        return "string"
    if isinstance(expr, nodes.VectorSelector):
        _check_selector(expr)
        return "vector"
    if isinstance(expr, nodes.MatrixSelector):
        _check_selector(expr.selector)
        _check_range(expr.range_ms)
        return "matrix"
    if isinstance(expr, nodes.Subquery):
        _expect(expr.expr, ("vector",), "the subquery")
        _check_range(expr.range_ms)
        return "matrix"
    if isinstance(expr, nodes.Paren):
        return check(expr.expr)
    if isinstance(expr, nodes.Negation):
        return _expect(expr.expr, ("scalar", "vector"), "the unary expression")
    if isinstance(expr, nodes.Binary):
        return _check_binary(expr)
    if isinstance(expr, nodes.Aggregate):
        return _check_aggregate(expr)
    if isinstance(expr, nodes.Call):
        return _check_call(expr)
    raise QueryError(f"not supported: {type(expr).__name__}")


def kind_of(expr: nodes.Expr) -> ValueKind:
    """The type of an expression that was checked before."""
    expr = unwrapped(expr)
    if isinstance(expr, nodes.NumberLiteral):
        return "scalar"
    if isinstance(expr, nodes.StringLiteral):
        return "string"
    if isinstance(expr, nodes.MatrixSelector | nodes.Subquery):
        return "matrix"
    if isinstance(expr, nodes.Negation):
        return kind_of(expr.expr)
    if isinstance(expr, nodes.Binary):
        return "scalar" if kind_of(expr.left) == kind_of(expr.right) == "scalar" else "vector"
    if isinstance(expr, nodes.Call):
        return FUNCTIONS[expr.func].returns
    return "vector"


def _expect(expr: nodes.Expr, allowed: tuple[ValueKind, ...], where: str) -> ValueKind:
    kind = check(expr)
    if kind not in allowed:
        wanted = " or ".join(_SPOKEN[item] for item in allowed)
        raise QueryError(f"expected {wanted} in {where}, got {_SPOKEN[kind]}")
    return kind


def _check_selector(selector: nodes.VectorSelector) -> None:
    if all(matcher.matches("") for matcher in selector.matchers):
        raise QueryError("vector selector must contain at least one non-empty matcher")


def _check_range(range_ms: int) -> None:
    if range_ms <= 0:
        raise QueryError("the range of a range vector must be greater than 0")


def _check_binary(expr: nodes.Binary) -> ValueKind:
    where = f"binary expression {expr.op!r}"
    left = _expect(expr.left, ("scalar", "vector"), where)
    right = _expect(expr.right, ("scalar", "vector"), where)
    known = expr.op in nodes.ARITHMETIC or expr.op in nodes.COMPARISONS or expr.op in nodes.SET_OPERATORS
    if not known:
        raise QueryError(f"operator {expr.op!r} is not supported")
    if expr.op in nodes.SET_OPERATORS and "scalar" in (left, right):
        raise QueryError(f"set operator {expr.op!r} not allowed in binary scalar expression")
    if expr.return_bool and expr.op not in nodes.COMPARISONS:
        raise QueryError("bool modifier can only be used on comparison operators")
    if left == right == "scalar" and expr.op in nodes.COMPARISONS and not expr.return_bool:
        raise QueryError("comparisons between scalars must use BOOL modifier")
    matching = expr.matching
    # Without labels, on () and ignoring () are taken for nothing, as Prometheus does.
    if matching.labels and "scalar" in (left, right):
        raise QueryError("vector matching only allowed between instant vectors")
    if matching.many != "none" and expr.op in nodes.SET_OPERATORS:
        raise QueryError(f"no grouping allowed for {expr.op!r} operation")
    if matching.on:
        for name in matching.include:
            if name in matching.labels:
                raise QueryError(f"label {name!r} must not occur in ON and GROUP clause at once")
    return "scalar" if left == right == "scalar" else "vector"


def _check_aggregate(expr: nodes.Aggregate) -> ValueKind:
    if expr.op in REFUSED_AGGREGATIONS:
        raise QueryError(f"aggregation {expr.op} is refused: {REFUSED_AGGREGATIONS[expr.op]}")
    if expr.op not in AGGREGATIONS:
        raise QueryError(f"unknown aggregation {expr.op!r}")
    _expect(expr.expr, ("vector",), f"aggregation {expr.op}")
    if (expr.param is not None) != (expr.op in nodes.PARAMETER_AGGREGATIONS):
        raise QueryError(f"wrong number of arguments for aggregation {expr.op}")
    if expr.param is not None:
        _expect(expr.param, ("string" if expr.op == "count_values" else "scalar",), f"the parameter of {expr.op}")
    if expr.op == "count_values" and expr.param is not None and not literal_text(expr.param):
        raise ExecutionError('invalid label name ""')
    return "vector"


def _check_call(expr: nodes.Call) -> ValueKind:
    name = expr.func
    if name in REFUSED:
        raise QueryError(f"function {name} is refused: {REFUSED[name]}")
    signature = FUNCTIONS.get(name)
    if signature is None:
        raise QueryError(f"unknown function with name {name!r}")
    if not signature.accepts(len(expr.args)):
        raise QueryError(f"expected {signature.arity} argument(s) in call to {name!r}, got {len(expr.args)}")
    for index, arg in enumerate(expr.args):
        _expect(arg, (signature.kind(index),), f"call to function {name!r}")
    if name == "label_replace":
        _check_label_name(literal_text(expr.args[1]), "destination label name in label_replace()")
        try:
            compile_anchored(literal_text(expr.args[4]))
        except RegexUnsupported as error:
            raise ExecutionError(f"regular expression in label_replace(): {error}") from error
        except RegexError as error:
            raise ExecutionError(
                f"invalid regular expression in label_replace(): {literal_text(expr.args[4])}"
            ) from error
    if name == "label_join":
        _check_label_name(literal_text(expr.args[1]), "destination label name in label_join()")
        for arg in expr.args[3:]:
            _check_label_name(literal_text(arg), "source label name in label_join()")
    return signature.returns


def _check_label_name(name: str, where: str) -> None:
    # Prometheus 3 allows any non-empty UTF-8 text as a label name.
    if not name:
        raise ExecutionError(f"invalid {where}: ")


def literal_text(expr: nodes.Expr) -> str:
    """The text of a string argument. Only literals have the type string, so this cannot fail after a check."""
    expr = unwrapped(expr)
    if not isinstance(expr, nodes.StringLiteral):
        raise QueryError("expected a string literal")
    return expr.value
