"""Syntax that Prometheus has only behind feature flags is refused by its name, not as a riddle of the parser."""

from __future__ import annotations

from alerting.promql.errors import QueryError
from alerting.promql.lex import Token, position

_REFUSED = "experimental in Prometheus and not supported here"
_ARITHMETIC = frozenset({"+", "-", "*", "/", "%", "^", "("})
_DURATION_FUNCTIONS = frozenset({"step", "range", "min_of", "max_of", "min", "max"})
_MODIFIERS = frozenset({"anchored", "smoothed"})


def refuse_flagged(text: str, tokens: list[Token]) -> None:
    """Raises QueryError for duration expressions and for the modifiers of range selectors."""
    opened: list[str] = []
    before = ""
    for token in tokens:
        word = token.text.lower()
        in_range = bool(opened) and opened[-1] == "["
        # In brackets there is a duration, and perhaps a colon and another one.
        strange = in_range and (word in _ARITHMETIC or (token.kind == "word" and word[0] != ":"))
        if strange or (before == "offset" and (word == "(" or word in _DURATION_FUNCTIONS)):
            raise QueryError(f"arithmetic with durations is {_REFUSED}", position(text, token.start))
        if word in _MODIFIERS and before in ("]", "}", "word", ")"):
            raise QueryError(f"the modifier {word} is {_REFUSED}", position(text, token.start))
        if token.kind == "open":
            opened.append(word)
        elif token.kind == "close":
            opened.pop()
        if before == "offset" and word in ("-", "+"):
            continue
        before = "offset" if word == "offset" else "word" if token.kind == "word" else word
