"""What failures mean for the people who use the cluster, in sentences. Pure.

An alert says that a whole node is gone when it is called ``NodeDown`` or carries ``impact="node"``; that a service is
gone when it names one (``service``: its name on the alert's node, or ``NODE/service``) and carries ``impact="service"``
or ``subject="service"``, or neither and severity critical. Any other value of ``impact`` (``none``, say) keeps an alert
out of this.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from alerting.model.alert import Alert
from config.cluster import Branch, Cluster, Flow, Step
from config.flows import FlowState, flow_state


@dataclass(frozen=True, slots=True)
class Gone:
    """What is gone according to some alerts: whole nodes, and services (``NODE/service``)."""

    nodes: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()

    def up(self, reference: str) -> bool:
        """``NODE/service``, or a node alone."""
        node, slash, _ = reference.partition("/")
        return node not in self.nodes and not (slash and reference in self.services)

    def __bool__(self) -> bool:
        return bool(self.nodes or self.services)


def takes_node(alert: Alert) -> bool:
    """Whether the alert says that its whole node is gone."""
    return bool(node_of(alert)) and (alert.name == "NodeDown" or alert.labels.get("impact") == "node")


def takes_service(alert: Alert) -> bool:
    """Whether the alert says that the service it names does not serve."""
    if not service_of(alert):
        return False
    meant = alert.labels.get("impact") or alert.labels.get("subject")
    return meant == "service" or (not meant and alert.labels.get("severity") == "critical")


def service_of(alert: Alert) -> str:
    """The service an alert is about as ``NODE/service``; empty when it names none."""
    name, node = alert.labels.get("service"), alert.labels.get("node")
    if not name or "/" in name:
        return name
    return f"{node}/{name}" if node else ""


def node_of(alert: Alert) -> str:
    """The node an alert is about; empty when it names none."""
    return alert.labels.get("node") or service_of(alert).partition("/")[0]


def gone(alerts: Iterable[Alert]) -> Gone:
    """Everything that these alerts say is gone."""
    every = list(alerts)
    return Gone(
        frozenset(node_of(alert) for alert in every if takes_node(alert)),
        frozenset(service_of(alert) for alert in every if takes_service(alert)),
    )


def sentences(cluster: Cluster, own: Gone, everything: Gone) -> list[str]:
    """One sentence for each flow that ``own`` hits, in the state that ``everything`` that is gone puts it; the worst
    first. A flow that only misses its part of ``every: node`` is left out: the alert itself has said so."""
    found: list[tuple[int, int, str]] = []
    for place, flow in enumerate(cluster.flows.values()):
        if flow_state(flow, cluster, own.up).state == "ok":
            continue
        state = flow_state(flow, cluster, everything.up)
        if state.state == "degraded" and not _hits_path(flow, cluster, own):
            continue
        rank = 0 if state.state == "broken" else 1
        found.append((rank, place, _sentence(flow, state, everything)))
    return [text for _, _, text in sorted(found)]


def recovered(cluster: Cluster, own: Gone, everything: Gone) -> list[str]:
    """What became of the flows that ``own`` had hit, now that only ``everything`` is gone; the worst first. Flows of
    which ``sentences`` did not speak are left out here too."""
    still, again = [], []
    for flow in cluster.flows.values():
        before = flow_state(flow, cluster, own.up).state
        if before == "ok" or (before == "degraded" and not _hits_path(flow, cluster, own)):
            continue
        state = flow_state(flow, cluster, everything.up)
        if state.state == "ok":
            again.append(flow.title)
        else:
            still.append(f"{flow.title} is still {state.state}: {_names(state.failed)} down.")
    return [*still, f"{_names(tuple(again))} back to normal."] if again else still


def _hits_path(flow: Flow, cluster: Cluster, own: Gone) -> bool:
    steps = tuple(step for step in flow.steps if isinstance(step, str) or step.split)
    return bool(steps) and flow_state(Flow(title=flow.title, steps=steps), cluster, own.up).state != "ok"


def _sentence(flow: Flow, state: FlowState, everything: Gone) -> str:
    if state.state == "broken":
        return f"{flow.title} broken: {_names(state.failed)} down."
    for step in flow.steps:
        if isinstance(step, Step) and step.split:
            alive = [branch for branch in step.split if all(map(everything.up, branch.steps))]
            if len(alive) < len(step.split):
                return f"{flow.title} degraded: {state.lost_percent}% of requests {_loss(step, alive)}."
    return f"{flow.title} degraded: {_names(state.failed)} missing."


def _loss(step: Step, alive: list[Branch]) -> str:
    if not step.failover:
        return "fail"
    names = _names(tuple(branch.steps[0] for branch in alive))
    return f"go to {names} instead"


def _names(names: tuple[str, ...], most: int = 4) -> str:
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else "something"
