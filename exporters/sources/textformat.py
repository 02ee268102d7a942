"""Reads the Prometheus text format 0.0.4, for files that other programs leave in the textfile directory.

https://prometheus.io/docs/instrumenting/exposition_formats/. Histograms and summaries come back as their plain
series (``x_bucket``, ``x_sum``, ``x_count``, quantiles), untyped: PromQL does not look at the type.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import isinf

from exporters.catalog.metric import Kind

MAX_SAMPLES = 5000

_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\\n]|\\[n"\\])*)"\s*(,|(?=\}))')
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_MEANING = {"n": "\n", "\\": "\\", '"': '"'}
_TYPES: dict[str, Kind] = {"counter": "counter", "gauge": "gauge", "untyped": "untyped"}
_COMPOSED = frozenset({"histogram", "summary"})


class BadText(Exception):
    """The text is not in the format; the message begins with the line number."""


@dataclass(slots=True)
class ParsedFamily:
    """``rows``: labels of each sample in the order of the text, and its value."""

    name: str
    kind: Kind = "untyped"
    help: str | None = None
    rows: list[tuple[dict[str, str], float]] = field(default_factory=list)


def parse(text: str) -> dict[str, ParsedFamily]:
    """Families by name. Raises BadText at the first thing that is not in order, timestamps included."""
    families: dict[str, ParsedFamily] = {}
    told: set[tuple[str, str]] = set()
    count = 0
    lines = text.split("\n")
    if lines[-1].strip():
        # Its writer is not done: the number at the end may be the first digits of another.
        raise BadText(f"line {len(lines)}: the file ends within it; write to another name and rename")
    for number, line in enumerate(lines, 1):
        stripped = line.strip()
        if not stripped:
            continue
        try:
            if stripped.startswith("#"):
                _comment(stripped, families, told)
                continue
            count += 1
            if count > MAX_SAMPLES:
                raise BadText(f"more than {MAX_SAMPLES} samples")
            name, labels, value = sample(stripped)
        except BadText as error:
            raise BadText(f"line {number}: {error}") from error
        families.setdefault(name, ParsedFamily(name)).rows.append((labels, value))
    return {name: family for name, family in families.items() if family.rows}


def _comment(line: str, families: dict[str, ParsedFamily], told: set[tuple[str, str]]) -> None:
    """``told``: what was said before, HELP or TYPE of a name; a second time is refused, as by node_exporter."""
    words = line.split(None, 3)
    if len(words) < 3 or words[0] != "#" or words[1] not in ("HELP", "TYPE"):
        return
    name = words[2]
    if _METRIC_NAME.fullmatch(name) is None:
        raise BadText(f"{name!r} is no metric name")
    rest = words[3] if len(words) > 3 else ""
    family = families.setdefault(name, ParsedFamily(name))
    if (words[1], name) in told:
        raise BadText(f"{words[1]} of {name} is there twice")
    told.add((words[1], name))
    if words[1] == "HELP":
        family.help = _unescaped(rest)
    elif family.rows:
        raise BadText(f"TYPE of {name} stands behind its samples")
    elif rest in _TYPES:
        family.kind = _TYPES[rest]
    elif rest not in _COMPOSED:
        raise BadText(f"type {rest!r} of {name}: expected counter, gauge, histogram, summary or untyped")


def sample(line: str) -> tuple[str, dict[str, str], float]:
    """Name, labels, value of a sample line. Raises BadText."""
    match = _METRIC_NAME.match(line)
    if match is None:
        raise BadText(f"expected a metric name, found {line[:40]!r}")
    position = match.end()
    labels: dict[str, str] = {}
    rest = line[position:].lstrip()
    if rest.startswith("{"):
        labels, rest = _labels(rest[1:])
    words = rest.split()
    if len(words) == 2:
        raise BadText(f"{match[0]} has a timestamp; a file is read at the time of the scrape, write none")
    if len(words) != 1:
        raise BadText(f"{match[0]}: expected one number after the labels, found {rest[:40]!r}")
    return match[0], labels, _number(match[0], words[0])


def _number(name: str, word: str) -> float:
    """Python reads more than the format has: ``1_0``, digits of other scripts, ``1e999``."""
    try:
        if not word.isascii() or "_" in word:
            raise ValueError
        value = float(word)
        if isinf(value) and "inf" not in word.lower():
            raise ValueError
    except ValueError as error:
        raise BadText(f"{name}: {word[:40]!r} is no number") from error
    return value


def _labels(rest: str) -> tuple[dict[str, str], str]:
    labels: dict[str, str] = {}
    while not rest.lstrip().startswith("}"):
        match = _LABEL.match(rest)
        if match is None:
            raise BadText(f'expected name="value", found {rest[:40]!r}')
        if match[1] in labels:
            raise BadText(f"label {match[1]} is there twice")
        if match[1] == "__name__":  # whoever reads the page would take it for the metric's name
            raise BadText("a label cannot be called __name__")
        labels[match[1]] = _unescaped(match[2])
        rest = rest[match.end() :]
    return labels, rest.lstrip()[1:]


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: _MEANING.get(found[1], found[0]), text)
