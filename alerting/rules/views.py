"""What the API and the page show of the rules: plain values, taken at one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from alerting.model.alert import Alert
from alerting.rules.definitions import AlertingRule, OnMissing
from alerting.rules.group import Evaluation, RuleState, RunningGroup

Health = Literal["ok", "err", "unknown"]
RuleStateName = Literal["inactive", "pending", "firing"]


@dataclass(frozen=True, slots=True)
class RuleView:
    """One rule. Durations in seconds, times in milliseconds since the epoch (None: never evaluated).

    ``alerts``: pending and firing ones. ``history``: the last evaluations, oldest first. ``labels`` and
    ``annotations`` are the texts as written. For recording rules the alert fields are empty.
    """

    type: Literal["alerting", "recording"]
    name: str
    query: str
    labels: Mapping[str, str]
    health: Health
    last_error: str
    evaluation_time: float
    last_evaluation_ms: int | None
    history: Sequence[Evaluation]
    line: int
    duration: float = 0.0
    keep_firing_for: float = 0.0
    annotations: Mapping[str, str] | None = None
    state: RuleStateName = "inactive"
    alerts: Sequence[Alert] = ()
    on_missing: OnMissing = "resolve"


@dataclass(frozen=True, slots=True)
class GroupView:
    """One group; ``interval`` and ``evaluation_time`` in seconds."""

    name: str
    file: str
    interval: float
    limit: int
    evaluation_time: float
    last_evaluation_ms: int | None
    rules: Sequence[RuleView]


def group_view(running: RunningGroup) -> GroupView:
    return GroupView(
        name=running.group.name,
        file=running.group.file,
        interval=running.interval_ms / 1000,
        limit=running.group.limit,
        evaluation_time=running.last_duration,
        last_evaluation_ms=running.last_ms,
        rules=tuple(rule_view(state) for state in running.rules),
    )


def rule_view(state: RuleState) -> RuleView:
    rule, last = state.rule, state.last
    health: Health = "unknown" if last is None else "err" if last.error else "ok"
    error = last.error if last else ""
    duration, at_ms = (last.duration, last.at_ms) if last else (0.0, None)
    if not isinstance(rule, AlertingRule):
        return RuleView(
            "recording", rule.name, rule.text, rule.labels, health, error, duration, at_ms, state.ring, rule.line
        )
    alerts: tuple[Alert, ...] = ()
    if state.alerts:
        alerts = tuple(sorted((a for a in state.alerts.values() if a.state != "resolved"), key=lambda a: a.labels))
    names = {alert.state for alert in alerts}
    return RuleView(
        type="alerting",
        name=rule.name,
        query=rule.text,
        labels=state.shown_labels,
        health=health,
        last_error=error,
        evaluation_time=duration,
        last_evaluation_ms=at_ms,
        history=state.ring,
        line=rule.line,
        duration=rule.for_ms / 1000,
        keep_firing_for=rule.keep_firing_for_ms / 1000,
        annotations=state.shown_annotations,
        state="firing" if "firing" in names else "pending" if "pending" in names else "inactive",
        alerts=alerts,
        on_missing=rule.on_missing,
    )
