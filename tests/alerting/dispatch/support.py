"""Alerts and policies for the tests of this room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from alerting.dispatch import policy
from alerting.dispatch.policy import Policy
from alerting.model.alert import Alert
from alerting.model.labels import Labels
from config.alerting import Alerting, InhibitRule, Receiver, Route
from config.cluster import Cluster, Network, Node, Router
from config.secrets import Secret

NOW = 1_700_000_000_000
SECOND = 1000
MINUTE = 60_000
URLS: Mapping[str, Sequence[Secret]] = {"phone": (Secret("json://127.0.0.1/phone"),)}
CLUSTER = Cluster(
    cluster="test",
    network=Network(cidr="10.0.0.0/24", router=Router(address="10.0.0.1")),
    tiers={1: "Everything"},
    nodes={"a": Node(address="10.0.0.2", tier=1, board="generic", memory=1, disk=1)},
)
NODE_DOWN_HIDES = InhibitRule(
    source_matchers=('alertname="NodeDown"',), target_matchers=('alertname!="NodeDown"',), equal=("node",)
)


def alert(alertname: str, at_ms: int = NOW, resolved_ms: int | None = None, **labels: str) -> Alert:
    """A firing alert since ``at_ms``, or one that ended."""
    return Alert(
        labels=Labels.of({"alertname": alertname, **labels}),
        annotations={},
        state="firing" if resolved_ms is None else "resolved",
        value=1.0,
        active_ms=at_ms,
        fired_ms=at_ms,
        resolved_ms=resolved_ms,
    )


def simple_policy(
    root: Route | None = None,
    receivers: Sequence[Receiver] = (),
    inhibit: Sequence[InhibitRule] = (),
    external_labels: Mapping[str, str] | None = None,
) -> Policy:
    """One receiver ``phone``, groups by node, 1 s / 60 s / 1 h, unless told otherwise."""
    route = root or Route(receiver="phone", group_by=("node",), group_wait=1, group_interval=60, repeat_interval=3600)
    alerting = Alerting(
        route=route, receivers=tuple(receivers) or (Receiver(name="phone"),), inhibit_rules=tuple(inhibit)
    )
    return policy.build(alerting, CLUSTER, external_labels=external_labels)
