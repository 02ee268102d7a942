"""What is known of one service of a node: its own metrics page, what probes of it say, whether its container or its
systemd unit runs. ``config/rules/state.yml`` records the same judgement for the dashboards."""

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
# 1 when the unit runs, or has done its work and ended well; 0 when not. Units that systemd does not know say nothing.
UNIT_QUERY = (
    "(tierwatch_systemd_unit_wanted == 1) * on (node, name) group_left () max by (node, name) ("
    'node_systemd_unit_state{state="active"} or node_systemd_unit_state{state="inactive",type="oneshot"})'
)

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


def by_service(probes: Answer | None, containers: Answer | None, units: Answer | None = None) -> ByService:
    """The answers to the three queries, each None when there is none."""
    found: dict[tuple[str, str], list[Seen]] = {}
    for labels, _ in probes or ():
        told = labels.get("state")
        state = next((known for known in _WORST if known == told), None)
        if state is not None:
            reason = labels.get("reason")
            seen = Seen(state, f"its check says {state}{f': {reason}' if reason else ''}")
            found.setdefault((labels.get("node"), labels.get("service")), []).append(seen)
    for kind, answer in (("container", containers), ("unit", units)):
        for labels, value in answer or ():
            name = labels.get("name")
            seen = Seen("up", f"its {kind} {name} runs") if value == 1 else Seen("down", f"its {kind} {name} is down")
            found.setdefault((labels.get("node"), labels.get("service")), []).append(seen)
    return found


def summed_up(seen: Sequence[Seen]) -> Seen:
    """What it is altogether: the worst that somebody knows."""
    if not seen:
        return Seen("unwatched", "nothing watches this service itself, only its node")
    worst = min(seen, key=lambda one: _WORST.index(one.state))
    return Seen(worst.state, "; ".join(one.words for one in seen if one.state == worst.state))
