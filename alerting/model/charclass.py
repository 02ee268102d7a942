"""Classes of characters as ranges of code points: RE2's names for them, and how Python's ``re`` writes them.

https://github.com/google/re2/wiki/Syntax, and https://www.unicode.org/reports/tr44/#General_Category_Values.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Sequence
from functools import cache

Range = tuple[int, int]
"""First and last code point."""


def _of(text: str) -> Sequence[Range]:
    """Pairs of first and last characters."""
    return [(ord(first), ord(last)) for first, last in zip(text[::2], text[1::2], strict=True)]


POSIX = {
    "alnum": _of("09AZaz"),
    "alpha": _of("AZaz"),
    "ascii": _of("\0\x7f"),
    "blank": _of("\t\t  "),
    "cntrl": _of("\0\x1f\x7f\x7f"),
    "digit": _of("09"),
    "graph": _of("!~"),
    "lower": _of("az"),
    "print": _of(" ~"),
    "punct": _of("!/:@[`{~"),
    "space": _of("\t\r  "),
    "upper": _of("AZ"),
    "word": _of("09AZaz__"),
    "xdigit": _of("09AFaf"),
}
PERL = {"d": _of("09"), "s": _of("\t\n\f\r  "), "w": _of("09AZaz__")}


def inverted(ranges: Sequence[Range]) -> list[Range]:
    """All other code points."""
    found, at = [], 0
    for first, last in sorted(ranges):
        if first > at:
            found.append((at, first - 1))
        at = max(at, last + 1)
    return [*found, (at, sys.maxunicode)] if at <= sys.maxunicode else found


def as_class(ranges: Sequence[Range], *, negated: bool = False) -> str:
    """A class that ``re`` understands; an empty one matches nothing."""
    if negated:
        ranges = inverted(ranges)
    if not ranges:
        return f"[^\\x00-{chr(sys.maxunicode)}]"
    parts = (_letter(first) if first == last else f"{_letter(first)}-{_letter(last)}" for first, last in ranges)
    return f"[{''.join(parts)}]"


def category(name: str) -> Sequence[Range]:
    """The characters of a general category such as ``Lu``, of all that begin with ``L``, or of ``Any``. Raises
    KeyError. Takes a moment the first time."""
    if name == "Any":
        return [(0, sys.maxunicode)]
    return _categories()[name]


@cache
def _categories() -> dict[str, list[Range]]:
    found: dict[str, list[Range]] = {}
    first, before = 0, unicodedata.category("\0")
    for code in range(1, sys.maxunicode + 2):
        kind = unicodedata.category(chr(code)) if code <= sys.maxunicode else ""
        if kind == before:
            continue
        for name in (before, before[0]) if before != "Cn" else ():  # what is not assigned has no name in RE2
            ranges = found.setdefault(name, [])
            if ranges and ranges[-1][1] == first - 1:
                ranges[-1] = (ranges[-1][0], code - 1)
            else:
                ranges.append((first, code - 1))
        first, before = code, kind
    return found


def _letter(code: int) -> str:
    return re.escape(chr(code)) if chr(code) not in "&~|" else f"\\{chr(code)}"
