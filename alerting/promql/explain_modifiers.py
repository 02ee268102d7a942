"""What follows an expression in a query that was refused: ranges and subqueries, ``offset``, ``@``."""

from __future__ import annotations

from collections.abc import Callable

from alerting.promql.explain_tokens import MistakeError, Tokens
from alerting.promql.explain_types import Part, check_subquery

_A_DURATION = "number, duration, step(), or range()"


def modified(tokens: Tokens, part: Part) -> Part:
    """``part``, which was read last, with all that follows it. Raises MistakeError."""
    plain = part.kind == "vector" and tokens.text[part.start] != "(" and _just_read_selector(tokens)
    kinds: dict[str, Callable[[Tokens, Part, bool], Part]] = {"[": _range, "offset": _offset, "@": _at}
    seen: set[str] = set()
    while (word := tokens.word()) in kinds:
        if word == "[" and plain and seen and _is_plain_range(tokens):
            token = tokens.peek()
            modifier = "offset" if "offset" in seen else "@"
            if token is not None:
                raise MistakeError(f"no {modifier} modifiers allowed before range", token.start)
        if word != "[" and word in seen:
            said = "offset" if word == "offset" else "@ <timestamp>"
            tokens.early.append((part.start, f"{said} may not be set multiple times"))
        part = kinds[word](tokens, part, plain)
        seen = set() if word == "[" else {*seen, word}
        plain = plain or word == "["
    return part


def _just_read_selector(tokens: Tokens) -> bool:
    """Whether the last token ends a selector: an identifier or a closing brace."""
    last = tokens.last
    return last.text == "}" or (last.kind == "word" and last.text != ")")


def _is_plain_range(tokens: Tokens) -> bool:
    third = tokens.peek(2)
    return third is not None and third.text == "]"


def _range(tokens: Tokens, part: Part, plain: bool) -> Part:
    bracket = tokens.advance()
    if tokens.peek() is None:
        raise MistakeError("unexpected end of input in duration expression", len(tokens.text))
    colon = False
    while tokens.word() != "]":
        token = tokens.peek()
        if token is None:
            raise MistakeError("unclosed left bracket", len(tokens.text))
        if token.kind not in ("number", "word") and token.text != ":":
            tokens.unexpected("subquery or range selector", _A_DURATION)
        colon = colon or ":" in token.text
        tokens.advance()
    if tokens.last is bracket:
        tokens.unexpected("subquery or range selector", _A_DURATION)
    tokens.advance()
    if colon:
        return check_subquery(part)
    if part.kind != "vector" or not plain:
        raise MistakeError("ranges only allowed for vector selectors", bracket.start)
    return Part("matrix", part.start, part.problems)


def _offset(tokens: Tokens, part: Part, plain: bool) -> Part:
    tokens.advance()
    _number(tokens, "offset", _A_DURATION)
    if not plain and part.kind != "matrix":
        said = "must be preceded by an instant vector selector or range vector selector or a subquery"
        tokens.early.append((part.start, f"offset modifier {said}"))
    return part


def _at(tokens: Tokens, part: Part, plain: bool) -> Part:
    tokens.advance()
    if tokens.word() in ("start", "end"):
        tokens.advance()
        for bracket in ("(", ")"):
            if tokens.word() != bracket:
                tokens.unexpected("@", "timestamp")
            tokens.advance()
    else:
        sign, number = _number(tokens, "@", "timestamp")
        if number in ("inf", "nan"):
            shown = "NaN" if number == "nan" else f"{sign or '+'}Inf"
            tokens.early.append((part.start, f"timestamp out of bounds for @ modifier: {shown}"))
    if not plain and part.kind != "matrix":
        said = "must be preceded by an instant vector selector or range vector selector or a subquery"
        tokens.early.append((part.start, f"@ modifier {said}"))
    return part


def _number(tokens: Tokens, context: str, expected: str) -> tuple[str, str]:
    """Sign and number as written, in small letters."""
    sign = tokens.advance().text if tokens.word() in ("-", "+") else ""
    token = tokens.peek()
    if token is None or (token.kind != "number" and token.text.lower() not in ("inf", "nan")):
        tokens.unexpected(context, expected)
    return sign, tokens.advance().text.lower()
