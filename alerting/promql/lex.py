"""A light reading of the query's text before the parsing library sees it.

It bounds the size, finds the positions of broken strings and brackets, and rewrites the three things the library
(promql-parser 0.12) gets wrong: ``offset 0s`` is refused, a negative ``@`` time panics when it is read, and byte
escapes such as ``"\\xc3\\xa9"`` become two characters instead of UTF-8.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from alerting.promql.errors import ExecutionError, QueryError

MAX_LENGTH = 65_536  # characters
MAX_NESTING = 100  # brackets inside brackets
MAX_TOKENS = 10_000
MAX_OPERATORS = 400  # the library and the evaluator recurse along chains of operators

# Times before the epoch travel through the library as these far seconds and are put back afterwards.
FAR_SECONDS = 250_000_000_000  # year 9892: the library answers with a datetime

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|\#[^\n]*)
  | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
  | (?P<word>[A-Za-z_:][A-Za-z0-9_:]*)
  | (?P<number>(?:0[xX][0-9a-fA-F]+|(?:\d+(?:ms|[smhdwy]))+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?))
  | (?P<open>[(\[{])
  | (?P<close>[)\]}])
  | (?P<op>==|!=|=~|!~|>=|<=|[-+*/%^<>=@,:])
  | (?P<quote>["'`])
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_PAIR = {")": "(", "]": "[", "}": "{"}
_OPERATORS = frozenset({"+", "-", "*", "/", "%", "^", "==", "!=", ">", "<", ">=", "<="})
_WORD_OPERATORS = frozenset({"and", "or", "unless", "atan2"})
_DURATION = re.compile(r"(\d+)(ms|[smhdwy])")
_UNIT_MS = {
    "ms": 1,
    "s": 1000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
    "y": 31_536_000_000,
}
_BYTE_ESCAPE = re.compile(r"\\(?:x[89a-fA-F][0-9a-fA-F]|[23][0-7]{2})")
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|[0-7]{3}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_SIMPLE_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@dataclass(frozen=True, slots=True)
class Prepared:
    """Text for the library, what its far ``@`` seconds stand for (milliseconds), and the tokens as they were."""

    text: str
    at_ms: dict[int, int]
    tokens: list[Token]


@dataclass(frozen=True, slots=True)
class Token:
    """``start`` counts characters from the start of the query."""

    kind: str
    text: str
    start: int


class BracketError(QueryError):
    """Brackets that do not fit; with the tokens, for those who can say more."""

    def __init__(self, message: str, place: tuple[int, int], tokens: list[Token]) -> None:
        super().__init__(message, place)
        self.tokens = tokens


def prepare(text: str) -> Prepared:
    """Check the outer shape of a query and rewrite what the library cannot take. Raises QueryError."""
    if len(text) > MAX_LENGTH:
        raise QueryError(f"the query has {len(text)} characters; at most {MAX_LENGTH} are accepted")
    tokens = _tokens(text)
    _check_shape(text, tokens)
    return _rewrite(text, tokens)


def position(text: str, offset: int) -> tuple[int, int]:
    """Line and column, from 1, of a character."""
    return text.count("\n", 0, offset) + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1


def duration_ms(text: str) -> int:
    """A PromQL duration such as ``1h30m``; raises QueryError when it is none."""
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise QueryError(f"not a valid duration string: {text!r}")
    return sum(int(number) * _UNIT_MS[unit] for number, unit in parts)


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "other"
        if kind == "quote":
            raise QueryError("parse error: unterminated quoted string", position(text, match.start()))
        if kind == "other" and match.group() not in "!~;|&?$.\\":
            raise QueryError(f"parse error: unexpected character: {match.group()!r}", position(text, match.start()))
        if kind != "space":
            tokens.append(Token(kind, match.group(), match.start()))
    if not tokens:
        raise QueryError(f"{'1:1' if text else 'unknown position'}: parse error: no expression found in input")
    if len(tokens) > MAX_TOKENS:
        raise QueryError(f"the query has {len(tokens)} tokens; at most {MAX_TOKENS} are accepted")
    return tokens


def _check_shape(text: str, tokens: list[Token]) -> None:
    opened: list[Token] = []
    operators = 0
    for token in tokens:
        if token.kind == "open":
            opened.append(token)
            if len(opened) > MAX_NESTING:
                raise QueryError(f"nested more than {MAX_NESTING} levels deep", position(text, token.start))
        elif token.kind == "close":
            if not opened or opened.pop().text != _PAIR[token.text]:
                raise BracketError(f"unexpected closing {token.text!r}", position(text, token.start), tokens)
        elif token.text in _OPERATORS or token.text.lower() in _WORD_OPERATORS:
            operators += 1
    if opened:
        raise BracketError(f"unclosed {opened[-1].text!r}", position(text, opened[-1].start), tokens)
    if operators > MAX_OPERATORS:
        raise QueryError(f"the query has {operators} operators; at most {MAX_OPERATORS} are accepted")


def _rewrite(text: str, tokens: list[Token]) -> Prepared:
    pieces: list[str] = []
    at_ms: dict[int, int] = {}
    done = 0
    index = 0
    while index < len(tokens):
        token = tokens[index]
        start, end, new = token.start, 0, ""
        if token.kind == "string" and token.text[0] != "`" and _BYTE_ESCAPE.search(token.text):
            end, new = start + len(token.text), _reencoded(text, token)
        elif token.text.lower() == "offset" and (number := _number_after(tokens, index)) is not None:
            _sign, literal = number
            if literal.text[-1].isalpha() and _DURATION.match(literal.text) and duration_ms(literal.text) == 0:
                end, new = literal.start + len(literal.text), "offset 0"
        elif token.text == "@" and (number := _number_after(tokens, index)) is not None and number[0] == "-":
            literal = number[1]
            far = FAR_SECONDS + len(at_ms)
            at_ms[far] = -_number_ms(literal.text)
            end, new = literal.start + len(literal.text), f"@ {far}"
        index += 1
        if end:
            pieces += (text[done:start], new)
            done = end
    pieces.append(text[done:])
    return Prepared("".join(pieces), at_ms, tokens)


def _number_after(tokens: list[Token], index: int) -> tuple[str, Token] | None:
    """The number literal that follows a token, with its sign."""
    sign = ""
    index += 1
    if index < len(tokens) and tokens[index].text in ("-", "+"):
        sign = tokens[index].text
        index += 1
    if index < len(tokens) and tokens[index].kind == "number":
        return sign, tokens[index]
    return None


def _number_ms(literal: str) -> int:
    """A number of seconds or a duration, in milliseconds."""
    if literal[:2].lower() == "0x":
        return int(literal, 16) * 1000
    if literal[-1].isalpha():
        return duration_ms(literal)
    seconds = float(literal)
    if seconds > FAR_SECONDS:
        raise QueryError(f"timestamp out of bounds for @ modifier: -{literal}")
    return round(seconds * 1000)


def _reencoded(text: str, token: Token) -> str:
    """A string literal with byte escapes, written again with the characters they mean."""
    raw = bytearray()
    done = 1
    for match in _ESCAPE.finditer(token.text, 1, len(token.text) - 1):
        raw += token.text[done : match.start()].encode()
        raw += _escaped_bytes(match.group(1), text, token)
        done = match.end()
    raw += token.text[done:-1].encode()
    try:
        decoded = raw.decode()
    except UnicodeDecodeError as error:
        if re.search(r"\bcount_values\b", text):
            raise ExecutionError(f'invalid label name "{token.text[1:-1]}"') from error
        raise QueryError("the string literal is not valid UTF-8", position(text, token.start)) from error
    escaped = decoded.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _escaped_bytes(escape: str, text: str, token: Token) -> bytes:
    if escape[0] == "x":
        return bytes([int(escape[1:], 16)])
    if escape[0] in "uU":
        return chr(int(escape[1:], 16)).encode()
    if len(escape) == 3:
        return bytes([int(escape, 8) & 0xFF])
    if escape in _SIMPLE_ESCAPES:
        return _SIMPLE_ESCAPES[escape].encode()
    if escape in "\\'\"":
        return escape.encode()
    raise QueryError(f"unknown escape sequence {escape!r}", position(text, token.start))
