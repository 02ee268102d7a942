"""``on_missing``: what becomes of an alert when the data it was made from is not there any more.

Prometheus resolves it: no data looks like no problem. Here a rule may say otherwise. Data of an alert is *missing* when

1. a target is lost: its ``up`` is 0, or ``up`` itself ended less than an hour ago;
2. the alert can be about that target: every label that both the alert (without the rule's own labels) and the
   target's ``up`` have is the same in both. An alert without such a label (a sum over all nodes) can be about any;
3. the rule read that target: one of its selectors matched a series of the target's job and instance in the last
   seven days, and none of them matches one with a current sample.

``hold``: such an alert keeps its state, pending or firing, until the target is back (or forgotten by rule 1 or 3).
``fire``: such an alert goes on as if the expression held, and a lost target that the rule read gets an alert of its
own, with the target's labels and the value NaN, when it has none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from alerting.model.alert import Alert
from alerting.model.labels import METRIC_NAME, Labels
from alerting.model.matcher import Matcher
from alerting.model.series import SeriesData, is_stale
from alerting.promql.inspect import selectors
from alerting.rules.alerting_rule import ALERT_NAME, States
from alerting.rules.definitions import AlertingRule
from alerting.storage.ports import Querier

LOOKBACK_MS = 300_000
GONE_MS = 3_600_000
HISTORY_MS = 7 * 86_400_000

_UP = (Matcher(METRIC_NAME, "=", "up"),)


class MissingData:
    """Asks the store about lost targets. One for each evaluation of a group, so that the targets are read once."""

    def __init__(self, querier: Querier, time_ms: int) -> None:
        self._querier = querier
        self._time_ms = time_ms
        self._targets: list[Labels] | None = None
        self._fed: dict[tuple[str, Labels], bool] = {}

    def held(self, rule: AlertingRule, labels: Labels) -> bool:
        """Whether the data of this alert of the rule is missing."""
        return any(_about(rule, labels, target) and self._read(rule, target) for target in self._lost())

    def fires(
        self, rule: AlertingRule, states: States, vector: Iterable[tuple[Labels, float]]
    ) -> tuple[list[Alert], list[tuple[Labels, float]]]:
        """For ``fire``: the alerts that go on, and what is added to the query result for targets without any."""
        current = [labels.without((METRIC_NAME,)) for labels, _ in vector]
        lost = [target for target in self._lost() if self._read(rule, target)]
        on = [
            alert
            for labels, alert in states.items()
            if alert.state != "resolved" and any(_about(rule, labels, target) for target in lost)
        ]
        known = [*current, *(alert.labels for alert in on)]
        extra = [
            (target.without((METRIC_NAME,)), math.nan)
            for target in lost
            if not any(_about(rule, labels, target) for labels in known)
        ]
        return on, extra

    def _lost(self) -> list[Labels]:
        if self._targets is None:
            found = self._querier.select(_UP, self._time_ms - GONE_MS, self._time_ms)
            self._targets = [series.labels for series in found if not self._alive(series) or series.values[-1] == 0]
        return self._targets

    def _alive(self, series: SeriesData) -> bool:
        """Whether the last sample is current."""
        if not len(series.times) or is_stale(series.values[-1:])[0]:
            return False
        return bool(series.times[-1] > self._time_ms - LOOKBACK_MS)

    def _read(self, rule: AlertingRule, target: Labels) -> bool:
        key = (rule.text, target)
        if key not in self._fed:
            self._fed[key] = self._was_read(rule, target)
        return self._fed[key]

    def _was_read(self, rule: AlertingRule, target: Labels) -> bool:
        of_target = tuple(Matcher(name, "=", target.get(name)) for name in ("job", "instance"))
        sets = [(*matchers, *of_target) for matchers in selectors(rule.expr)]
        for matchers in sets:
            current = self._querier.select(matchers, self._time_ms - LOOKBACK_MS, self._time_ms)
            if any(self._alive(series) for series in current):
                return False
        return bool(sets and self._querier.series(sets, self._time_ms - HISTORY_MS, self._time_ms))


def _about(rule: AlertingRule, labels: Labels, target: Labels) -> bool:
    own = {METRIC_NAME, ALERT_NAME, *rule.labels}
    other = dict(target)
    return all(other.get(name, value) == value for name, value in labels if name not in own)
