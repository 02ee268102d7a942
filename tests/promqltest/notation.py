"""Series and samples as test scripts write them."""

from __future__ import annotations

import math
import re

from alerting.model.labels import METRIC_NAME, Labels
from alerting.model.series import STALE
from alerting.promql.errors import QueryError
from alerting.promql.nodes import StringLiteral
from alerting.promql.parse import parse

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_QUOTED = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)"""
_PAIR = re.compile(rf"\s*([a-zA-Z_][a-zA-Z0-9_]*|{_QUOTED})\s*(?:=\s*({_QUOTED})\s*)?(,|\}})")
_NUMBER = r"[+-]?(?:inf|nan|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)"
_ITEM = re.compile(
    rf"(?P<first>{_NUMBER})(?:(?P<step>[+-](?:inf|nan|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?))?x(?P<n>\d+))?", re.IGNORECASE
)
_DURATION = re.compile(r"(\d+)(ms|[smhdwy])")
_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000, "y": 31_536_000_000}

Sample = float | None  # None: no sample at this place


class ScriptError(Exception):
    """A script that cannot be read or understood."""


def duration_ms(text: str) -> int:
    if text == "0":
        return 0
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ScriptError(f"not a duration: {text!r}")
    units = [list(_UNIT_MS).index(unit) for _, unit in parts]
    if sorted(units, reverse=True) != units or len(set(units)) != len(units):
        raise ScriptError(f"units of a duration must go from large to small: {text!r}")
    return sum(int(number) * _UNIT_MS[unit] for number, unit in parts)


def unquoted(text: str) -> str:
    """A quoted PromQL string's value."""
    if len(text) < 2 or text[0] not in "\"'`" or text[-1] != text[0]:
        raise ScriptError(f"not a quoted string: {text}")
    if "\\" not in text:
        return text[1:-1]
    try:
        literal = parse(text)
    except QueryError as error:
        raise ScriptError(f"not a quoted string: {text}: {error}") from error
    if not isinstance(literal, StringLiteral):
        raise ScriptError(f"not a quoted string: {text}")
    return literal.value


def series(line: str) -> tuple[Labels, str]:
    """The labels at the start of a line and what follows them."""
    pairs: dict[str, str] = {}
    name = _METRIC.match(line)
    rest = line
    if name is not None:
        pairs[METRIC_NAME] = name.group()
        rest = line[name.end() :]
    if rest.lstrip()[:1] == "{" and rest.lstrip()[:2] != "{{":
        rest = _labels(line, rest.lstrip()[1:], pairs)
    elif name is None:
        raise ScriptError(f"a series is expected: {line!r}")
    if rest.startswith("@st"):
        raise ScriptError("start timestamps (@st) are behind a feature flag and not supported")
    if rest and not rest[0].isspace():
        raise ScriptError(f"a blank is expected after the series: {line!r}")
    return Labels.of(pairs), rest.strip()


def _labels(line: str, rest: str, pairs: dict[str, str]) -> str:
    """Read labels up to the closing brace into ``pairs``; a quoted text alone is the metric name. What follows."""
    while True:
        if rest.lstrip().startswith("}"):
            return rest.lstrip()[1:]
        pair = _PAIR.match(rest)
        if pair is None:
            raise ScriptError(f"bad labels: {line!r}")
        name, value, end = pair.groups()
        if value is None:
            if name[0] not in "\"'`" or METRIC_NAME in pairs:
                raise ScriptError(f"bad labels: {line!r}")
            pairs[METRIC_NAME] = unquoted(name)
        else:
            pairs[unquoted(name) if name[0] in "\"'`" else name] = unquoted(value)
        rest = rest[pair.end() :]
        if end == "}":
            return rest


def samples(text: str) -> list[Sample]:
    """Expanded samples of a list of items."""
    if "{{" in text:
        raise ScriptError("native histograms are not supported")
    found: list[Sample] = []
    for item in text.split():
        found += _expanded(item)
    return found


def number(text: str) -> float:
    if not re.fullmatch(_NUMBER, text, re.IGNORECASE):
        raise ScriptError(f"not a number: {text!r}")
    return math.nan if text.lower().lstrip("+-") == "nan" else float(text)


def _expanded(item: str) -> list[Sample]:
    if item == "_":
        return [None]
    if item == "stale":
        return [STALE]
    gap = re.fullmatch(r"_x(\d+)", item)
    if gap is not None:
        return [None] * int(gap.group(1))
    match = _ITEM.fullmatch(item)
    if match is None:
        raise ScriptError(f"not a sample: {item!r}")
    value = number(match.group("first"))
    if match.group("n") is None:
        return [value]
    step = number(match.group("step")) if match.group("step") else 0.0
    found: list[Sample] = []
    for _ in range(int(match.group("n")) + 1):
        found.append(value)
        value += step
    return found
