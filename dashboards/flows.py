"""A request flow as PromQL: the share of its ways that are open, 1 all, 0 none, nothing when a node is unknown.

The same judgement as ``config.flows.flow_state`` makes of nodes: works, degraded and broken are 1, between, and 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from config.cluster import Cluster, Flow, Step
from dashboards import names
from dashboards.queries import Query, named, pick, regex


def flows_query(flows: Mapping[str, Flow], cluster: Cluster) -> Query:
    """One series a flow, named by its title."""
    return Query(named("flow", {_literal(flow.title): flow_expr(flow, cluster) for flow in flows.values()}), "{{flow}}")


def flow_expr(flow: Flow, cluster: Cluster) -> str:
    """The value of one flow, without labels."""
    chain = _nodes(step for step in flow.steps if isinstance(step, str))
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
        return _known("avg", tuple(cluster.nodes))
    parts = [f"{branch.percent / 100:g} * ({_chain(_nodes(branch.steps))})" for branch in step.split]
    return " + ".join(parts)


def _chain(nodes: Sequence[str]) -> str:
    return _known("min", nodes)


def _known(operator: str, nodes: Sequence[str]) -> str:
    """An aggregate of ``up`` that is there only when every node has an answer."""
    up = pick(names.UP, node=regex(nodes))
    return f"{operator}({up}) and count({up}) == {len(nodes)}"


def _nodes(references: Iterable[str]) -> tuple[str, ...]:
    """The nodes of ``NODE/service`` references, each once, in order."""
    return tuple(dict.fromkeys(reference.partition("/")[0] for reference in references))


def _literal(title: str) -> str:
    """label_replace takes a dollar for a group of its regular expression."""
    return title.replace("$", "$$")


def _everywhere(step: str | Step) -> bool:
    return isinstance(step, Step) and step.every == "node"
