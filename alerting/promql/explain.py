"""What is wrong with a query that the parsing library refused, in Prometheus' words and with its place.

The library says little about syntax ("invalid promql query") and nothing about places. So a refused query is read once
more, along the grammar of promql/parser (generated_parser.y, checkAST in parse.go), up to the first mistake. Nothing is
built; a query that looks right here keeps the library's message.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn, cast

from alerting.model.matcher import Matcher, Op
from alerting.promql import nodes
from alerting.promql.explain_types import Part, check_aggregate, check_binary, check_call, check_subquery, check_unary
from alerting.promql.lex import Token, position
from alerting.promql.signatures import AGGREGATIONS, FUNCTIONS, REFUSED

_PRECEDENCE = {
    "or": 1,
    "and": 2,
    "unless": 2,
    **dict.fromkeys(nodes.COMPARISONS, 3),
    "+": 4,
    "-": 4,
    **dict.fromkeys(("*", "/", "%", "atan2"), 5),
    "^": 7,
}
_UNARY = 6
_KEYWORDS = frozenset({"offset", "by", "without", "on", "ignoring", "group_left", "group_right", "bool"})
_MATCH_OPERATORS = frozenset({"=", "!=", "=~", "!~"})
_A_DURATION = "number, duration, step(), or range()"


class _MistakeError(Exception):
    """Message and the character where it is."""


@dataclass(slots=True)
class _Matching:
    on: bool = False
    labels: list[str] = field(default_factory=list)
    include: list[str] = field(default_factory=list)
    grouped: bool = False
    return_bool: bool = False


def explain(text: str, tokens: list[Token]) -> tuple[str, tuple[int, int]] | None:
    """The first mistake and its line and column; None where nothing is seen."""
    reader = _Reader(text, tokens)
    try:
        try:
            whole = reader.expr(0)
            if reader.peek() is not None:
                reader.unexpected()
        except _MistakeError as mistake:
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


class _Reader:
    """``early`` are the mistakes that Prometheus finds while it reads, before it looks at types."""

    def __init__(self, text: str, tokens: list[Token]) -> None:
        self._text = text
        self._tokens = tokens
        self._next = 0
        self._open: list[str] = []
        self.early: list[tuple[int, str]] = []

    # Tokens.

    def peek(self) -> Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _word(self) -> str:
        token = self.peek()
        return "" if token is None or token.kind == "string" else token.text.lower()

    def _advance(self) -> Token:
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
            raise _MistakeError(f'bad number or duration syntax: "{token.text}{after.text[0]}"', token.start)
        return token

    def unexpected(self, context: str = "", expected: str = "") -> NoReturn:
        token = self.peek()
        if token is None:
            # What the lexer finds at the end goes before what the grammar misses there.
            if "{" in self._open:
                raise _MistakeError("unexpected end of input inside braces", len(self._text))
            if "(" in self._open:
                raise _MistakeError("unclosed left parenthesis", len(self._text))
            shown, place = "end of input", len(self._text)
        elif token.text == ")" and "(" not in self._open:
            raise _MistakeError("unexpected right parenthesis ')'", token.start + 1)
        elif token.text == "}" and "{" not in self._open:
            raise _MistakeError("unexpected character: '}'", token.start)
        elif token.text == "]" and "[" not in self._open:
            raise _MistakeError("unexpected right bracket ']'", token.start)
        elif token.kind == "other":
            raise _MistakeError(f"unexpected character: {token.text!r}", token.start)
        else:
            shown, place = _described(token), token.start
        words = f" in {context}" if context else ""
        raise _MistakeError(f"unexpected {shown}{words}{f', expected {expected}' if expected else ''}", place)

    # Expressions.

    def expr(self, least: int) -> Part:
        token = self.peek()
        if token is not None and token.text in ("+", "-"):
            self._advance()
            left = check_unary(token.start, self.expr(_UNARY))
        else:
            left = self._postfixed(self._primary())
        while (strength := _PRECEDENCE.get(self._word(), 0)) >= max(least, 1):
            operator = self._advance()
            matching = self._matching()
            right = self.expr(strength if operator.text == "^" else strength + 1)
            left = check_binary(
                operator.text.lower(),
                operator.start,
                left,
                right,
                return_bool=matching.return_bool,
                grouped=matching.grouped,
                labels=matching.labels,
                clashing=[name for name in matching.labels if matching.on and name in matching.include],
            )
        return left

    def _primary(self) -> Part:
        token = self.peek()
        if token is None:
            self.unexpected()
        if token.text == "(":
            self._advance()
            inner = self.expr(0)
            if self._word() != ")":
                self.unexpected()
            self._advance()
            return Part(inner.kind, token.start, inner.problems)
        if token.text == "{":
            return self._selector(token.start, "")
        if token.kind in ("number", "string"):
            self._advance()
            return Part("scalar" if token.kind == "number" else "string", token.start)
        if token.kind != "word":
            self.unexpected()
        after = self._tokens[self._next + 1].text.lower() if self._next + 1 < len(self._tokens) else ""
        name = token.text.lower()
        if name in ("inf", "nan") and after not in ("(", "{"):
            self._advance()
            return Part("scalar", token.start)
        if name in AGGREGATIONS and after in ("(", "by", "without"):
            return self._aggregation(token)
        if after == "(" and name not in _KEYWORDS:
            return self._call(token)
        if name in ("bool", "on", "ignoring", "group_left", "group_right"):
            self.unexpected()
        return self._selector(token.start, token.text)

    def _call(self, token: Token) -> Part:
        self._advance()
        signature = FUNCTIONS.get(token.text)
        if signature is None and token.text not in REFUSED:
            self.early.append((token.start, f'unknown function with name "{token.text}"'))
        return check_call(token.text, token.start, signature, self._arguments())

    def _aggregation(self, token: Token) -> Part:
        self._advance()
        grouped = self._word() in ("by", "without")
        if grouped:
            self._grouping()
        if self._word() != "(":
            self.unexpected("aggregation")
        arguments = self._arguments()
        name = token.text.lower()
        if not grouped and self._word() in ("by", "without"):
            self._grouping()
        wanted = 2 if name in nodes.PARAMETER_AGGREGATIONS else 1
        if not arguments:
            self.early.append((token.start, "no arguments for aggregate expression provided"))
        elif len(arguments) != wanted:
            said = "wrong number of arguments for aggregate expression provided"
            self.early.append((token.start, f"{said}, expected {wanted}, got {len(arguments)}"))
        return check_aggregate(name, token.start, arguments)

    def _arguments(self) -> list[Part]:
        self._advance()
        found: list[Part] = []
        while self._word() != ")":
            found.append(self.expr(0))
            if self._word() == ",":
                comma = self._advance()
                if self._word() == ")":
                    raise _MistakeError("trailing commas not allowed in function call args", comma.start)
            elif self._word() != ")":
                self.unexpected()
        self._advance()
        return found

    # Labels.

    def _matching(self) -> _Matching:
        found = _Matching()
        if self._word() == "bool":
            self._advance()
            found.return_bool = True
        if self._word() in ("on", "ignoring"):
            found.on = self._advance().text.lower() == "on"
            found.labels = self._label_list()
            if self._word() in ("group_left", "group_right"):
                found.grouped = True
                self._advance()
                if self._word() == "(":
                    found.include = self._label_list()
        return found

    def _grouping(self) -> None:
        self._advance()
        self._label_list()

    def _label_list(self) -> list[str]:
        if self._word() != "(":
            self.unexpected("grouping opts", '"("')
        self._advance()
        found: list[str] = []
        while self._word() != ")":
            token = self.peek()
            if token is None or token.kind not in ("word", "string"):
                self.unexpected("grouping opts", "label")
            found.append(self._advance().text)
            if self._word() == ",":
                self._advance()
            elif self._word() != ")":
                self.unexpected("grouping opts", '"," or ")"')
        self._advance()
        return found

    def _selector(self, start: int, name: str) -> Part:
        if name:
            self._advance()
        part = Part("vector", start)
        if self._word() != "{":
            return part
        self._advance()
        nothing = not name
        while self._word() != "}":
            label, operator, value = self._matcher()
            nothing = nothing and _takes_nothing(operator, value)
            if name and label == "__name__":
                part.problems.append((start, f'metric name must not be set twice: "{name}" or {value}'))
            if self._word() == ",":
                self._advance()
            elif self._word() != "}":
                self.unexpected("label matching", '"," or "}"')
        self._advance()
        if nothing:
            part.problems.append((start, "vector selector must contain at least one non-empty matcher"))
        return part

    def _matcher(self) -> tuple[str, str, str]:
        """Label, operator and value as written."""
        self._inside_braces()
        label = self.peek()
        if label is None or label.kind not in ("word", "string"):
            self.unexpected("label matching", 'identifier or "}"')
        self._advance()
        self._inside_braces()
        if label.kind == "string" and self._word() in (",", "}"):
            return "__name__", "=", label.text
        if self._word() not in _MATCH_OPERATORS:
            self.unexpected("label matching", "label matching operator")
        operator = self._advance().text
        value = self.peek()
        if value is None or value.kind != "string":
            self._inside_braces()
            self.unexpected("label matching", "string")
        return label.text, operator, self._advance().text

    def _inside_braces(self) -> None:
        """What the lexer refuses within braces."""
        token = self.peek()
        if token is None:
            return
        place = token.text.find(":") if token.kind == "word" else -1
        if place >= 0 or (token.kind in ("number", "op") and token.text not in (*_MATCH_OPERATORS, ",")):
            letter = token.text[max(place, 0)]
            raise _MistakeError(f"unexpected character inside braces: {letter!r}", token.start + max(place, 0))

    # What follows a selector or an expression.

    def _postfixed(self, part: Part) -> Part:
        plain = part.kind == "vector" and self._text[part.start] != "(" and self._just_read_selector()
        kinds: dict[str, Callable[[Part, bool], Part]] = {"[": self._range, "offset": self._offset, "@": self._at}
        seen: set[str] = set()
        while (word := self._word()) in kinds:
            if word == "[" and plain and seen and self._is_plain_range():
                token = self.peek()
                modifier = "offset" if "offset" in seen else "@"
                if token is not None:
                    raise _MistakeError(f"no {modifier} modifiers allowed before range", token.start)
            if word != "[" and word in seen:
                said = "offset" if word == "offset" else "@ <timestamp>"
                self.early.append((part.start, f"{said} may not be set multiple times"))
            part = kinds[word](part, plain)
            seen = set() if word == "[" else {*seen, word}
            plain = plain or word == "["
        return part

    def _just_read_selector(self) -> bool:
        """Whether the last token ends a selector: an identifier or a closing brace."""
        last = self._tokens[self._next - 1]
        return last.text == "}" or (last.kind == "word" and last.text != ")")

    def _is_plain_range(self) -> bool:
        rest = [token.text for token in self._tokens[self._next : self._next + 4]]
        return len(rest) > 2 and rest[2] == "]"

    def _range(self, part: Part, plain: bool) -> Part:
        bracket = self._advance()
        if self.peek() is None:
            raise _MistakeError("unexpected end of input in duration expression", len(self._text))
        colon = False
        while self._word() != "]":
            token = self.peek()
            if token is None:
                raise _MistakeError("unclosed left bracket", len(self._text))
            if token.kind not in ("number", "word") and token.text != ":":
                self.unexpected("subquery or range selector", _A_DURATION)
            colon = colon or ":" in token.text
            self._advance()
        if self._tokens[self._next - 1] is bracket:
            self.unexpected("subquery or range selector", _A_DURATION)
        self._advance()
        if colon:
            return check_subquery(part)
        if part.kind != "vector" or not plain:
            raise _MistakeError("ranges only allowed for vector selectors", bracket.start)
        return Part("matrix", part.start, part.problems)

    def _offset(self, part: Part, plain: bool) -> Part:
        self._advance()
        self._number("offset", _A_DURATION)
        if not plain and part.kind != "matrix":
            said = "must be preceded by an instant vector selector or range vector selector or a subquery"
            self.early.append((part.start, f"offset modifier {said}"))
        return part

    def _at(self, part: Part, plain: bool) -> Part:
        self._advance()
        if self._word() in ("start", "end"):
            self._advance()
            for bracket in ("(", ")"):
                if self._word() != bracket:
                    self.unexpected("@", "timestamp")
                self._advance()
        else:
            sign, number = self._number("@", "timestamp")
            if number in ("inf", "nan"):
                shown = "NaN" if number == "nan" else f"{sign or '+'}Inf"
                self.early.append((part.start, f"timestamp out of bounds for @ modifier: {shown}"))
        if not plain and part.kind != "matrix":
            said = "must be preceded by an instant vector selector or range vector selector or a subquery"
            self.early.append((part.start, f"@ modifier {said}"))
        return part

    def _number(self, context: str, expected: str) -> tuple[str, str]:
        """Sign and number as written, in small letters."""
        sign = self._advance().text if self._word() in ("-", "+") else ""
        token = self.peek()
        if token is None or (token.kind != "number" and token.text.lower() not in ("inf", "nan")):
            self.unexpected(context, expected)
        return sign, self._advance().text.lower()


def _goes_on(number: Token, after: Token) -> bool:
    """Whether what follows a number touches it and belongs to no other thing."""
    if after.start != number.start + len(number.text):
        return False
    return after.text == "." or (after.kind in ("word", "number") and after.text[0] != ":")


def _takes_nothing(operator: str, value: str) -> bool:
    """Whether a matcher also takes series without the label."""
    try:
        return Matcher("x", cast(Op, operator), value[1:-1]).matches("")
    except ValueError:
        return False


def _described(token: Token) -> str:
    """A token as Prometheus speaks of it."""
    word = token.text.lower()
    if token.kind == "string":
        return f"string {token.text}"
    if token.kind == "number":
        return f'number "{token.text}"'
    if word in _KEYWORDS:
        return f"<{token.text}>"
    if word in _PRECEDENCE or token.text in ("=~", "!~", "@"):
        return f"<op:{token.text}>"
    if token.kind == "word":
        if word in AGGREGATIONS:
            return f"<aggr:{token.text}>"
        return f'{"metric identifier" if ":" in token.text else "identifier"} "{token.text}"'
    return f'"{token.text}"'
