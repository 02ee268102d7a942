"""An alert as the rules hand it on: one label set of one rule, and where it is in its life.

    (absent) -> pending -> firing -> resolved -> (forgotten)

Times are milliseconds since the epoch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from alerting.model.labels import Labels

AlertState = Literal["pending", "firing", "resolved"]


@dataclass(frozen=True, slots=True)
class Alert:
    """``labels`` hold ``alertname`` and identify the alert; ``annotations`` are rendered texts.

    ``active_ms``: since when the expression holds. ``fired_ms``: when it became firing, None while pending.
    ``resolved_ms``: when it ended, None before. ``value``: of the expression at the last evaluation.
    """

    labels: Labels
    annotations: Mapping[str, str]
    state: AlertState
    value: float
    active_ms: int
    fired_ms: int | None = None
    resolved_ms: int | None = None
    keep_firing_since_ms: int | None = None

    @property
    def name(self) -> str:
        return self.labels.get("alertname")

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.labels)


def fingerprint(labels: Labels) -> str:
    """A stable 16-digit name of a label set, the same after a restart and on another machine."""
    text = "\xff".join(f"{name}\xfe{value}" for name, value in labels)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


class AlertSink(Protocol):
    """Who hears of alerts: the rules call it after each evaluation of a group."""

    def update(self, alerts: Sequence[Alert], now_ms: int) -> None:
        """Every firing alert of the group, and those that resolved in this evaluation. Must not block."""
