"""A flow in PromQL against the judgement of the inventory, for every combination of nodes that are up."""

from __future__ import annotations

from itertools import product

import pytest

from alerting.promql.engine import Engine
from alerting.promql.parse import parse
from alerting.promql.value import Matrix, Vector
from config.cluster import Cluster
from config.flows import Up, flow_state
from config.load import load_cluster
from dashboards.flows import flow_expr, flows_query, flows_through
from tests.config.support import SHIPPED
from tests.dashboards.clusters import NO_JETSON
from tests.support.memory_querier import MemoryQuerier

SHIPPED_CLUSTER = load_cluster(SHIPPED)
STEP_MS = 600_000  # longer than the engine looks back
MEANING = {1.0: "ok", 0.0: "broken"}


def up(node: str, samples: list[tuple[int, float]], querier: MemoryQuerier) -> None:
    querier.put({"__name__": "up", "job": "node", "node": node}, samples)


def known(alive: dict[str, bool]) -> Up:
    """Whether a service answers, by its node."""
    return lambda reference: alive[reference.partition("/")[0]]


@pytest.mark.parametrize(
    ("cluster", "name"),
    [(cluster, name) for cluster in (SHIPPED_CLUSTER, NO_JETSON) for name in cluster.flows],
    ids=lambda value: value if isinstance(value, str) else value.cluster,
)
def test_agrees_with_the_inventory(cluster: Cluster, name: str) -> None:
    nodes = list(cluster.nodes)
    cases = list(product((True, False), repeat=len(nodes)))
    querier = MemoryQuerier()
    for index, node in enumerate(nodes):
        up(node, [(STEP_MS * number, float(case[index])) for number, case in enumerate(cases)], querier)
    expr = parse(flow_expr(cluster.flows[name], cluster))
    value = Engine(querier).range(expr, 0, STEP_MS * (len(cases) - 1), STEP_MS).value
    assert isinstance(value, Matrix)
    (series,) = value.series
    got = [MEANING.get(round(number, 9), "degraded") for _, number in series]
    flow = cluster.flows[name]
    assert got == [flow_state(flow, cluster, known(dict(zip(nodes, case, strict=True)))).state for case in cases]


def test_a_node_that_nobody_knows_makes_it_unknown() -> None:
    querier = MemoryQuerier()
    for node in ("PI51", "AGX0", "ORIN0", "PI41", "NANO", "PI31"):  # PI52 is missing
        up(node, [(0, 1.0)], querier)
    flow = SHIPPED_CLUSTER.flows["images"]
    value = Engine(querier).instant(parse(flow_expr(flow, SHIPPED_CLUSTER)), 0).value
    assert isinstance(value, Vector)
    assert len(value) == 0


def test_each_flow_has_its_title() -> None:
    querier = MemoryQuerier()
    for node in NO_JETSON.nodes:
        up(node, [(0, 1.0)], querier)
    query = flows_query(NO_JETSON.flows, NO_JETSON)
    value = Engine(querier).instant(parse(query.expr), 0).value
    assert isinstance(value, Vector)
    assert [(labels.get("flow"), number) for labels, number in value] == [('The $1 "site"', 1.0)]


def test_flows_through_a_tier() -> None:
    assert list(flows_through(SHIPPED_CLUSTER, ["AGX0"])) == ["chat", "code", "monitoring"]
    assert list(flows_through(SHIPPED_CLUSTER, ["PI31"])) == ["monitoring"]
