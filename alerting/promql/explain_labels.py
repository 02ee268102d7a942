"""Labels in a query that was refused: what stands in braces, and the lists of ``by``, ``on`` and ``group_left``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from alerting.model.matcher import Matcher, Op
from alerting.promql.explain_tokens import MistakeError, Tokens
from alerting.promql.explain_types import Part

_MATCH_OPERATORS = frozenset({"=", "!=", "=~", "!~"})


@dataclass(slots=True)
class Matching:
    """What stands between a binary operator and its right side."""

    on: bool = False
    labels: list[str] = field(default_factory=list)
    include: list[str] = field(default_factory=list)
    grouped: bool = False
    return_bool: bool = False


def matching(tokens: Tokens) -> Matching:
    """``bool``, ``on``, ``group_left`` and the like, when they come next. Raises MistakeError."""
    found = Matching()
    if tokens.word() == "bool":
        tokens.advance()
        found.return_bool = True
    if tokens.word() in ("on", "ignoring"):
        found.on = tokens.advance().text.lower() == "on"
        found.labels = _label_list(tokens)
        if tokens.word() in ("group_left", "group_right"):
            found.grouped = True
            tokens.advance()
            if tokens.word() == "(":
                found.include = _label_list(tokens)
    return found


def grouping(tokens: Tokens) -> None:
    """``by (...)`` or ``without (...)``. Raises MistakeError."""
    tokens.advance()
    _label_list(tokens)


def _label_list(tokens: Tokens) -> list[str]:
    if tokens.word() != "(":
        tokens.unexpected("grouping opts", '"("')
    tokens.advance()
    found: list[str] = []
    while tokens.word() != ")":
        token = tokens.peek()
        if token is None or token.kind not in ("word", "string"):
            tokens.unexpected("grouping opts", "label")
        found.append(tokens.advance().text)
        if tokens.word() == ",":
            tokens.advance()
        elif tokens.word() != ")":
            tokens.unexpected("grouping opts", '"," or ")"')
    tokens.advance()
    return found


def selector(tokens: Tokens, start: int, name: str) -> Part:
    """A metric name, if there is one, and its matchers. Raises MistakeError."""
    if name:
        tokens.advance()
    part = Part("vector", start)
    if tokens.word() != "{":
        return part
    tokens.advance()
    nothing = not name
    while tokens.word() != "}":
        label, operator, value = _matcher(tokens)
        nothing = nothing and _takes_nothing(operator, value)
        if name and label == "__name__":
            part.problems.append((start, f'metric name must not be set twice: "{name}" or {value}'))
        if tokens.word() == ",":
            tokens.advance()
        elif tokens.word() != "}":
            tokens.unexpected("label matching", '"," or "}"')
    tokens.advance()
    if nothing:
        part.problems.append((start, "vector selector must contain at least one non-empty matcher"))
    return part


def _matcher(tokens: Tokens) -> tuple[str, str, str]:
    """Label, operator and value as written."""
    _inside_braces(tokens)
    label = tokens.peek()
    if label is None or label.kind not in ("word", "string"):
        tokens.unexpected("label matching", 'identifier or "}"')
    tokens.advance()
    _inside_braces(tokens)
    if label.kind == "string" and tokens.word() in (",", "}"):
        return "__name__", "=", label.text
    if tokens.word() not in _MATCH_OPERATORS:
        tokens.unexpected("label matching", "label matching operator")
    operator = tokens.advance().text
    value = tokens.peek()
    if value is None or value.kind != "string":
        _inside_braces(tokens)
        tokens.unexpected("label matching", "string")
    return label.text, operator, tokens.advance().text


def _inside_braces(tokens: Tokens) -> None:
    """What the lexer refuses within braces."""
    token = tokens.peek()
    if token is None:
        return
    place = token.text.find(":") if token.kind == "word" else -1
    if place >= 0 or (token.kind in ("number", "op") and token.text not in (*_MATCH_OPERATORS, ",")):
        letter = token.text[max(place, 0)]
        raise MistakeError(f"unexpected character inside braces: {letter!r}", token.start + max(place, 0))


def _takes_nothing(operator: str, value: str) -> bool:
    """Whether a matcher also takes series without the label."""
    try:
        return Matcher("x", cast(Op, operator), value[1:-1]).matches("")
    except ValueError:
        return False
