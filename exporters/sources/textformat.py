"""Reads the Prometheus text format 0.0.4, for files that other programs leave in the textfile directory.

https://prometheus.io/docs/instrumenting/exposition_formats/. Histograms and summaries come back as their plain
series (``x_bucket``, ``x_sum``, ``x_count``, quantiles), untyped: PromQL does not look at the type.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from exporters.catalog.metric import Kind

MAX_SAMPLES = 5000

_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\\n]|\\.)*)"\s*(,|(?=\}))')
_ESCAPE = re.compile(r"\\(.)")
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
    count = 0
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if not stripped:
            continue
        try:
            if stripped.startswith("#"):
                _comment(stripped, families)
                continue
            count += 1
            if count > MAX_SAMPLES:
                raise BadText(f"more than {MAX_SAMPLES} samples")
            name, labels, value = sample(stripped)
        except BadText as error:
            raise BadText(f"line {number}: {error}") from error
        families.setdefault(name, ParsedFamily(name)).rows.append((labels, value))
    return {name: family for name, family in families.items() if family.rows}


def _comment(line: str, families: dict[str, ParsedFamily]) -> None:
    words = line.split(None, 3)
    if len(words) < 3 or words[0] != "#" or words[1] not in ("HELP", "TYPE"):
        return
    name = words[2]
    if _METRIC_NAME.fullmatch(name) is None:
        raise BadText(f"{name!r} is no metric name")
    rest = words[3] if len(words) > 3 else ""
    family = families.setdefault(name, ParsedFamily(name))
    if words[1] == "HELP":
        family.help = _ESCAPE.sub(lambda found: "\n" if found[1] == "n" else found[1], rest)
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
    try:
        value = float(words[0])
    except ValueError as error:
        raise BadText(f"{match[0]}: {words[0][:40]!r} is no number") from error
    if "_" in words[0]:
        raise BadText(f"{match[0]}: {words[0][:40]!r} is no number")
    return match[0], labels, value


def _labels(rest: str) -> tuple[dict[str, str], str]:
    labels: dict[str, str] = {}
    while not rest.lstrip().startswith("}"):
        match = _LABEL.match(rest)
        if match is None:
            raise BadText(f'expected name="value", found {rest[:40]!r}')
        if match[1] in labels:
            raise BadText(f"label {match[1]} is there twice")
        labels[match[1]] = _ESCAPE.sub(lambda found: "\n" if found[1] == "n" else found[1], match[2])
        rest = rest[match.end() :]
    return labels, rest.lstrip()[1:]
