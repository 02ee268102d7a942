"""label_replace and label_join, and the labels of absent()."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from alerting.model.labels import METRIC_NAME, Labels
from alerting.model.matcher import Matcher
from alerting.model.regex import Found, compile_anchored
from alerting.promql.errors import ExecutionError
from alerting.promql.grid import Grid, merged

# As many as a scraped label may have bytes by default.
MAX_CHARACTERS = 4096

# $name, ${name}, $1, ${1}, $$: the template of Go's regexp.Expand.
_REFERENCE = re.compile(r"\$(?:(\$)|\{(\w+)\}|(\w+))")


def label_replace(grid: Grid, target: str, template: str, source: str, pattern: str) -> Grid:
    """Sets a label from a match of another one; series that do not match stay as they are."""
    regex = compile_anchored(pattern)
    cache: dict[str, str | None] = {}

    def replaced(labels: Labels) -> Labels:
        value = labels.get(source)
        if value not in cache:
            match = regex.fullmatch(value)
            cache[value] = None if match is None else _expanded(template, match)
        new = cache[value]
        return labels if new is None else labels.merged(((target, _bounded(new)),))

    return _relabelled(grid, replaced)


def label_join(grid: Grid, target: str, separator: str, sources: Sequence[str]) -> Grid:
    return _relabelled(
        grid, lambda labels: labels.merged(((target, _bounded(separator.join(map(labels.get, sources)))),))
    )


def _bounded(value: str) -> str:
    """A short query can ask for long labels on thousands of series. Raises ExecutionError."""
    if len(value) > MAX_CHARACTERS:
        raise ExecutionError(f"a label would get more than {MAX_CHARACTERS} characters")
    return value


def _relabelled(grid: Grid, change: Callable[[Labels], Labels]) -> Grid:
    return merged(Grid([change(labels) for labels in grid.labels], grid.values, grid.present))


def _expanded(template: str, match: Found) -> str:
    def group(reference: re.Match[str]) -> str:
        if reference.group(1):
            return "$"
        name = reference.group(2) or reference.group(3)
        try:
            return match.group(int(name) if name.isdecimal() else name) or ""
        except (IndexError, KeyError):
            return ""

    return _REFERENCE.sub(group, template)


def absent_labels(matchers: Sequence[Matcher]) -> Labels:
    """What a selector says about a series that is not there: its equality matchers, unless a label has several."""
    labels: dict[str, str] = {}
    seen: set[str] = set()
    for matcher in matchers:
        if matcher.name == METRIC_NAME:
            continue
        if matcher.op == "=" and matcher.name not in seen:
            labels[matcher.name] = matcher.value
            seen.add(matcher.name)
        else:
            labels.pop(matcher.name, None)
    return Labels.of(labels)
