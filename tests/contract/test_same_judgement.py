"""The page, the recorded states and the dashboards judge services and flows alike, whatever is seen of them."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from alerting.model.labels import Labels
from alerting.page.services import CONTAINER_QUERY, PROBE_QUERY, UNIT_QUERY, by_service
from alerting.page.status import Known, TargetHealth, build_status
from alerting.page.vitals import Figures
from alerting.promql.engine import Engine
from alerting.promql.parse import parse
from alerting.promql.value import Vector
from alerting.rules.definitions import RecordingRule
from alerting.rules.load import load_rules
from alerting.scrape.targets import NODE_JOB, targets_of
from config.load import load
from dashboards import look, names
from dashboards.flows import flow_expr
from dashboards.look import State
from tests.config.support import SHIPPED
from tests.support.memory_querier import MemoryQuerier

CONFIG = load(SHIPPED, {})
CLUSTER = CONFIG.cluster
NOW = 1_795_000_000_000
(RULE,) = (
    rule
    for group in load_rules(CONFIG.rule_paths())
    for rule in group.rules
    if isinstance(rule, RecordingRule) and rule.name == names.SERVICE_STATE.name
)
TARGETS = {
    (target.labels.get("node"), "" if target.job == NODE_JOB else target.labels.get("service")): target.labels
    for target in targets_of(CONFIG)
}
PROBED = ("up", "degraded", "down", "unknown")
UNIT = ("active", "activating", "inactive", "failed")


class Seen:
    """What the store holds at one moment, and what the aggregator knows of its targets."""

    def __init__(self) -> None:
        self.store = MemoryQuerier()
        self.targets: list[TargetHealth] = []

    def put(self, metric: str, value: float, at: int = NOW, /, **labels: str) -> None:
        self.store.put({"__name__": metric, **labels}, [(at, value)])

    def told(self, node: str, metric: str, value: float, /, **labels: str) -> None:
        """A series of a node's exporter."""
        self.put(metric, value, **TARGETS[node, ""].as_dict(), **labels)

    def scraped(self, node: str, service: str, health: str) -> None:
        """A target: a node's exporter, or a service's own page; unknown when it was never reached."""
        assert health in ("up", "down", "unknown")
        self.targets.append(TargetHealth(node, service, health))  # type: ignore[arg-type]
        if health != "unknown":
            self.store.put(TARGETS[node, service].replace(__name__="up"), [(NOW, float(health == "up"))])

    def probed(self, node: str, service: str, state: str) -> None:
        for one in PROBED:
            labels = {"service": service, "kind": "tcp", "state": one}
            self.told(node, "tierwatch_service_state", float(one == state), **labels)

    def contained(self, node: str, service: str, *, runs: bool) -> None:
        self.told(node, "tierwatch_container_wanted_up", float(runs), service=service, name=f"{service}-1")

    def unit(self, node: str, service: str, state: str, kind: str = "notify") -> None:
        name = f"{service}.service"
        self.told(node, "tierwatch_systemd_unit_wanted", float(state != "missing"), name=name, service=service)
        for one in UNIT:
            self.told(node, "node_systemd_unit_state", float(one == state), name=name, state=one, type=kind)

    def ask(self, expr: str) -> Vector:
        value = Engine(self.store).instant(parse(expr), NOW).value
        assert isinstance(value, Vector)
        return value

    def record(self) -> None:
        value = Engine(self.store).instant(RULE.expr, NOW).value
        assert isinstance(value, Vector)
        for labels, number in value:
            self.store.put(labels.merged({"__name__": RULE.name}), [(NOW, number)])

    def page(self) -> tuple[dict[tuple[str, str], str], dict[str, str]]:
        """(state of each service, state of each flow) as the page has them."""
        services = by_service(*(self.ask(query) for query in (PROBE_QUERY, CONTAINER_QUERY, UNIT_QUERY)))
        known = Known(CLUSTER, self.targets, [], {}, Figures({}, {}, {}, services), [], [])
        page = build_status(known, NOW)
        nodes = [node for tier in page["tiers"] for node in tier["nodes"]]
        chips = {(node["name"], one["name"]): one["state"] for node in nodes for one in node["services"]}
        return chips, {flow["name"]: flow["state"] for flow in page["flows"]}

    def dashboards(self) -> tuple[dict[tuple[str, str], str], dict[str, str]]:
        levels = {
            (labels.get("node"), labels.get("service")): word(look.SERVICE, number)
            for labels, number in self.ask(names.SERVICE_STATE.name)
        }
        flows = {}
        for name, flow in CLUSTER.flows.items():
            ((labels, number),) = self.ask(flow_expr(flow, CLUSTER))
            assert labels == Labels.of({})
            flows[name] = word(look.FLOW, number)
        return levels, flows


def word(states: tuple[State, ...], number: float) -> str:
    """What a panel shows for a value, in the page's word for it."""
    (found,) = (
        state.text.lower()
        for state in states
        if state.value is not None and state.value <= number <= (state.upto or state.value)
    )
    return {"works": "ok"}.get(found, found)


def places() -> Iterator[tuple[str, str]]:
    return ((name, service) for name, node in CLUSTER.nodes.items() for service in node.services)


def chance(seed: int) -> Seen:
    """Nodes and services in states by chance, most of them well, each seen in some of the ways there are."""
    rng, seen = random.Random(seed), Seen()
    lazy = 12 if seed % 2 else 40  # so that some clusters are nearly well
    health = {
        name: rng.choices(("up", "down", "unknown"), weights=(lazy, 2, 1 if seed % 3 else 0))[0]
        for name in CLUSTER.nodes
    }
    for name, state in health.items():
        seen.scraped(name, "", state)
    for name, service in places():
        if CLUSTER.nodes[name].services[service].metrics is not None:
            # Unknown is a page only until its first scrape, which leaves no series: nothing that could be compared.
            seen.scraped(name, service, rng.choices(("up", "down"), weights=(lazy, 1))[0])
        if health[name] != "up":
            continue  # what an exporter told has ended with it
        if rng.random() < 0.7:
            seen.probed(name, service, rng.choices(PROBED, weights=(lazy, 1, 1, 1))[0])
        if rng.random() < 0.3:
            seen.contained(name, service, runs=rng.random() < 0.9)
        if rng.random() < 0.3:
            kind = rng.choice(("notify", "oneshot"))
            seen.unit(name, service, rng.choices((*UNIT, "missing"), weights=(lazy, 1, 1, 1, 1))[0], kind)
    return seen


@pytest.mark.parametrize("first", range(0, 240, 40))
def test_page_and_dashboards_agree(first: int) -> None:
    met: dict[str, set[str]] = {name: set() for name in CLUSTER.flows}
    for seed in range(first, first + 40):
        seen = chance(seed)
        chips, flows = seen.page()
        seen.record()
        levels, shown = seen.dashboards()
        assert shown == flows, seed
        watched = {where: state for where, state in chips.items() if state != "unwatched"}
        down = {target.node for target in seen.targets if not target.service and target.health == "down"}
        # The page calls all services of a lost node unknown, the record those that were watched before.
        assert levels == {where: s for where, s in watched.items() if where in levels or where[0] not in down}, seed
        for name, state in flows.items():
            met[name].add(state)
    assert met["chat"] == {"ok", "degraded", "broken", "unknown"}


def test_what_was_watched_is_unknown_while_its_node_is_down() -> None:
    seen = Seen()
    seen.scraped("AGX0", "", "down")
    before = {"node": "AGX0", "tier": "2", "service": "ollama"}
    seen.put(RULE.name, 3.0, NOW - 5000, **before)
    seen.record()
    assert seen.dashboards()[0] == {("AGX0", "ollama"): "unknown"}


def test_a_node_that_answers_again_without_the_service_forgets_it() -> None:
    seen = Seen()
    seen.scraped("AGX0", "", "up")
    seen.put(RULE.name, 3.0, NOW - 5000, node="AGX0", service="ollama")
    value = Engine(seen.store).instant(RULE.expr, NOW).value
    assert isinstance(value, Vector)
    assert len(value) == 0
