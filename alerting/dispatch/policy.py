"""Everything of the configuration that decides who is told what. Built whole, then swapped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo

from alerting.dispatch import inhibit, route
from alerting.dispatch.inhibit import Inhibition
from alerting.dispatch.route import RouteNode
from alerting.model.labels import Labels
from config.alerting import Alerting
from config.cluster import Cluster


@dataclass(frozen=True, slots=True)
class Policy:
    """``send_resolved``: for every known receiver, whether it hears of endings. ``zone``: of times in messages; None
    is the machine's own."""

    root: RouteNode
    inhibitions: tuple[Inhibition, ...]
    send_resolved: Mapping[str, bool]
    cluster: Cluster
    external_url: str = ""
    zone: tzinfo | None = None
    external_labels: Mapping[str, str] = field(default_factory=dict)

    def outward(self, labels: Labels) -> Labels:
        """An alert's labels as everybody outside of the rules knows it: with ``external_labels``, where it has none
        of that name. An alert stays the same alert when they change."""
        return Labels.of({**self.external_labels, **labels.as_dict()}) if self.external_labels else labels


def build(
    alerting: Alerting, cluster: Cluster, zone: tzinfo | None = None, external_labels: Mapping[str, str] | None = None
) -> Policy:
    """The policy of a checked configuration. Raises ValueError for what the check would refuse."""
    return Policy(
        root=route.build(alerting.route),
        inhibitions=inhibit.build(alerting.inhibit_rules),
        send_resolved={receiver.name: receiver.send_resolved for receiver in alerting.receivers},
        cluster=cluster,
        external_url=alerting.external_url,
        zone=zone,
        external_labels=external_labels or {},
    )
