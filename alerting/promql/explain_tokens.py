"""The tokens of a query that was refused, read one after the other, and what Prometheus says of one it did not expect
(the lexer of promql/parser, and ``unexpected`` in parse.go)."""

from __future__ import annotations

from typing import NoReturn

from alerting.promql import nodes
from alerting.promql.lex import Token
from alerting.promql.signatures import AGGREGATIONS

PRECEDENCE = {
    "or": 1,
    "and": 2,
    "unless": 2,
    **dict.fromkeys(nodes.COMPARISONS, 3),
    "+": 4,
    "-": 4,
    **dict.fromkeys(("*", "/", "%", "atan2"), 5),
    "^": 7,
}
KEYWORDS = frozenset({"offset", "by", "without", "on", "ignoring", "group_left", "group_right", "bool"})


class MistakeError(Exception):
    """Message and the character where it is."""


class Tokens:
    """``early`` are the mistakes that Prometheus finds while it reads, before it looks at types: (place, message)."""

    def __init__(self, text: str, tokens: list[Token]) -> None:
        self.text = text
        self._tokens = tokens
        self._next = 0
        self._open: list[str] = []
        self.early: list[tuple[int, str]] = []

    @property
    def last(self) -> Token:
        """What was read last."""
        return self._tokens[self._next - 1]

    def peek(self, ahead: int = 0) -> Token | None:
        """The next token, or one after it; None at the end."""
        place = self._next + ahead
        return self._tokens[place] if place < len(self._tokens) else None

    def word(self) -> str:
        """The next token in small letters; empty at the end, and for a string."""
        token = self.peek()
        return "" if token is None or token.kind == "string" else token.text.lower()

    def advance(self) -> Token:
        token = self.peek()
        if token is None:
            self.unexpected()
        if token.text in ("(", "{", "["):
            self._open.append(token.text)
        elif token.text in (")", "}", "]") and self._open:
            self._open.pop()
        self._next += 1
        after = self.peek()
        if token.kind == "number" and after is not None and _goes_on(token, after):
            raise MistakeError(f'bad number or duration syntax: "{token.text}{after.text[0]}"', token.start)
        return token

    def unexpected(self, context: str = "", expected: str = "") -> NoReturn:
        """The next token cannot stand here."""
        token = self.peek()
        if token is None:
            # What the lexer finds at the end goes before what the grammar misses there.
            if "{" in self._open:
                raise MistakeError("unexpected end of input inside braces", len(self.text))
            if "(" in self._open:
                raise MistakeError("unclosed left parenthesis", len(self.text))
            shown, place = "end of input", len(self.text)
        elif token.text == ")" and "(" not in self._open:
            raise MistakeError("unexpected right parenthesis ')'", token.start + 1)
        elif token.text == "}" and "{" not in self._open:
            raise MistakeError("unexpected character: '}'", token.start)
        elif token.text == "]" and "[" not in self._open:
            raise MistakeError("unexpected right bracket ']'", token.start)
        elif token.kind == "other":
            raise MistakeError(f"unexpected character: {token.text!r}", token.start)
        else:
            shown, place = _described(token), token.start
        words = f" in {context}" if context else ""
        raise MistakeError(f"unexpected {shown}{words}{f', expected {expected}' if expected else ''}", place)


def _goes_on(number: Token, after: Token) -> bool:
    """Whether what follows a number touches it and belongs to no other thing."""
    if after.start != number.start + len(number.text):
        return False
    return after.text == "." or (after.kind in ("word", "number") and after.text[0] != ":")


def _described(token: Token) -> str:
    """A token as Prometheus speaks of it."""
    word = token.text.lower()
    if token.kind == "string":
        return f"string {token.text}"
    if token.kind == "number":
        return f'number "{token.text}"'
    if word in KEYWORDS:
        return f"<{token.text}>"
    if word in PRECEDENCE or token.text in ("=~", "!~", "@"):
        return f"<op:{token.text}>"
    if token.kind == "word":
        if word in AGGREGATIONS:
            return f"<aggr:{token.text}>"
        return f'{"metric identifier" if ":" in token.text else "identifier"} "{token.text}"'
    return f'"{token.text}"'
