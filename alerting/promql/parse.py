"""The only door to the library ``promql_parser``: text in, our own tree or a QueryError out."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

import promql_parser

from alerting.model.matcher import Matcher, Op
from alerting.promql import lex, nodes
from alerting.promql.check import check
from alerting.promql.errors import QueryError
from alerting.promql.explain import explain
from alerting.promql.flagged import refuse_flagged
from alerting.promql.locate import locate
from alerting.promql.signatures import REFUSED

MAX_DEPTH = 150  # levels of the tree: the evaluator recurses along it

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LONGEST = timedelta(microseconds=((1 << 63) - 1) // 1000)  # nanoseconds in an int64, as Prometheus has it
_OPS: dict[str, Op] = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}


@lru_cache(maxsize=1024)
def parse(text: str) -> nodes.Expr:
    """The tree of a query. Raises QueryError for everything that would fail later whatever the data is: bad syntax,
    wrong types, unknown or unsupported functions, regular expressions that do not compile.
    """
    try:
        prepared = lex.prepare(text)
    except lex.BracketError as error:
        raise _explained(text, error.tokens, error) from error
    refuse_flagged(text, prepared.tokens)
    try:
        tree = promql_parser.parse(prepared.text)
        expr = _Converter(prepared.at_ms).expr(tree, 0)
    except QueryError:
        raise
    except (ValueError, OverflowError, RecursionError) as error:
        raise _explained(text, prepared.tokens, QueryError(_readable(str(error)))) from error
    except BaseException as error:
        # The library's panics derive from BaseException; nothing else here may be swallowed.
        if type(error).__name__ == "PanicException":
            raise QueryError("the query cannot be read (the parser failed on it)") from error
        raise
    try:
        check(expr)
    except QueryError as error:
        raise _explained(text, prepared.tokens, error) from error
    locate(expr, text, prepared.tokens)
    return expr


def _explained(text: str, tokens: list[lex.Token], error: QueryError) -> QueryError:
    """The error in Prometheus' words where they are known; what is refused here on purpose keeps ours."""
    if error.kind != "bad_data" or "not supported here" in error.message or " is refused: " in error.message:
        return error
    found = explain(text, tokens)
    return error if found is None else QueryError(f"parse error: {found[0]}", found[1])


def _readable(message: str) -> str:
    message = message.strip()
    unknown = re.fullmatch(r"unknown function with name '(\w+)'", message)
    if unknown is not None and unknown.group(1) in REFUSED:
        return f"function {unknown.group(1)} is refused: {REFUSED[unknown.group(1)]}"
    return "parse error" if not message else f"parse error: {message}"


class _Converter:
    """Turns the library's tree into ours. Every attribute of the library is read here and nowhere else."""

    def __init__(self, at_ms: dict[int, int]) -> None:
        self._at_ms = at_ms

    def expr(self, node: Any, depth: int) -> nodes.Expr:
        if depth > MAX_DEPTH:
            raise QueryError(f"the query is more than {MAX_DEPTH} levels deep")
        convert = getattr(self, "_" + type(node).__name__, None)
        if convert is None:
            raise QueryError(f"not supported: {type(node).__name__}")
        result: nodes.Expr = convert(node, depth + 1)
        return result

    def _NumberLiteral(self, node: Any, _: int) -> nodes.Expr:  # noqa: N802 - named after the library's class
        return nodes.NumberLiteral(float(node.val))

    def _StringLiteral(self, node: Any, _: int) -> nodes.Expr:  # noqa: N802
        return nodes.StringLiteral(str(node.val))

    def _ParenExpr(self, node: Any, depth: int) -> nodes.Expr:  # noqa: N802
        return nodes.Paren(self.expr(node.expr, depth))

    def _UnaryExpr(self, node: Any, depth: int) -> nodes.Expr:  # noqa: N802
        return nodes.Negation(self.expr(node.expr, depth))

    def _VectorSelector(self, node: Any, _: int) -> nodes.VectorSelector:  # noqa: N802
        if node.matchers.or_matchers:
            raise QueryError('"or" between label matchers is not PromQL; write it between two selectors')
        matchers = [_matcher(item) for item in node.matchers.matchers]
        if node.name is not None:
            matchers.insert(0, Matcher("__name__", "=", str(node.name)))
        at, named = self._at(node.at), node.name is not None
        return nodes.VectorSelector(tuple(matchers), at, _milliseconds(node.offset), named=named)

    def _MatrixSelector(self, node: Any, depth: int) -> nodes.Expr:  # noqa: N802
        return nodes.MatrixSelector(self._VectorSelector(node.vector_selector, depth), _milliseconds(node.range))

    def _SubqueryExpr(self, node: Any, depth: int) -> nodes.Expr:  # noqa: N802
        step = _milliseconds(node.step)
        if node.step is not None and step <= 0:
            raise QueryError("the step of a subquery must be greater than 0")
        return nodes.Subquery(
            self.expr(node.expr, depth), _milliseconds(node.range), step, self._at(node.at), _milliseconds(node.offset)
        )

    def _Call(self, node: Any, depth: int) -> nodes.Expr:  # noqa: N802
        return nodes.Call(str(node.func.name), tuple(self.expr(arg, depth) for arg in node.args))

    def _AggregateExpr(self, node: Any, depth: int) -> nodes.Expr:  # noqa: N802
        modifier = node.modifier
        return nodes.Aggregate(
            op=str(node.op).lower(),
            expr=self.expr(node.expr, depth),
            param=None if node.param is None else self.expr(node.param, depth),
            grouping=() if modifier is None else tuple(map(str, modifier.labels)),
            without=modifier is not None and str(modifier.type).endswith("Without"),
        )

    def _BinaryExpr(self, node: Any, depth: int) -> nodes.Expr:  # noqa: N802
        modifier = node.modifier
        return nodes.Binary(
            op=str(node.op).lower(),
            left=self.expr(node.lhs, depth),
            right=self.expr(node.rhs, depth),
            matching=nodes.Matching() if modifier is None else _matching(modifier),
            return_bool=modifier is not None and bool(modifier.return_bool),
        )

    def _at(self, modifier: Any) -> nodes.At | None:
        if modifier is None:
            return None
        kind = str(modifier.type)
        if kind.endswith("Start"):
            return "start"
        if kind.endswith("End"):
            return "end"
        offset: timedelta = modifier.at - _EPOCH
        return self._at_ms.get(offset // timedelta(seconds=1), round(offset / _MILLISECOND))


def _matcher(item: Any) -> Matcher:
    op = _OPS[str(item.op).rpartition(".")[2]]
    try:
        return Matcher(str(item.name), op, str(item.value))
    except ValueError as error:
        raise QueryError(f"matcher on label {item.name!r}: {error}") from error


def _matching(modifier: Any) -> nodes.Matching:
    card = str(modifier.card)
    many: Literal["none", "left", "right"] = "none"
    if card.endswith("ManyToOne"):
        many = "left"
    elif card.endswith("OneToMany"):
        many = "right"
    fill = modifier.fill_values
    if fill is not None and (fill.lhs is not None or fill.rhs is not None):
        raise QueryError("the fill modifiers of vector matching are experimental in Prometheus and not supported here")
    matching = modifier.matching
    return nodes.Matching(
        on=matching is not None and str(matching.type).endswith("Include"),
        labels=() if matching is None else tuple(map(str, matching.labels)),
        many=many,
        include=tuple(map(str, modifier.group_labels or ())),
    )


def _milliseconds(duration: timedelta | None) -> int:
    if duration is None:
        return 0
    if abs(duration) > _LONGEST:
        raise QueryError("parse error: duration out of range")
    return round(duration / _MILLISECOND)
