"""One line of a metrics page, read carefully. The page reader comes here only for lines it has not seen before.

Format: Prometheus text exposition 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/), plus what
OpenMetrics adds at the end of a sample line (float timestamps, exemplars), which is checked and ignored, and names in
quotes (https://prometheus.io/docs/guides/utf8/).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from sys import intern

EXCERPT_BYTES = 60

# The possessive quantifiers keep a hostile line linear: nothing is ever tried twice.
_HEAD = re.compile(
    rb"""[ \t]*+([a-zA-Z_:][a-zA-Z0-9_:]*+)
         ([ \t]*+\{([^"}]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*"[^"}]*+)*)\})?""",
    re.VERBOSE,
)
_NAMELESS_HEAD = re.compile(rb"""[ \t]*+(\{(?=[ \t]*+")([^"}]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*"[^"}]*+)*)\})""")
_PAIR = re.compile(
    rb"""[ \t]*+([a-zA-Z_][a-zA-Z0-9_]*+|"[^"\\]*+(?:\\.[^"\\]*+)*")[ \t]*+=[ \t]*+
         "([^"\\]*+(?:\\.[^"\\]*+)*)"[ \t]*+(,|\Z)""",
    re.VERBOSE,
)
_QUOTED_NAME = re.compile(rb"""[ \t]*+"([^"\\]*+(?:\\.[^"\\]*+)*)"[ \t]*+(,|\Z)""")
# Possessive on single classes only: on groups they match wrongly in Python 3.11.2, which Debian 12 ships.
_TAIL = re.compile(rb"[ \t]*+([^ \t]++)(?:[ \t]++([^ \t#]++))?[ \t]*+(#[ \t]*+\{.*)?\Z")
_TIMESTAMP = re.compile(rb"[-+]?[0-9]++(?:\.[0-9]*+)?(?:[eE][-+]?[0-9]++)?")
_FINITE = re.compile(rb"[-+]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][-+]?[0-9]++)?")
_NOT_FINITE = re.compile(rb"[-+]?inf(?:inity)?|nan", re.IGNORECASE)
_ESCAPE = re.compile(r'\\([\\n"])')
_HELP_ESCAPE = re.compile(r"\\([\\n])")

TYPES = frozenset(
    {"counter", "gauge", "histogram", "summary", "untyped", "unknown", "gaugehistogram", "info", "stateset"}
)


class PageError(Exception):
    """The page is not what the format says; the message names the line and what was expected."""


@dataclass(frozen=True, slots=True)
class SampleLine:
    """``head``: the bytes that name the series (name and labels as written). ``pairs``: its labels, name first.

    ``plain``: nothing but the value follows the head.
    """

    head: bytes
    pairs: list[tuple[str, str]]
    value: float
    plain: bool


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a page says about a metric family."""

    type: str = "unknown"
    help: str = ""
    unit: str = ""


def excerpt(line: bytes) -> str:
    """The start of a line for an error message, printable and short."""
    text = line[:EXCERPT_BYTES].decode("utf-8", "backslashreplace")
    printable = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return f'"{printable}"' + (" ..." if len(line) > EXCERPT_BYTES else "")


def parse_value(text: bytes) -> float:
    """A sample value as Prometheus reads it: Go's ParseFloat without hexadecimal and underscores.

    Raises ValueError for anything else, also for numbers too large for a float64.
    """
    if _FINITE.fullmatch(text):
        value = float(text)
        if math.isinf(value):
            raise ValueError("value out of range")
        return value
    if _NOT_FINITE.fullmatch(text):
        return float(text)
    raise ValueError("not a number")


def parse_sample(line: bytes, number: int, label_bytes: int) -> SampleLine:
    """A sample line. ``number`` is for the message. Raises PageError.

    Timestamps and exemplars must be well-formed and are dropped: a sample's time is the scrape's.
    """
    first, end, pairs = _named(line, number)
    if end - first > label_bytes:
        raise PageError(
            f"line {number}: name and labels take {end - first} bytes, limits.label_bytes allows {label_bytes}"
        )
    rest = line[end:]
    tail = _TAIL.match(rest)
    if tail is None:
        raise PageError(f"line {number}: expected a value and nothing after it, got {excerpt(line)}")
    try:
        value = parse_value(tail.group(1))
    except ValueError as error:
        raise PageError(f"line {number}: the value {excerpt(tail.group(1))} is {_reason(error)}") from error
    stamp = tail.group(2)
    if stamp is not None and not _TIMESTAMP.fullmatch(stamp):
        raise PageError(f"line {number}: the timestamp {excerpt(stamp)} is not a number")
    plain = stamp is None and tail.group(3) is None
    return SampleLine(line[:end], pairs, value, plain)


def _named(line: bytes, number: int) -> tuple[int, int, list[tuple[str, str]]]:
    """Where the name and the labels of a sample begin and end, and what they are, name first. Raises PageError."""
    # Interned: the same few names and values stand in thousands of series.
    head = _HEAD.match(line)
    if head is not None:
        if line[head.end() : head.end() + 1] not in (b" ", b"\t", b"") and not head.group(2):
            raise PageError(f"line {number}: expected labels or a value after the name, got {excerpt(line)}")
        name, labels = head.group(1).decode("ascii"), head.group(3)
    else:
        head = _NAMELESS_HEAD.match(line)
        found = _QUOTED_NAME.match(head.group(2)) if head is not None else None
        if head is None or found is None or not found.group(1):
            raise PageError(f"line {number}: expected a metric name, got {excerpt(line)}")
        name, labels = _text(found.group(1), line, number), head.group(2)[found.end() :]
    pairs = [("__name__", intern(name))]
    if labels:
        pairs.extend(_labels(labels, line, number))
    return head.start(1), head.end(), pairs


def _text(written: bytes, line: bytes, number: int) -> str:
    """What stands between quotes. Raises PageError."""
    try:
        return unescape(written.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise PageError(f"line {number}: a label value is not UTF-8: {excerpt(line)}") from error


def _reason(error: ValueError) -> str:
    return "too large for a float64" if "range" in str(error) else "not a number"


def _labels(text: bytes, line: bytes, number: int) -> list[tuple[str, str]]:
    """The pairs between the braces; each name once."""
    pairs: list[tuple[str, str]] = []
    place = 0
    comma = True
    while text[place:].strip(b" \t"):
        found = _PAIR.match(text, place) if comma else None
        if found is None:
            raise PageError(f'line {number}: expected labels as name="value", got {excerpt(line)}')
        name = found.group(1)
        called = _text(name[1:-1], line, number) if name[:1] == b'"' else name.decode("ascii")
        if not called:
            raise PageError(f"line {number}: a label has no name: {excerpt(line)}")
        pairs.append((intern(called), intern(_text(found.group(2), line, number))))
        place = found.end()
        comma = found.group(3) == b","
    names = {name for name, _ in pairs}
    if len(names) < len(pairs) or "__name__" in names:
        raise PageError(f"line {number}: a label name is given twice: {excerpt(line)}")
    return pairs


def unescape(value: str) -> str:
    r"""Undo ``\\``, ``\"`` and ``\n``; any other backslash stays, as in Prometheus."""
    if "\\" not in value:
        return value
    return _ESCAPE.sub(lambda match: "\n" if match[1] == "n" else match[1], value)


def parse_metadata(comments: Iterable[bytes]) -> dict[str, Metadata]:
    """HELP, TYPE and UNIT lines by family name; the last of several counts.

    Never fails: pages in the field repeat TYPE lines and invent types, and no sample depends on them.
    """
    found: dict[str, dict[str, str]] = {}
    for line in comments:
        words = line.decode("utf-8", "replace").lstrip(" \t").split(None, 3)
        if len(words) < 3 or words[0] != "#":
            continue
        keyword, name, text = words[1], words[2], words[3] if len(words) > 3 else ""
        entry = found.setdefault(name, {}) if keyword in ("HELP", "TYPE", "UNIT") else {}
        if keyword == "HELP":
            entry["help"] = _HELP_ESCAPE.sub(lambda match: "\n" if match[1] == "n" else "\\", text)
        elif keyword == "TYPE":
            kind = text.strip()
            entry["type"] = "unknown" if kind == "untyped" or kind not in TYPES else kind
        elif keyword == "UNIT":
            entry["unit"] = text.strip()
    return {name: Metadata(**entry) for name, entry in found.items()}
