"""Rules as they were loaded: frozen, checked, without any state. Times are milliseconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Literal

from alerting.promql.nodes import Expr
from alerting.rules.template import Template

OnMissing = Literal["resolve", "hold", "fire"]
ON_MISSING = "on_missing"  # the annotation that carries it, so that a file stays valid for Prometheus
ON_MISSING_MODES: tuple[OnMissing, ...] = ("resolve", "hold", "fire")


@dataclass(frozen=True, slots=True)
class AlertingRule:
    """``text`` is the expression as written, ``line`` where the rule stands in its file."""

    name: str
    text: str
    expr: Expr
    for_ms: int = 0
    keep_firing_for_ms: int = 0
    labels: Mapping[str, Template] = field(default_factory=dict)
    annotations: Mapping[str, Template] = field(default_factory=dict)
    on_missing: OnMissing = "resolve"
    line: int = 0


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """``name`` is the metric it writes; ``labels`` are set over those of the result, an empty one removes."""

    name: str
    text: str
    expr: Expr
    labels: Mapping[str, str] = field(default_factory=dict)
    line: int = 0


Rule = AlertingRule | RecordingRule


def rule_identity(rule: Rule) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    """What makes two rules of a file the same to Prometheus: kind, name and labels."""
    if isinstance(rule, AlertingRule):
        return "alert", rule.name, tuple(sorted((name, text.text) for name, text in rule.labels.items()))
    return "record", rule.name, tuple(sorted(rule.labels.items()))


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after the other at the same time.

    ``interval_ms`` None: the setting's. ``limit`` 0: none. ``query_offset_ms``: how far back the rules look, for data
    that arrives late.
    """

    name: str
    file: str
    rules: tuple[Rule, ...]
    interval_ms: int | None = None
    limit: int = 0
    query_offset_ms: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.file};{self.name}"

    @property
    def source(self) -> str:
        """What the group's series writers and stored states are named after; the folder does not matter."""
        return f"{PurePath(self.file).name}/{self.name}"

    def rule_ids(self) -> tuple[str, ...]:
        """The name of each rule, unique among all groups."""
        return tuple(f"{self.source}/{key}" for key in self.rule_keys())

    def rule_keys(self) -> tuple[str, ...]:
        """A name for each rule that stays the same when the rules around it change, unique in the group."""
        seen: dict[str, int] = {}
        keys = []
        for rule in self.rules:
            kind, name, labels = rule_identity(rule)
            key = f"{kind}:{name}" + "".join(f",{label}={value}" for label, value in labels)
            seen[key] = seen.get(key, 0) + 1
            keys.append(key if seen[key] == 1 else f"{key}#{seen[key]}")
        return tuple(keys)
