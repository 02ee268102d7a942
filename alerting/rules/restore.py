"""What stored alert states are still worth after an outage. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from alerting.model.alert import Alert
from alerting.rules.alerting_rule import RESOLVED_RETENTION_MS

OUTAGE_TOLERANCE_MS = 3_600_000
# States are noted every minute; a restart within two counts as if nothing had happened.
SHORT_OUTAGE_MS = 120_000


def restored(
    alerts: Sequence[Alert], seen_ms: int | None, now_ms: int, tolerance_ms: int = OUTAGE_TOLERANCE_MS
) -> list[Alert]:
    """The alerts to go on with at ``now_ms`` when they were last true at ``seen_ms``.

    Firing alerts always go on: whoever was told of one must be told of its end. Pending ones go on when the outage was
    shorter than ``tolerance_ms`` (Prometheus' ``--rules.alert.for-outage-tolerance``); the time of a longer outage
    than two minutes does not count for ``for``, because nobody looked. Resolved ones go on until their 15 minutes end.
    """
    outage = max(0, now_ms - seen_ms) if seen_ms is not None else 0
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
