"""What is known of one service of a node: its own metrics page, what probes of it say, whether its container runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from alerting.model.labels import Labels

ServiceState = Literal["up", "degraded", "down", "unknown", "unwatched"]

# Answered by the exporters, by `node` and `service`.
PROBE_QUERY = (
    "(tierwatch_service_state == 1) * on (node, service) group_left (reason) tierwatch_service_problem "
    "or on (node, service) tierwatch_service_state == 1"
)
CONTAINER_QUERY = "tierwatch_container_wanted_up"

# Of several who look at a service, the first of these that one of them says is what it is.
_WORST: tuple[ServiceState, ...] = ("down", "degraded", "up", "unknown")


@dataclass(frozen=True, slots=True)
class Seen:
    """What one of those who look says. ``words``: for the person who asks why."""

    state: ServiceState
    words: str


Answer = Iterable[tuple[Labels, float]]
# (node, service) -> what is said of it
ByService = Mapping[tuple[str, str], Sequence[Seen]]


def by_service(probes: Answer | None, containers: Answer | None) -> ByService:
    """The answers to the two queries, each None when there is none."""
    found: dict[tuple[str, str], list[Seen]] = {}
    for labels, _ in probes or ():
        told = labels.get("state")
        state = next((known for known in _WORST if known == told), None)
        if state is not None:
            reason = labels.get("reason")
            seen = Seen(state, f"its check says {state}{f': {reason}' if reason else ''}")
            found.setdefault((labels.get("node"), labels.get("service")), []).append(seen)
    for labels, value in containers or ():
        name = labels.get("name")
        seen = Seen("up", f"its container {name} runs") if value == 1 else Seen("down", f"its container {name} is down")
        found.setdefault((labels.get("node"), labels.get("service")), []).append(seen)
    return found


def summed_up(seen: Sequence[Seen]) -> Seen:
    """What it is altogether: the worst that somebody knows."""
    if not seen:
        return Seen("unwatched", "nothing watches this service itself, only its node")
    worst = min(seen, key=lambda one: _WORST.index(one.state))
    return Seen(worst.state, "; ".join(one.words for one in seen if one.state == worst.state))
