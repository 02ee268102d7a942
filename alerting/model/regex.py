"""RE2 syntax (which Prometheus, Alertmanager and their users write) for Python's ``re``.

Translated: inline flags in the middle of a group, ``\\z``, ``$``, ``\\Q..\\E``, ``(?<name>``, braces that are no
repetition, classes of characters of every kind but scripts. Refused: what RE2 refuses (look-around, back-references,
possessive quantifiers, more than 1000 times), the flags m and U, and scripts such as ``\\p{Greek}``.
Syntax: https://github.com/google/re2/wiki/Syntax.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

from alerting.model import linear
from alerting.model.charclass import PERL, POSIX, Range, as_class, category, inverted


class RegexError(ValueError):
    """The expression is no RE2 expression, or uses a part of it that is not supported."""


class RegexUnsupported(RegexError):
    """RE2 knows it."""


_FLAGS = re.compile(r"\(\?([imsU]*)(?:-([imsU]+))?([:)])")
_NAME = re.compile(r"\(\?P?<([A-Za-z_][A-Za-z0-9_]*)>")
_CONTROLS = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_BOUNDS = {"A": "\\A", "z": "\\Z", "b": "\\b", "B": "\\B"}
_POSIX_ITEM = re.compile(r"\[:(\^?)(.*?):\]", re.DOTALL)
_UNICODE_ITEM = re.compile(r"\\[pP](?:(([A-Za-z]))|\{(\^?)([^}]*)\})")
_REPEAT = re.compile(r"\{(0|[1-9]\d*)(?:,(|0|[1-9]\d*))?\}")
MOST_REPEATS = 1000
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

    def _fail(self, why: str, kind: type[RegexError] = RegexError) -> RegexError:
        return kind(f"bad regular expression {self._pattern!r}: {why}")

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
        elif char == "{":
            self._braces()
        else:
            if _POSSESSIVE.match(self._pattern, self._at):
                raise self._fail("invalid nested repetition operator")
            self._emit(char, 1)

    def _emit(self, text: str, taken: int) -> None:
        self._out.append(text)
        self._at += taken

    def _braces(self) -> None:
        """A repetition; braces that are none stand for themselves."""
        found = _REPEAT.match(self._pattern, self._at)
        if found is None:
            self._emit("\\{", 1)
            return
        least, most = int(found[1]), int(found[2] or found[1])
        if max(least, most) > MOST_REPEATS or most < least:
            raise self._fail(f"invalid repeat count {found[0]}")
        if _POSSESSIVE.match(self._pattern, self._at):
            raise self._fail("invalid nested repetition operator")
        self._emit(found[0], len(found[0]))

    def _group(self) -> None:
        flags = _FLAGS.match(self._pattern, self._at)
        if flags is not None:
            on, off, end = flags.group(1), flags.group(2) or "", flags.group(3)
            if "U" in on + off:
                raise self._fail("the flag U is not supported", RegexUnsupported)
            if "m" in on:
                raise self._fail("the flag m is not supported", RegexUnsupported)
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
            if end < 0:
                raise self._fail("missing \\E")
            self._emit(re.escape(self._pattern[self._at + 2 : end]), end + 2 - self._at)
        elif following in _BOUNDS and following:
            self._emit(_BOUNDS[following], 2)
        elif (ranges := self._named_class()) is not None:
            self._emit(as_class(ranges), 0)
        else:
            code, taken = self._character()
            self._emit(re.escape(chr(code)), taken)

    def _character(self) -> tuple[int, int]:
        """An escape that stands for one character: its code and its length."""
        following = self._pattern[self._at + 1 : self._at + 2]
        if not following:
            raise self._fail("trailing backslash at end of expression")
        if following in _CONTROLS:
            return _CONTROLS[following], 2
        if not following.isalnum():
            return ord(following), 2
        hexadecimal = re.compile(r"\\x(?:\{([0-9a-fA-F]{1,6})\}|([0-9a-fA-F]{2}))").match(self._pattern, self._at)
        if hexadecimal is not None:
            code = int(hexadecimal.group(1) or hexadecimal.group(2), 16)
            if code > 0x10FFFF:
                raise self._fail("invalid escape sequence")
            return code, hexadecimal.end() - self._at
        octal = re.compile(r"\\([0-7]{3}|0[0-7]{0,2})").match(self._pattern, self._at)
        if octal is not None:
            return int(octal.group(1), 8), octal.end() - self._at
        raise self._fail(f"invalid escape sequence \\{following}")

    def _class(self) -> None:
        negated = self._pattern.startswith("^", self._at + 1)
        self._at += 2 if negated else 1
        ranges: list[Range] = []
        first = True
        while first or not self._pattern.startswith("]", self._at):
            if self._at >= len(self._pattern):
                raise self._fail("missing closing ]")
            ranges += self._class_item()
            first = False
        self._emit(as_class(ranges, negated=negated), 1)

    def _class_item(self) -> Sequence[Range]:
        """One item of a character class; moves past it."""
        posix = _POSIX_ITEM.match(self._pattern, self._at)
        if posix is not None:
            if posix[2] not in POSIX:
                raise self._fail("invalid character class range")
            self._at = posix.end()
            return inverted(POSIX[posix[2]]) if posix[1] else POSIX[posix[2]]
        named = self._named_class()
        if named is not None:
            return named
        low = self._class_character()
        dash = self._pattern.startswith("-", self._at) and not self._pattern.startswith("-]", self._at)
        if not dash:
            return [(low, low)]
        self._at += 1
        high = self._class_character()
        if high < low:
            raise self._fail("invalid character class range")
        return [(low, high)]

    def _class_character(self) -> int:
        char = self._pattern[self._at : self._at + 1]
        if not char:
            raise self._fail("missing closing ]")
        code, taken = self._character() if char == "\\" else (ord(char), 1)
        self._at += taken
        return code

    def _named_class(self) -> Sequence[Range] | None:
        """``\\d``, ``\\W``, ``\\pL``, ``\\P{Lu}`` and the like; moves past it. None where there is none."""
        following = self._pattern[self._at + 1 : self._at + 2] if self._pattern.startswith("\\", self._at) else ""
        if not following:
            return None
        if following.lower() in PERL:
            self._at += 2
            ranges = PERL[following.lower()]
            return inverted(ranges) if following.isupper() else ranges
        if following not in "pP":
            return None
        found = _UNICODE_ITEM.match(self._pattern, self._at)
        if found is None:
            raise self._fail("invalid character class range")
        try:
            ranges = category(found[2] or found[4])
        except KeyError:
            raise self._fail(
                f"the class {found[0]} is not known here; scripts are not supported", RegexUnsupported
            ) from None
        self._at = found.end()
        return inverted(ranges) if (following == "P") is not bool(found[3]) else ranges
