"""Go's text/template, the part that alert texts use: from text to pieces, from an action to tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_LENGTH = 65_536  # characters of one template


class TemplateError(ValueError):
    """A template that does not parse; the message says what was found and what was expected."""


_SPACE = " \t\r\n"
_TOKEN = re.compile(
    r"""
    (?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)
  | (?P<char>'(?:[^'\\\n]|\\.[^']*)')
  | (?P<number>[+-]?(?:0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?))
  | (?P<field>\.[A-Za-z_]\w*)
  | (?P<variable>\$\w*)
  | (?P<word>[A-Za-z_]\w*)
  | (?P<mark>:=|[=|(),.])
    """,
    re.VERBOSE,
)
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"', "'": "'"}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    spaced: bool  # whether blanks stood before it: "$x .y" is two operands, "$x.y" is one


def unquote(literal: str) -> str:
    """The text of a Go string literal. Raises TemplateError."""
    if literal[0] == "`":
        return literal[1:-1]

    def one(match: re.Match[str]) -> str:
        escape = match[1]
        if escape in _ESCAPES:
            return _ESCAPES[escape]
        if escape[0] in "xuU" and len(escape) > 1:
            return chr(int(escape[1:], 16))
        if len(escape) == 3:
            return chr(int(escape, 8))
        raise TemplateError(f"unknown escape \\{escape} in {literal}")

    return _ESCAPE.sub(one, literal[1:-1])


def pieces(text: str) -> list[tuple[bool, str]]:
    """The template cut into (is an action, what it says), blanks trimmed where ``{{-`` and ``-}}`` ask for it."""
    if len(text) > MAX_LENGTH:
        raise TemplateError(f"longer than {MAX_LENGTH} characters")
    result: list[tuple[bool, str]] = []
    position = 0
    trim = False
    while True:
        start = text.find("{{", position)
        plain = text[position:] if start < 0 else text[position:start]
        plain = plain.lstrip(_SPACE) if trim else plain
        if start < 0:
            result.append((False, plain))
            return result
        start += 2
        if text[start : start + 1] == "-" and text[start + 1 : start + 2] in tuple(_SPACE):
            plain = plain.rstrip(_SPACE)
            start += 1
        result.append((False, plain))
        end = _action_end(text, start)
        action = text[start:end]
        trim = action[-1:] == "-" and action[-2:-1] in tuple(_SPACE)
        if not text.startswith("/*", _comment(text, start)):
            result.append((True, action[:-1] if trim else action))
        position = end + 2


def _comment(text: str, start: int) -> int:
    """Where a comment would have to start: right after the braces, or after ``{{- ``. It must end as tightly."""
    return start + (text[start - 1] == "-" and text[start : start + 1] in tuple(_SPACE))


def _action_end(text: str, start: int) -> int:
    """Where the ``}}`` of an action stands; those inside quotes and comments do not count."""
    if text.startswith("/*", comment := _comment(text, start)):
        close = text.find("*/", comment + 2)
        if close < 0 or not text.startswith(("*/}}", *(f"*/{blank}-}}}}" for blank in _SPACE)), close):
            raise TemplateError("a comment is not closed: expected */}}")
        return text.index("}}", close)
    index = start
    while index < len(text):
        if text.startswith("}}", index):
            return index
        if text[index] in "\"`'":
            quoted = re.compile(r'"(?:[^"\\\n]|\\.)*"|`[^`]*`|\'(?:[^\'\\\n]|\\.)*\'').match(text, index)
            if quoted is None:
                raise TemplateError(f"a quoted text is not closed: {text[index : index + 20]}")
            index = quoted.end()
        else:
            index += 1
    raise TemplateError("an action is not closed: expected }}")


def tokens(action: str) -> list[Token]:
    """The tokens of an action, at least one."""
    inner = action.strip(_SPACE)
    if not inner:
        raise TemplateError("missing value for command: nothing between {{ and }}")
    result: list[Token] = []
    index = 0
    while index < len(inner):
        if inner[index] in _SPACE:
            index += 1
            continue
        match = _TOKEN.match(inner, index)
        if match is None:
            raise TemplateError(f'unexpected "{inner[index]}" in {{{{ {inner} }}}}')
        spaced = index == 0 or inner[index - 1] in _SPACE
        result.append(Token(match.lastgroup or "", match.group(), spaced))
        index = match.end()
    return result


def number(text: str) -> int | float:
    """The value of a Go number literal. Raises TemplateError."""
    plain = text.replace("_", "")
    try:
        return int(plain, 8 if re.fullmatch(r"[+-]?0\d+", plain) else 0)
    except ValueError:
        pass
    try:
        return float(plain)
    except ValueError:
        raise TemplateError(f"bad number syntax: {text}") from None
