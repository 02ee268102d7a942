"""RE2 syntax (which Prometheus, Alertmanager and their users write) for Python's ``re``.

Translated: inline flags in the middle of a group, ``\\z``, ``$``, ``\\Q..\\E``, ASCII classes, ``(?<name>``, POSIX
classes. Refused: what RE2 refuses (look-around, back-references, possessive quantifiers) and Unicode classes.
Syntax: https://github.com/google/re2/wiki/Syntax.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Protocol

from alerting.model import linear


class RegexError(ValueError):
    """The expression is no RE2 expression, or uses a part of it that is not supported."""


_POSIX = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": "\\x00-\\x7f",
    "blank": "\\t ",
    "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": "!-/:-@\\[-`{-~",
    "space": "\\t\\n\\v\\f\\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_PERL = {"d": "0-9", "s": "\\t\\n\\f\\r ", "w": "0-9A-Za-z_"}
_FLAGS = re.compile(r"\(\?([imsU]*)(?:-([imsU]+))?([:)])")
_NAME = re.compile(r"\(\?P?<([A-Za-z_][A-Za-z0-9_]*)>")
_BOUNDS = {"A": "\\A", "z": "\\Z", "b": "\\b", "B": "\\B"}
_POSSESSIVE = re.compile(r"(?:[*+?]|\{\d+(?:,\d*)?\})[*+]")


class Found(Protocol):
    """A match: ``group`` as ``re.Match`` has it."""

    def group(self, reference: int | str, /) -> str | None: ...


class Anchored(Protocol):
    """A compiled expression that is asked about whole texts."""

    def fullmatch(self, text: str, /) -> Found | None: ...


@lru_cache(maxsize=2048)
def compile_anchored(pattern: str) -> Anchored:
    """The compiled expression; whatever it is, a match takes a time that grows with the text only. The dot matches
    newlines, as in Prometheus. Raises RegexError."""
    try:
        text = translate(pattern)
        tree = linear.parsed(text, re.DOTALL)
        return re.compile(text, re.DOTALL) if linear.is_harmless(tree) else linear.LinearPattern(tree, re.DOTALL)
    except (re.error, OverflowError, RecursionError, linear.TooLarge) as error:
        raise RegexError(f"bad regular expression {pattern!r}: {error}") from error


def translate(pattern: str) -> str:
    """Python syntax for an RE2 expression. Raises RegexError."""
    return _Translator(pattern).run()


class _Translator:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._out: list[str] = []
        # For each open group: the scoped flag groups opened inside it, which must close with it.
        self._scopes: list[list[str]] = [[]]

    def run(self) -> str:
        while self._at < len(self._pattern):
            self._step(self._pattern[self._at])
        self._out.append(")" * len(self._scopes[0]))
        return "".join(self._out)

    def _fail(self, why: str) -> RegexError:
        return RegexError(f"bad regular expression {self._pattern!r}: {why}")

    def _step(self, char: str) -> None:
        if char == "\\":
            self._escape()
        elif char == "[":
            self._class()
        elif char == "(":
            self._group()
        elif char == ")":
            if len(self._scopes) == 1:
                raise self._fail("unexpected )")
            self._emit(")" * (len(self._scopes.pop()) + 1), 1)
        elif char == "|":
            # Flags set in one alternative stay set in the next ones.
            scopes = self._scopes[-1]
            self._emit(")" * len(scopes) + "|" + "".join(scopes), 1)
        elif char == "$":
            self._emit("\\Z", 1)
        else:
            if _POSSESSIVE.match(self._pattern, self._at):
                raise self._fail("invalid nested repetition operator")
            self._emit(char, 1)

    def _emit(self, text: str, taken: int) -> None:
        self._out.append(text)
        self._at += taken

    def _group(self) -> None:
        flags = _FLAGS.match(self._pattern, self._at)
        if flags is not None:
            on, off, end = flags.group(1), flags.group(2) or "", flags.group(3)
            if "U" in on + off:
                raise self._fail("the flag U is not supported")
            if "m" in on:
                raise self._fail("the flag m is not supported")
            scoped = "(?" + on + (f"-{off}" if off else "") + ":"
            self._emit(scoped, flags.end() - self._at)
            if end == ":":
                self._scopes.append([])
            else:
                self._scopes[-1].append(scoped)
            return
        name = _NAME.match(self._pattern, self._at)
        self._scopes.append([])
        if name is not None:
            self._emit(f"(?P<{name.group(1)}>", name.end() - self._at)
        elif self._pattern.startswith("(?", self._at):
            raise self._fail("invalid or unsupported Perl syntax")
        else:
            self._emit("(", 1)

    def _escape(self) -> None:
        following = self._pattern[self._at + 1 : self._at + 2]
        if following == "Q":
            end = self._pattern.find("\\E", self._at + 2)
            end = len(self._pattern) if end < 0 else end
            self._emit(re.escape(self._pattern[self._at + 2 : end]), end + 2 - self._at)
        elif following.lower() in _PERL and following:
            inside = _PERL[following.lower()]
            self._emit(f"[{'^' if following.isupper() else ''}{inside}]", 2)
        elif following in _BOUNDS and following:
            self._emit(_BOUNDS[following], 2)
        else:
            self._emit(*self._character())

    def _character(self) -> tuple[str, int]:
        """An escape that stands for one character: its Python form and its length."""
        following = self._pattern[self._at + 1 : self._at + 2]
        if not following:
            raise self._fail("trailing backslash at end of expression")
        if following in "afnrtv" or not following.isalnum():
            return "\\" + following, 2
        hexadecimal = re.compile(r"\\x(?:\{([0-9a-fA-F]{1,6})\}|([0-9a-fA-F]{2}))").match(self._pattern, self._at)
        if hexadecimal is not None:
            code = int(hexadecimal.group(1) or hexadecimal.group(2), 16)
            if code > 0x10FFFF:
                raise self._fail("invalid escape sequence")
            return re.escape(chr(code)), hexadecimal.end() - self._at
        octal = re.compile(r"\\([0-7]{3}|0[0-7]{0,2})").match(self._pattern, self._at)
        if octal is not None:
            return re.escape(chr(int(octal.group(1), 8))), octal.end() - self._at
        raise self._fail(f"invalid escape sequence \\{following}")

    def _class(self) -> None:
        out = ["["]
        self._at += 1
        if self._pattern.startswith("^", self._at):
            out.append("^")
            self._at += 1
        first = True
        while True:
            char = self._pattern[self._at : self._at + 1]
            if not char:
                raise self._fail("missing closing ]")
            if char == "]" and not first:
                self._emit("".join(out) + "]", 1)
                return
            out.append(self._class_item(char))
            first = False

    def _class_item(self, char: str) -> str:
        """One item of a character class; moves past it."""
        posix = re.compile(r"\[:(\w+):\]").match(self._pattern, self._at)
        if posix is not None and posix.group(1) in _POSIX:
            self._at = posix.end()
            return _POSIX[posix.group(1)]
        if char == "\\":
            following = self._pattern[self._at + 1 : self._at + 2]
            if following in _PERL and following:
                self._at += 2
                return _PERL[following]
            if following.lower() in _PERL and following:
                raise self._fail(f"\\{following} inside [] is not supported")
            text, taken = self._character()
            self._at += taken
            return text
        self._at += 1
        # Python warns of set operations that RE2 does not have.
        return "\\" + char if char in "[]&~|" else char
