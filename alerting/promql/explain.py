"""What is wrong with a query that the parsing library refused, in Prometheus' words and with its place.

The library says little about syntax ("invalid promql query") and nothing about places. So a refused query is read once
more, along the grammar of promql/parser (generated_parser.y, checkAST in parse.go), up to the first mistake. Nothing is
built; a query that looks right here keeps the library's message.
"""

from __future__ import annotations

from alerting.promql import nodes
from alerting.promql.explain_labels import grouping, matching, selector
from alerting.promql.explain_modifiers import modified
from alerting.promql.explain_tokens import KEYWORDS, PRECEDENCE, MistakeError, Tokens
from alerting.promql.explain_types import Part, check_aggregate, check_binary, check_call, check_unary
from alerting.promql.lex import Token, position
from alerting.promql.signatures import AGGREGATIONS, FUNCTIONS, REFUSED

_UNARY = 6  # between "*" and "^"


def explain(text: str, tokens: list[Token]) -> tuple[str, tuple[int, int]] | None:
    """The first mistake and its line and column; None where nothing is seen."""
    reader = Tokens(text, tokens)
    try:
        try:
            whole = expr(reader, 0)
            if reader.peek() is not None:
                reader.unexpected()
        except MistakeError as mistake:
            message, place = mistake.args
            reader.early.append((place, message))
            problems = reader.early
        else:
            problems = reader.early + whole.problems
    except RecursionError:
        return None
    if not problems:
        return None
    place, message = problems[0]
    return message, position(text, place)


def expr(tokens: Tokens, least: int) -> Part:
    """An expression whose operators bind at least that much. Raises MistakeError."""
    token = tokens.peek()
    if token is not None and token.text in ("+", "-"):
        tokens.advance()
        left = check_unary(token.start, expr(tokens, _UNARY))
    else:
        left = modified(tokens, _primary(tokens))
    while (strength := PRECEDENCE.get(tokens.word(), 0)) >= max(least, 1):
        operator = tokens.advance()
        found = matching(tokens)
        right = expr(tokens, strength if operator.text == "^" else strength + 1)
        left = check_binary(
            operator.text.lower(),
            operator.start,
            left,
            right,
            return_bool=found.return_bool,
            grouped=found.grouped,
            labels=found.labels,
            clashing=[name for name in found.labels if found.on and name in found.include],
        )
    return left


def _primary(tokens: Tokens) -> Part:
    token = tokens.peek()
    if token is None:
        tokens.unexpected()
    if token.text == "(":
        tokens.advance()
        inner = expr(tokens, 0)
        if tokens.word() != ")":
            tokens.unexpected()
        tokens.advance()
        return Part(inner.kind, token.start, inner.problems)
    if token.text == "{":
        return selector(tokens, token.start, "")
    if token.kind in ("number", "string"):
        tokens.advance()
        return Part("scalar" if token.kind == "number" else "string", token.start)
    if token.kind != "word":
        tokens.unexpected()
    following = tokens.peek(1)
    after = "" if following is None else following.text.lower()
    name = token.text.lower()
    if name in ("inf", "nan") and after not in ("(", "{"):
        tokens.advance()
        return Part("scalar", token.start)
    if name in AGGREGATIONS and after in ("(", "by", "without"):
        return _aggregation(tokens, token)
    if after == "(" and name not in KEYWORDS:
        return _call(tokens, token)
    if name in ("bool", "on", "ignoring", "group_left", "group_right"):
        tokens.unexpected()
    return selector(tokens, token.start, token.text)


def _call(tokens: Tokens, token: Token) -> Part:
    tokens.advance()
    signature = FUNCTIONS.get(token.text)
    if signature is None and token.text not in REFUSED:
        tokens.early.append((token.start, f'unknown function with name "{token.text}"'))
    return check_call(token.text, token.start, signature, _arguments(tokens))


def _aggregation(tokens: Tokens, token: Token) -> Part:
    tokens.advance()
    grouped = tokens.word() in ("by", "without")
    if grouped:
        grouping(tokens)
    if tokens.word() != "(":
        tokens.unexpected("aggregation")
    arguments = _arguments(tokens)
    name = token.text.lower()
    if not grouped and tokens.word() in ("by", "without"):
        grouping(tokens)
    wanted = 2 if name in nodes.PARAMETER_AGGREGATIONS else 1
    if not arguments:
        tokens.early.append((token.start, "no arguments for aggregate expression provided"))
    elif len(arguments) != wanted:
        said = "wrong number of arguments for aggregate expression provided"
        tokens.early.append((token.start, f"{said}, expected {wanted}, got {len(arguments)}"))
    return check_aggregate(name, token.start, arguments)


def _arguments(tokens: Tokens) -> list[Part]:
    tokens.advance()
    found: list[Part] = []
    while tokens.word() != ")":
        found.append(expr(tokens, 0))
        if tokens.word() == ",":
            comma = tokens.advance()
            if tokens.word() == ")":
                raise MistakeError("trailing commas not allowed in function call args", comma.start)
        elif tokens.word() != ")":
            tokens.unexpected()
    tokens.advance()
    return found
