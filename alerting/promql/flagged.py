"""What the parsing library must not see: syntax from behind Prometheus' feature flags, which is refused by its name,
and durations that no clock has."""

from __future__ import annotations

from alerting.promql.errors import QueryError
from alerting.promql.lex import Token, position

_REFUSED = "experimental in Prometheus and not supported here"
_ARITHMETIC = frozenset({"+", "-", "*", "/", "%", "^", "("})
_DURATION_FUNCTIONS = frozenset({"step", "range", "min_of", "max_of", "min", "max"})
_LONGEST_S = (1 << 63) / 1e9
_MODIFIERS = frozenset({"anchored", "smoothed"})


def refuse_flagged(text: str, tokens: list[Token]) -> None:
    """Raises QueryError for duration expressions and for the modifiers of range selectors."""
    opened: list[str] = []
    before = ""
    for token in tokens:
        word = token.text.lower()
        in_range = bool(opened) and opened[-1] == "["
        # In brackets there is a duration, and perhaps a colon and another one.
        strange = in_range and (word in _ARITHMETIC or word in _DURATION_FUNCTIONS)
        if strange or (before == "offset" and (word == "(" or word in _DURATION_FUNCTIONS)):
            raise QueryError(f"arithmetic with durations is {_REFUSED}", position(text, token.start))
        if (in_range or before == "offset") and _seconds(word.lstrip(":")) > _LONGEST_S:
            # The library panics on some of these, with a text on standard error.
            raise QueryError("parse error: duration out of range", position(text, token.start))
        if word in _MODIFIERS and before in ("]", "}", "word", ")"):
            raise QueryError(f"the modifier {word} is {_REFUSED}", position(text, token.start))
        if token.kind == "open":
            opened.append(word)
        elif token.kind == "close":
            opened.pop()
        if before == "offset" and word in ("-", "+"):
            continue
        before = "offset" if word == "offset" else "word" if token.kind == "word" else word


def _seconds(number: str) -> float:
    """A number without a unit; 0 for anything else, which is left to the library."""
    try:
        return float(int(number, 16)) if number[:2] == "0x" else float(number)
    except (ValueError, OverflowError):
        return 0.0
