"""What a terminal can show: how wide a text is, which letters are harmless, colours."""

from __future__ import annotations

import os
import shutil
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

# Told apart on light and on dark ground, also by those who do not see red and green apart.
COLOURS = (33, 208, 35, 199, 44, 178, 99, 244)
_WIDE = frozenset("WF")
_PLAIN_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Terminal:
    """``unicode``: block letters can be shown. ``colour``: escape sequences are understood and wanted."""

    width: int
    height: int
    colour: bool
    unicode: bool

    @classmethod
    def of(cls, stream: TextIO, environment: Mapping[str, str] | None = None) -> Terminal:
        environment = os.environ if environment is None else environment
        tty = stream.isatty()
        size = shutil.get_terminal_size((_PLAIN_WIDTH, 30))
        return cls(
            width=size.columns if tty or "COLUMNS" in environment else _PLAIN_WIDTH,
            height=size.lines if tty else 30,
            colour=tty and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb",
            unicode=_shows(stream.encoding, "⣿┤─●"),
        )

    def paint(self, text: str, number: int) -> str:
        """In the colour of the series with that number."""
        return f"\x1b[38;5;{COLOURS[number % len(COLOURS)]}m{text}\x1b[0m" if self.colour else text

    def dim(self, text: str) -> str:
        return f"\x1b[2m{text}\x1b[0m" if self.colour and text else text


def cells(text: str) -> int:
    """How many columns a text takes."""
    return sum(_cells(letter) for letter in text)


def _cells(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in _WIDE else 1


def padded(text: str, width: int, *, right: bool = False) -> str:
    spaces = " " * max(width - cells(text), 0)
    return spaces + text if right else text + spaces


def cut(text: str, width: int, *, unicode: bool = True) -> str:
    """At most ``width`` columns, with a sign where something is missing."""
    if cells(text) <= width:
        return text
    mark = "…" if unicode else "~"
    kept, room = [], width - 1
    for letter in text:
        room -= _cells(letter)
        if room < 0:
            break
        kept.append(letter)
    return "".join(kept) + mark


def harmless(text: str) -> str:
    """Letters that would steer the terminal, written out: a label may hold anything."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _shows(encoding: str | None, letters: str) -> bool:
    try:
        letters.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
