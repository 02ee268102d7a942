"""What a receiver is to be told: the facts, before anybody puts them into words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from alerting.model.alert import Alert
from alerting.model.labels import Labels

Reason = Literal["firing", "resolved", "repeat"]


@dataclass(frozen=True, slots=True)
class Notice:
    """One change of a group, told once.

    ``firing``: what the receiver shall know to be firing now, told before or not; ``fresh``: the fingerprints of those
    it hears of for the first time; ``resolved``: what it was told and is over (``resolved_ms`` is set); ``hidden``:
    what the firing alerts explain and nobody is told of; ``around``: every alert that is firing in the cluster.
    """

    group_key: str
    receiver: str
    group_labels: Labels
    reason: Reason
    firing: tuple[Alert, ...] = ()
    fresh: frozenset[str] = frozenset()
    resolved: tuple[Alert, ...] = ()
    hidden: tuple[Alert, ...] = ()
    around: Mapping[str, Alert] = field(default_factory=dict)
