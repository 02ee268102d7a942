"""Text of an expression tree, such that parsing the text gives the same tree again."""

from __future__ import annotations

import math
import re

from alerting.model.labels import quote
from alerting.model.matcher import Matcher
from alerting.promql import nodes
from alerting.promql.value import format_plain

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
_KEYWORDS = frozenset(
    [
        "and",
        "or",
        "unless",
        "atan2",
        "offset",
        "by",
        "without",
        "on",
        "ignoring",
        "group_left",
        "group_right",
        "bool",
        "start",
        "end",
        "inf",
        "nan",
    ]
)
_UNITS = (
    ("y", 31_536_000_000),
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
)
# Larger binds tighter; ^ binds to the right. From promql/parser/generated_parser.y.
_PRECEDENCE = {
    "or": 1,
    "and": 2,
    "unless": 2,
    **dict.fromkeys(nodes.COMPARISONS, 3),
    "+": 4,
    "-": 4,
    "*": 5,
    "/": 5,
    "%": 5,
    "atan2": 5,
    "^": 7,
}
_UNARY = 6
_ATOM = 8


def format_expr(expr: nodes.Expr) -> str:
    """PromQL text of a tree. Durations keep their milliseconds."""
    return _text(expr)


def format_duration(milliseconds: int) -> str:
    """A PromQL duration: ``1h30m``; the largest units first."""
    if milliseconds == 0:
        return "0s"
    parts = []
    for unit, size in _UNITS:
        count, milliseconds = divmod(milliseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def _text(expr: nodes.Expr) -> str:
    match expr:
        case nodes.NumberLiteral(value):
            return _number(value)
        case nodes.StringLiteral(value):
            return quote(value)
        case nodes.VectorSelector():
            return _selector(expr) + _modifiers(expr.at, expr.offset_ms)
        case nodes.MatrixSelector(selector, range_ms):
            modifiers = _modifiers(selector.at, selector.offset_ms)
            return f"{_selector(selector)}[{format_duration(range_ms)}]{modifiers}"
        case nodes.Subquery():
            return _operand(expr.expr, _ATOM) + subquery_suffix(expr)
        case nodes.Paren(inner):
            return f"({_text(inner)})"
        case nodes.Negation(inner):
            return "-" + _operand(inner, _UNARY)
        case nodes.Binary():
            return _binary(expr)
        case nodes.Aggregate():
            return _aggregate(expr)
        case nodes.Call(func, args):
            return f"{func}({', '.join(map(_text, args))})"
        case _:
            raise TypeError(f"no text for {type(expr).__name__}")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return format_plain(value)


def _selector(selector: nodes.VectorSelector) -> str:
    matchers = list(selector.matchers)
    name = ""
    first = matchers[0] if matchers else None
    if selector.named and first is not None and (first.name, first.op) == ("__name__", "=") and _plain(first.value):
        name = first.value
        matchers = matchers[1:]
    inner = ",".join(sorted(map(_matcher, matchers)))
    return f"{name}{{{inner}}}" if inner or not name else name


def _plain(name: str) -> bool:
    """Whether a metric name can stand before braces."""
    return _METRIC.match(name) is not None and name.lower() not in _KEYWORDS


def _matcher(matcher: Matcher) -> str:
    return f"{_label(matcher.name)}{matcher.op}{quote(matcher.value)}"


def _label(name: str) -> str:
    return name if _LABEL.match(name) else quote(name)


def _modifiers(at: nodes.At | None, offset_ms: int) -> str:
    text = ""
    if isinstance(at, int):
        text += f" @ {'-' if at < 0 else ''}{abs(at) // 1000}.{abs(at) % 1000:03d}"
    elif at is not None:
        text += f" @ {at}()"
    if offset_ms:
        text += f" offset {'-' if offset_ms < 0 else ''}{format_duration(abs(offset_ms))}"
    return text


def _strength(expr: nodes.Expr) -> int:
    if isinstance(expr, nodes.Binary):
        return _PRECEDENCE[expr.op]
    if isinstance(expr, nodes.Negation) or (isinstance(expr, nodes.NumberLiteral) and expr.value < 0):
        return _UNARY
    return _ATOM


def _operand(expr: nodes.Expr, least: int) -> str:
    """A sub-expression, in parentheses where it would otherwise be read differently."""
    text = _text(expr)
    return text if _strength(expr) >= least else f"({text})"


def _binary(expr: nodes.Binary) -> str:
    strength = _PRECEDENCE[expr.op]
    right_binds = expr.op == "^"
    words = [_operand(expr.left, strength + right_binds), operator_text(expr)]
    signed = isinstance(expr.right, nodes.NumberLiteral | nodes.Negation)  # reads well after an operator: 2 ^ -x
    words.append(_text(expr.right) if signed else _operand(expr.right, strength + (not right_binds)))
    return " ".join(words)


def operator_text(expr: nodes.Binary) -> str:
    """What stands between the sides: operator, ``bool``, matching."""
    words = [expr.op]
    if expr.return_bool:
        words.append("bool")
    matching = expr.matching
    if matching.on or matching.labels or matching.many != "none":
        words.append(f"{'on' if matching.on else 'ignoring'} ({', '.join(map(_label, matching.labels))})")
    if matching.many != "none":
        words.append(f"group_{matching.many} ({', '.join(map(_label, matching.include))})")
    return " ".join(words)


def subquery_suffix(expr: nodes.Subquery) -> str:
    step = format_duration(expr.step_ms) if expr.step_ms else ""
    return f"[{format_duration(expr.range_ms)}:{step}]" + _modifiers(expr.at, expr.offset_ms)


def _aggregate(expr: nodes.Aggregate) -> str:
    param = "" if expr.param is None else _text(expr.param) + ", "
    return f"{aggregation_head(expr)}({param}{_text(expr.expr)})"


def aggregation_head(expr: nodes.Aggregate) -> str:
    """What stands before the parenthesis."""
    if expr.without or expr.grouping:
        return f"{expr.op} {'without' if expr.without else 'by'} ({', '.join(map(_label, expr.grouping))}) "
    return expr.op
