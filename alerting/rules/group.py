"""One group at work: its rules in order at one time, their states, their series, and what the last evaluations gave."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from alerting.model.alert import Alert
from alerting.model.labels import Labels
from alerting.promql.errors import QueryError
from alerting.promql.parse import parse
from alerting.rules.alerting_rule import (
    Candidate,
    Change,
    EvaluationError,
    Step,
    candidates,
    next_timeout_ms,
    step,
)
from alerting.rules.definitions import AlertingRule, Group, RecordingRule, Rule
from alerting.rules.expressions import Evaluate
from alerting.rules.missing import MissingData
from alerting.rules.recording_rule import record
from alerting.rules.template import Template
from alerting.rules.template_functions import TemplateSample
from alerting.rules.writer import SeriesWriter, alert_series
from alerting.storage.ports import Storage, StorageError

log = logging.getLogger(__name__)

RING_SIZE = 20  # evaluations remembered for each rule
PLACE_MS = 5000  # groups share the places of their interval: a wake-up costs more than most groups


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation of one rule. ``duration`` in seconds; ``samples``: elements of the query's result."""

    at_ms: int
    duration: float
    samples: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all groups share. ``external_labels`` and ``external_url`` are what texts may name."""

    evaluate: Evaluate
    storage: Storage
    default_interval_ms: int = 60_000
    external_labels: Mapping[str, str] = field(default_factory=dict)
    external_url: str = ""
    monotonic: Callable[[], float] = time.monotonic


class RuleState:
    """A rule and what it remembers. Everything is replaced, never changed in place: readers need no lock."""

    def __init__(self, rule: Rule, rule_id: str) -> None:
        self.rule = rule
        self.rule_id = rule_id
        self.shown_labels = _texts(rule.labels) if isinstance(rule, AlertingRule) else rule.labels
        self.shown_annotations = _texts(rule.annotations) if isinstance(rule, AlertingRule) else {}
        self.alerts: dict[Labels, Alert] = {}
        self.timeout_ms: int | None = None
        """When time alone will change an alert: the end of ``for`` or ``keep_firing_for``."""
        self.ring: tuple[Evaluation, ...] = ()
        self.writer: SeriesWriter | None = None
        self.unsaved = False

    @property
    def last(self) -> Evaluation | None:
        return self.ring[-1] if self.ring else None

    def set_alerts(self, alerts: dict[Labels, Alert], now_ms: int) -> None:
        """The states as of ``now_ms``."""
        self.alerts = alerts
        self.timeout_ms = next_timeout_ms(self.rule, alerts, now_ms) if isinstance(self.rule, AlertingRule) else None

    def take_over(self, old: RuleState) -> None:
        """Go on where the same rule of an earlier configuration stopped."""
        self.timeout_ms = old.timeout_ms
        self.alerts, self.ring, self.writer, self.unsaved = old.alerts, old.ring, old.writer, old.unsaved

    def end(self, now_ms: int) -> list[Alert]:
        """The rule is gone from the configuration: its series end, its firing alerts are resolved."""
        if self.writer is not None:
            self.writer.close(now_ms)
        return resolved_now(self.alerts.values(), now_ms)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an evaluation of a group gave. ``told``: its firing alerts and those that resolved just now."""

    at_ms: int
    told: tuple[Alert, ...]
    changes: tuple[Change, ...]
    evaluations: int
    failures: int
    refused: int


class RunningGroup:
    """A group and the states of its rules. One evaluation at a time; the caller sees to that."""

    def __init__(self, group: Group, around: Surroundings) -> None:
        self.group = group
        self.rules = [RuleState(rule, rule_id) for rule, rule_id in zip(group.rules, group.rule_ids(), strict=True)]
        self.last_ms: int | None = None
        self.last_duration = 0.0
        self._around = around
        digest = hashlib.blake2b(group.source.encode(), digest_size=8).digest()
        self._offset_ms = int.from_bytes(digest, "big") % self.interval_ms // PLACE_MS * PLACE_MS

    @property
    def interval_ms(self) -> int:
        return self.group.interval_ms or self._around.default_interval_ms

    def slot(self, now_ms: int) -> int:
        """The latest time at or before ``now_ms`` at which the group is due: always the same places on the clock,
        spread over a long interval by the group's name so that not all groups run at once."""
        return (now_ms - self._offset_ms) // self.interval_ms * self.interval_ms + self._offset_ms

    def timed_out(self, now_ms: int) -> list[int]:
        """The positions of rules with an alert whose ``for`` or ``keep_firing_for`` ended since their last evaluation:
        they need not wait for the group's next time."""
        return [
            at for at, state in enumerate(self.rules) if state.timeout_ms is not None and state.timeout_ms <= now_ms
        ]

    def timeout_ms(self, now_ms: int) -> int | None:
        """When the next rule will be among ``timed_out``; None when that is further away than the group's next time."""
        ends = [state.timeout_ms for state in self.rules if state.timeout_ms is not None]
        end = min(ends, default=None)
        return end if end is not None and end - now_ms < self.interval_ms else None

    def evaluate(self, now_ms: int, positions: Collection[int] | None = None, *, learning: bool = False) -> Outcome:
        """Evaluate all rules, or those at the positions, at ``now_ms``. Never raises for what a rule did."""
        started = self._around.monotonic()
        missing = MissingData(self._around.storage, now_ms - self.group.query_offset_ms)
        changes: list[Change] = []
        failures = refused = 0
        chosen = [state for at, state in enumerate(self.rules) if positions is None or at in positions]
        for state in chosen:
            before = self._around.monotonic()
            state.timeout_ms = None  # also when this evaluation fails: it is not tried again before the group's time
            samples, error = 0, ""
            try:
                samples, found, written = self._one(state, now_ms, missing, learning)
                changes += found
                refused += not written
            except Exception as problem:
                # Also for a fault of ours: one broken rule must not end the watch over all others.
                known = isinstance(problem, QueryError | EvaluationError | StorageError)
                error = str(problem) if known else f"internal error: {type(problem).__name__}: {problem}"
                failures += 1
                if state.last is None or state.last.error != error:
                    log.warning("rule %s: %s", state.rule_id, error)
            done = Evaluation(now_ms, self._around.monotonic() - before, samples, error)
            state.ring = (*state.ring[-RING_SIZE + 1 :], done)
        if positions is None:
            self.last_duration = self._around.monotonic() - started
        self.last_ms = now_ms
        told = [alert for state in self.rules for alert in state.alerts.values() if alert.state == "firing"]
        told += [change.after for change in changes if change.after and change.after.state == "resolved"]
        return Outcome(now_ms, tuple(told), tuple(changes), len(chosen), failures, refused)

    def _one(
        self, state: RuleState, now_ms: int, missing: MissingData, learning: bool
    ) -> tuple[int, Sequence[Change], bool]:
        at_ms = now_ms - self.group.query_offset_ms
        vector = list(self._around.evaluate(state.rule.expr, at_ms))
        if isinstance(state.rule, RecordingRule):
            series = record(state.rule, vector, self.group.limit)
            return len(vector), (), self._write(state, at_ms, series)
        after = self._alerts(state, state.rule, vector, now_ms, missing=missing, learning=learning)
        for change in after.changes:
            log.info("rule %s: %s", state.rule_id, change)
        state.set_alerts(after.states, now_ms)
        state.unsaved = state.unsaved or bool(after.changes)
        return len(vector), after.changes, self._write(state, at_ms, alert_series(after.states))

    def _alerts(
        self,
        state: RuleState,
        rule: AlertingRule,
        vector: list[tuple[Labels, float]],
        now_ms: int,
        *,
        missing: MissingData,
        learning: bool,
    ) -> Step:
        going_on: list[Alert] = []
        if rule.on_missing == "fire":
            going_on, extra = missing.fires(rule, state.alerts, vector)
            vector = vector + extra
        current = candidates(
            rule,
            vector,
            external_labels=self._around.external_labels,
            external_url=self._around.external_url,
            query=lambda text: self._query(text, now_ms - self.group.query_offset_ms),
        )
        named = {candidate.labels for candidate in current}
        current += [
            Candidate(alert.labels, alert.annotations, alert.value) for alert in going_on if alert.labels not in named
        ]
        return step(
            rule,
            state.alerts,
            current,
            now_ms,
            held=(lambda labels: missing.held(rule, labels)) if rule.on_missing == "hold" else lambda _: False,
            limit=self.group.limit,
            learning=learning,
        )

    def _query(self, text: str, at_ms: int) -> list[TemplateSample]:
        return [TemplateSample(labels.as_dict(), value) for labels, value in self._around.evaluate(parse(text), at_ms)]

    def _write(self, state: RuleState, at_ms: int, series: Mapping[Labels, float]) -> bool:
        if state.writer is None:
            state.writer = SeriesWriter(self._around.storage.source(f"rules/{state.rule_id}"))
        return state.writer.write(at_ms, series)

    def take_over(self, old: Mapping[str, RuleState], from_group: RunningGroup | None) -> set[str]:
        """Go on with the states of rules that were there before; returns the names of those taken."""
        if from_group is not None:
            self.last_ms, self.last_duration = from_group.last_ms, from_group.last_duration
        taken = set()
        for state in self.rules:
            if state.rule_id in old:
                state.take_over(old[state.rule_id])
                taken.add(state.rule_id)
        return taken


def _texts(templates: Mapping[str, Template]) -> dict[str, str]:
    """As they were written."""
    return {name: template.text for name, template in templates.items()}


def resolved_now(alerts: Collection[Alert], now_ms: int) -> list[Alert]:
    """The firing ones of the alerts, ended."""
    return [replace(alert, state="resolved", resolved_ms=now_ms) for alert in alerts if alert.state == "firing"]
