"""A request flow as PromQL: the share of its ways that are open, 1 all, 0 none; ``UNKNOWN`` of that where nobody knows.

The same judgement as ``config.flows.flow_state`` makes for the status page, from the same readings: a step is what its
service's state says (``service:state:min`` of ``config/rules/state.yml``), down when its node is, and as its node
where nobody watches the service. Works, degraded, unknown and broken are the values of ``look.FLOW``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from config.cluster import Cluster, Flow, Step
from dashboards import names
from dashboards.queries import Query, Scope, named, pick, regex

# What is neither broken nor degraded and not known either. Nearer to 1 than a flow that has lost a hundredth of its
# ways, and still told from 1 when only a hundredth of the ways is not known.
UNKNOWN = 0.9995
_ANYWHERE = Scope()


def flows_query(flows: Mapping[str, Flow], cluster: Cluster) -> Query:
    """One series a flow, named by its title."""
    return Query(named("flow", {_literal(flow.title): flow_expr(flow, cluster) for flow in flows.values()}), "{{flow}}")


def flow_expr(flow: Flow, cluster: Cluster) -> str:
    """The value of one flow, without labels."""
    chain = [step for step in flow.steps if isinstance(step, str)]
    parts = [_chain(chain)] if chain else []
    parts += [_step(step, cluster) for step in flow.steps if isinstance(step, Step)]
    return " * ".join(f"({part})" for part in parts)


def flows_through(cluster: Cluster, nodes: Iterable[str]) -> dict[str, Flow]:
    """The flows that use one of the nodes."""
    wanted = set(nodes)
    return {
        name: flow
        for name, flow in cluster.flows.items()
        if wanted & set(_nodes(flow.services())) or any(_everywhere(step) for step in flow.steps)
    }


def _step(step: Step, cluster: Cluster) -> str:
    if _everywhere(step):
        return _every(tuple(cluster.nodes))
    parts = [f"{branch.percent / 100:g} * {_chain(branch.steps)}" for branch in step.split]
    return " + ".join(parts)


def _chain(references: Sequence[str]) -> str:
    """1, 0 or UNKNOWN: the worst of the steps, whose levels are 3 up, 2 degraded, 1 unknown, 0 down."""
    nodes = _nodes(references)
    up = pick(names.UP, node=regex(nodes))
    seen = [
        pick(names.SERVICE_STATE, _ANYWHERE, node=node, service=regex(_services(references, node))) for node in nodes
    ]
    levels = " or ".join([f"3 * {up}", *seen, f"vector(1) unless count({up}) == {len(nodes)}"])
    return f"clamp_max(min({levels}) * {UNKNOWN}, 1)"


def _every(nodes: Sequence[str]) -> str:
    """The share of nodes that are not known to be down."""
    up = pick(names.UP, node=regex(nodes))
    lost = f"count({up} == 0) / {len(nodes)} or vector(0)"
    known = f"vector({UNKNOWN}) unless count({up}) == {len(nodes)} or vector(1)"
    return f"(1 - ({lost})) * ({known})"


def _nodes(references: Iterable[str]) -> tuple[str, ...]:
    """The nodes of ``NODE/service`` references, each once, in order."""
    return tuple(dict.fromkeys(reference.partition("/")[0] for reference in references))


def _services(references: Iterable[str], node: str) -> tuple[str, ...]:
    parts = (reference.partition("/") for reference in references)
    return tuple(dict.fromkeys(service for name, _, service in parts if name == node))


def _literal(title: str) -> str:
    """label_replace takes a dollar for a group of its regular expression."""
    return title.replace("$", "$$")


def _everywhere(step: str | Step) -> bool:
    return isinstance(step, Step) and step.every == "node"
