"""A flow in PromQL against the judgement of the inventory, for every combination of nodes that are up."""

from __future__ import annotations

from itertools import product

import pytest

from alerting.promql.engine import Engine
from alerting.promql.parse import parse
from alerting.promql.value import Matrix, Vector
from config.cluster import Branch, Cluster, Flow, Step
from config.flows import Up, flow_state
from config.load import load_cluster
from dashboards import look
from dashboards.flows import flow_expr, flows_query, flows_through
from tests.config.support import SHIPPED
from tests.dashboards.clusters import NO_JETSON
from tests.support.memory_querier import MemoryQuerier

SHIPPED_CLUSTER = load_cluster(SHIPPED)
STEP_MS = 600_000  # longer than the engine looks back


def up(node: str, samples: list[tuple[int, float]], querier: MemoryQuerier) -> None:
    querier.put({"__name__": "up", "job": "node", "node": node}, samples)


def meaning(number: float) -> str:
    """The state as ``look.FLOW`` shows it."""
    found = [state for state in look.FLOW if state.value is not None and state.value <= number <= (state.upto or 0)]
    return {"works": "ok"}.get(found[0].text, found[0].text.lower()) if found else f"no state for {number}"


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
    got = [meaning(number) for _, number in series]
    flow = cluster.flows[name]
    assert got == [flow_state(flow, cluster, known(dict(zip(nodes, case, strict=True)))).state for case in cases]


def test_a_node_that_nobody_knows_makes_it_unknown() -> None:
    querier = MemoryQuerier()
    for node in ("PI51", "AGX0", "ORIN0", "PI41", "NANO", "PI31"):  # PI52 is missing
        up(node, [(0, 1.0)], querier)
    flow = SHIPPED_CLUSTER.flows["images"]
    value = Engine(querier).instant(parse(flow_expr(flow, SHIPPED_CLUSTER)), 0).value
    assert isinstance(value, Vector)
    assert [meaning(number) for _, number in value] == ["unknown"]


@pytest.mark.parametrize("percent", [1, 50, 99])
@pytest.mark.parametrize(("level", "state"), [(0.0, "degraded"), (1.0, "unknown"), (2.0, "ok"), (3.0, "ok")])
def test_a_part_of_the_ways_counts_however_small(percent: int, level: float, state: str) -> None:
    branches = (Branch(percent=percent, steps=("web-1/a",)), Branch(percent=100 - percent, steps=("db_1/b",)))
    flow = Flow(title="Split", steps=("web-1/nginx", Step(split=branches)))
    querier = MemoryQuerier()
    for node in NO_JETSON.nodes:
        up(node, [(0, 1.0)], querier)
    querier.put({"__name__": "service:state:min", "node": "web-1", "service": "a"}, [(0, level)])
    value = Engine(querier).instant(parse(flow_expr(flow, NO_JETSON)), 0).value
    assert isinstance(value, Vector)
    assert [meaning(number) for _, number in value] == [state]


def test_nothing_known_at_all_is_unknown() -> None:
    for name, flow in SHIPPED_CLUSTER.flows.items():
        value = Engine(MemoryQuerier()).instant(parse(flow_expr(flow, SHIPPED_CLUSTER)), 0).value
        assert isinstance(value, Vector)
        assert [meaning(number) for _, number in value] == ["unknown"], name


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
