"""PromQL from Metric objects. A name or a label that does not exist fails when the dashboards are built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from exporters.catalog.metric import Metric

# What the aggregator puts on every series of a target.
TARGET_LABELS = frozenset({"job", "instance", "node", "tier", "board", "service"})
RATE = "$__rate_interval"
_OPERATORS = ("=~", "!~", "!=")


@dataclass(frozen=True, slots=True)
class Scope:
    """Which series a dashboard looks at: label -> value, the value with ``=~``, ``!~`` or ``!=`` before it where it is
    no plain equality."""

    labels: tuple[tuple[str, str], ...] = ()

    def where(self, **labels: str) -> Scope:
        return Scope((*self.labels, *labels.items()))

    def matchers(self) -> str:
        """``job="node",tier=~"1|2"``"""
        return ",".join(_matcher(name, value) for name, value in self.labels)


NODES = Scope((("job", "node"),))
PAGES = Scope((("job", "!=node"),))


@dataclass(frozen=True, slots=True)
class Query:
    """One target of a panel. ``table``: the newest value of every series as one table."""

    expr: str
    legend: str = "{{node}}"
    table: bool = False


def pick(metric: Metric, scope: Scope = NODES, **labels: str) -> str:
    """A selector. Raises ValueError for a label that neither the metric nor a target has."""
    matchers = scope.where(**labels)
    for name, _ in matchers.labels:
        if name not in TARGET_LABELS and name not in metric.labels:
            raise ValueError(f"{metric.name} has no label {name!r}; it has {sorted(metric.labels)} and the target's")
    text = matchers.matchers()
    return f"{metric.name}{{{text}}}" if text else metric.name


def rate(metric: Metric, scope: Scope = NODES, **labels: str) -> str:
    """Growth a second. Raises ValueError for a gauge: its rate means nothing."""
    return _growth("rate", metric, scope, labels)


def increase(metric: Metric, scope: Scope = NODES, **labels: str) -> str:
    """Growth over the time that one point of the picture stands for."""
    return _growth("increase", metric, scope, labels)


def by(labels: str, operator: str, expr: str) -> str:
    """``sum by (node) (...)``; the labels are those that legends and links may use."""
    return f"{operator} by ({labels}) ({expr})"


def total(operator: str, expr: str) -> str:
    return f"{operator}({expr})"


def top(count: int, expr: str) -> str:
    """The series that are largest on average over the whole picture: the same ones at every point of it."""
    return f"{expr} and topk({count}, avg_over_time(({expr})[$__range:] @ end()))"


def named(label: str, exprs: Mapping[str, str]) -> str:
    """Several values without labels as one query: each gets its name as a label."""
    return " or ".join(f'label_replace({expr}, "{label}", {_quoted(name)}, "", "")' for name, expr in exprs.items())


def ratio(part: str, whole: str) -> str:
    """Nothing where the whole is 0, instead of 0 / 0."""
    return f"{part} / ({whole} > 0)"


def regex(names: Sequence[str]) -> str:
    """A matcher value that takes each of the names; plain when there is one."""
    if len(names) == 1:
        return names[0]
    return "=~" + "|".join(names)


def _growth(function: str, metric: Metric, scope: Scope, labels: dict[str, str]) -> str:
    if metric.kind == "gauge":
        raise ValueError(f"{function}({metric.name}): a gauge has no {function}")
    return f"{function}({pick(metric, scope, **labels)}[{RATE}])"


def _matcher(name: str, value: str) -> str:
    operator = next((sign for sign in _OPERATORS if value.startswith(sign)), "=")
    text = value.removeprefix(operator) if operator != "=" else value
    return f"{name}{operator}{_quoted(text)}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
