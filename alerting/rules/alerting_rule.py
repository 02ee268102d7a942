"""The alert state machine: (state, what holds now, now) -> (state, changes). Pure.

    (absent) -> pending -> firing -> resolved -> (forgotten after 15 minutes)

It follows Prometheus (rules/alerting.go, 2.42): pending for ``for``, then firing; still firing for ``keep_firing_for``
after the expression stopped holding. Two additions: alerts in ``held`` keep their state though the expression does
not name them, and while ``learning`` nothing fires and nothing resolves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from alerting.model.alert import Alert
from alerting.model.labels import METRIC_NAME, Labels
from alerting.rules.definitions import AlertingRule
from alerting.rules.template import Query, TemplateData

RESOLVED_RETENTION_MS = 15 * 60_000
ALERT_NAME = "alertname"

States = Mapping[Labels, Alert]


class EvaluationError(Exception):
    """A rule could not be evaluated; its states stay as they are."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A label set for which the expression holds: ``labels`` of the alert to be, and its ``annotations``."""

    labels: Labels
    annotations: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Change:
    """``before`` None: the alert is new. ``after`` None: it is forgotten."""

    before: Alert | None
    after: Alert | None

    def __str__(self) -> str:
        alert = self.after or self.before
        old = self.before.state if self.before else "inactive"
        new = self.after.state if self.after else "inactive"
        return f"{alert.labels if alert else ''}: {old} -> {new}"


@dataclass(frozen=True, slots=True)
class Step:
    """``states`` after an evaluation, and what differs in kind from before (a new value is no change)."""

    states: dict[Labels, Alert]
    changes: tuple[Change, ...]


def candidates(
    rule: AlertingRule,
    vector: Iterable[tuple[Labels, float]],
    *,
    external_labels: Mapping[str, str],
    external_url: str,
    query: Query,
) -> list[Candidate]:
    """The alerts that a query result asks for, labels and annotations rendered.

    Raises EvaluationError when two of them get the same labels: they could not be told apart.
    """
    found: dict[Labels, Candidate] = {}
    for labels, value in vector:
        data = TemplateData(labels.as_dict(), value, external_labels, external_url, query)
        own = {name: text.render(data, rule.name) for name, text in rule.labels.items()}
        identity = labels.without((METRIC_NAME,)).merged({**own, ALERT_NAME: rule.name})
        if identity in found:
            raise EvaluationError(
                f"vector contains metrics with the same labelset after applying alert labels: {identity}"
            )
        annotations = {name: text.render(data, rule.name) for name, text in rule.annotations.items()}
        found[identity] = Candidate(identity, annotations, value)
    return list(found.values())


def step(
    rule: AlertingRule,
    states: States,
    current: Sequence[Candidate],
    now_ms: int,
    *,
    held: Callable[[Labels], bool] = lambda _: False,
    limit: int = 0,
    learning: bool = False,
) -> Step:
    """One evaluation. ``held`` is asked only about pending and firing alerts that ``current`` does not name.

    ``limit``: more pending and firing alerts than this raise EvaluationError (0: no limit); unlike in Prometheus the
    states then stay as they are, because forgetting firing alerts would look like a recovery.
    """
    after: dict[Labels, Alert] = {}
    named = {candidate.labels for candidate in current}
    for labels, alert in states.items():
        if labels not in named and (kept := _missing(rule, alert, now_ms, held, learning)) is not None:
            after[labels] = kept
    for candidate in current:
        after[candidate.labels] = _present(rule, states.get(candidate.labels), candidate, now_ms, learning)
    active = sum(alert.state != "resolved" for alert in after.values())
    if 0 < limit < active:
        raise EvaluationError(f"exceeded limit of {limit} with {active} alerts")
    return Step(after, _changes(states, after))


def next_timeout_ms(rule: AlertingRule, states: States, now_ms: int) -> int | None:
    """The first time after ``now_ms`` at which ``for`` or ``keep_firing_for`` of an alert is over: then an evaluation
    finds another state though nothing but the time has changed."""
    ends = []
    for alert in states.values():
        if alert.state == "pending":
            ends.append(alert.active_ms + rule.for_ms)
        elif alert.state == "firing" and alert.keep_firing_since_ms is not None:
            ends.append(alert.keep_firing_since_ms + rule.keep_firing_for_ms)
    return min((end for end in ends if end > now_ms), default=None)


def _present(rule: AlertingRule, alert: Alert | None, candidate: Candidate, now_ms: int, learning: bool) -> Alert:
    if alert is None or alert.state == "resolved":
        alert = Alert(candidate.labels, candidate.annotations, "pending", candidate.value, now_ms)
    else:
        alert = replace(alert, annotations=candidate.annotations, value=candidate.value, keep_firing_since_ms=None)
    if alert.state == "pending" and now_ms - alert.active_ms >= rule.for_ms and not learning:
        alert = replace(alert, state="firing", fired_ms=now_ms)
    return alert


def _missing(
    rule: AlertingRule, alert: Alert, now_ms: int, held: Callable[[Labels], bool], learning: bool
) -> Alert | None:
    """What becomes of an alert for which the expression does not hold; None when it is forgotten."""
    if alert.state == "resolved":
        ended = now_ms if alert.resolved_ms is None else alert.resolved_ms
        return None if now_ms - ended > RESOLVED_RETENTION_MS else alert
    if learning or held(alert.labels):
        return alert
    if alert.state == "pending":
        return None
    if rule.keep_firing_for_ms > 0:
        since = now_ms if alert.keep_firing_since_ms is None else alert.keep_firing_since_ms
        if now_ms - since < rule.keep_firing_for_ms:
            return replace(alert, keep_firing_since_ms=since)
    return replace(alert, state="resolved", resolved_ms=now_ms, keep_firing_since_ms=None)


def _changes(before: States, after: States) -> tuple[Change, ...]:
    found = []
    for labels in {**before, **after}:
        old, new = before.get(labels), after.get(labels)
        if old is None or new is None or _kind(old) != _kind(new):
            found.append(Change(old, new))
    return tuple(sorted(found, key=lambda change: (change.after or change.before or _NONE).labels))


def _kind(alert: Alert) -> tuple[object, ...]:
    return alert.state, alert.active_ms, alert.fired_ms, alert.resolved_ms, alert.keep_firing_since_ms


_NONE = Alert(Labels(), {}, "resolved", 0.0, 0)
