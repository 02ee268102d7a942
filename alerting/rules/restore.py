"""What stored alert states are still worth after an outage. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from alerting.model.alert import Alert
from alerting.rules.alerting_rule import RESOLVED_RETENTION_MS

OUTAGE_TOLERANCE_MS = 3_600_000
# States are noted every minute; a restart within two counts as if nothing had happened.
SHORT_OUTAGE_MS = 120_000
DAY_MS = 86_400_000


def restored(
    alerts: Sequence[Alert], seen_ms: int | None, now_ms: int, tolerance_ms: int = OUTAGE_TOLERANCE_MS
) -> list[Alert]:
    """The alerts to go on with at ``now_ms`` when they were last true at ``seen_ms``.

    Firing alerts always go on: whoever was told of one must be told of its end. Pending ones go on when the outage was
    shorter than ``tolerance_ms`` (Prometheus' ``--rules.alert.for-outage-tolerance``); the time of a longer outage
    than two minutes does not count for ``for``, because nobody looked. Resolved ones go on until their 15 minutes end.
    """
    if seen_ms is not None and seen_ms > now_ms:  # the clock was set back: as if no time had passed
        alerts = [moved(alert, now_ms - seen_ms) for alert in alerts]
        seen_ms = now_ms
    outage = now_ms - seen_ms if seen_ms is not None else 0
    going_on = []
    for alert in alerts:
        if alert.state == "firing":
            going_on.append(alert)
        elif alert.state == "pending" and outage < tolerance_ms:
            shift = outage if outage > SHORT_OUTAGE_MS else 0
            going_on.append(replace(alert, active_ms=alert.active_ms + shift))
        elif alert.state == "resolved" and now_ms - (alert.resolved_ms or now_ms) <= RESOLVED_RETENTION_MS:
            going_on.append(alert)
    return going_on


def after_leap(alert: Alert, leap_ms: int) -> Alert:
    """The alert after the clock was set by ``leap_ms``: no time lies in the future, and ``for`` has neither ended nor
    begun anew because of it. What is firing keeps its times when the clock went on by less than a day: the machine may
    have slept."""
    if alert.state == "pending" or leap_ms < 0 or leap_ms > DAY_MS:
        return moved(alert, leap_ms)
    return alert


def moved(alert: Alert, by_ms: int) -> Alert:
    """All its times later by so much."""
    times = (alert.fired_ms, alert.resolved_ms, alert.keep_firing_since_ms)
    fired, resolved, keep = (None if time is None else time + by_ms for time in times)
    return replace(
        alert, active_ms=alert.active_ms + by_ms, fired_ms=fired, resolved_ms=resolved, keep_firing_since_ms=keep
    )
