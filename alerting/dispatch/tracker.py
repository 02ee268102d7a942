"""Which alerts are firing, from the updates of the rules: the part of the dispatcher that knows no groups. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from alerting.model.alert import Alert

MAX_ALERTS = 10_000
_LONGEST_STEP_MS = 30_000


@dataclass(slots=True)
class Tracked:
    """The outcome of some updates. ``refused``: alerts beyond the limit."""

    active: dict[str, Alert]
    ended: dict[str, Alert] = field(default_factory=dict)
    refused: int = 0


class Presence:
    """When each alert was last in an update, on a clock that only runs while updates come.

    The rules hand on every firing alert at each evaluation. One that is missing for long (it ended in the moment of a
    crash, or its rule is gone) is over. Neither downtime nor a clock that was set counts as missing: the clock here
    advances with the updates, by 30 s at most each.
    """

    def __init__(self, absent_after_ms: int) -> None:
        self._absent_after_ms = absent_after_ms
        self._age_ms = 0
        self._last_ms: int | None = None
        self._seen: dict[str, int] = {}

    def copy(self) -> Presence:
        """One that goes on from here without this one."""
        other = Presence(self._absent_after_ms)
        other._age_ms, other._last_ms, other._seen = self._age_ms, self._last_ms, dict(self._seen)
        return other

    def tick(self, now_ms: int) -> None:
        """An update arrived."""
        if self._last_ms is not None:
            self._age_ms += min(max(now_ms - self._last_ms, 0), _LONGEST_STEP_MS)
        self._last_ms = now_ms

    def see(self, fingerprint: str) -> None:
        self._seen[fingerprint] = self._age_ms

    def absent(self, active: Iterable[str]) -> list[str]:
        """Those of ``active`` that have been missing too long; the others are remembered, the rest is forgotten."""
        self._seen = {key: self._seen.get(key, self._age_ms) for key in active}
        return [key for key, seen in self._seen.items() if self._age_ms - seen > self._absent_after_ms]


Update = tuple[Sequence[Alert], int]


def merged(updates: Sequence[Update]) -> Update:
    """Several updates as one: the last word on each alert."""
    last = {alert.fingerprint: alert for alerts, _ in updates for alert in alerts}
    return (tuple(last.values()), updates[-1][1])


def track(active: Mapping[str, Alert], updates: Iterable[Update], presence: Presence, now_ms: int) -> Tracked:
    """Apply updates in order. A resolved alert that was not firing is nothing new."""
    result = Tracked(dict(active))
    for alerts, time_ms in updates:
        presence.tick(time_ms)
        for alert in alerts:
            key = alert.fingerprint
            if alert.state == "firing":
                if key not in result.active and len(result.active) >= MAX_ALERTS:
                    result.refused += 1
                    continue
                result.active[key] = alert
                result.ended.pop(key, None)
                presence.see(key)
            elif alert.state == "resolved" and key in result.active:
                del result.active[key]
                result.ended[key] = alert
    for key in presence.absent(result.active):
        result.ended[key] = replace(result.active.pop(key), state="resolved", resolved_ms=now_ms)
    return result
