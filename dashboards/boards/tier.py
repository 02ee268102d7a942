"""One tier: what it is for comes first. What that is, its services and boards in the inventory tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet

from config.cluster import Cluster, Node
from dashboards import names
from dashboards.board import Board, Section, Variable, tier_uid
from dashboards.look import node_colours
from dashboards.panels import House
from dashboards.queries import NODES, PAGES, pick
from dashboards.sections import (
    clock,
    containers,
    databases,
    health,
    jetson,
    kernel,
    models,
    network,
    nvidia,
    raspberrypi,
    services,
    storage,
    suite,
    units,
    upkeep,
    vitals,
)
from dashboards.sections import gateway as gate
from dashboards.view import View

GATEWAYS = frozenset({"nginx", "kong"})
MODELS = frozenset({"ollama", "comfyui"})
UPKEEP = frozenset({"backup-coordination", "configuration-management", "network-utilities"})


def build(cluster: Cluster, tier: int) -> Board:
    nodes = cluster.in_tier(tier)
    house = House(node_colours(cluster.nodes))
    chosen = NODES.where(tier=str(tier), node="=~$node")
    view = View(house, cluster, nodes, chosen, PAGES.where(tier=str(tier), node="=~$node"))
    title = cluster.tiers[tier]
    return Board(
        tier_uid(tier),
        f"Tier {tier}: {title}",
        f"{title}: {', '.join(nodes)}. Is this tier healthy, and what does its own work look like?",
        ["tierwatch", f"tier-{tier}"],
        sections(view),
        Variable(f"label_values({pick(names.UP, tier=str(tier))}, node)", many=True),
        scope=chosen,
    )


def sections(view: View) -> list[Section]:
    """Is it fine; then the work of this tier, open; all the rest collapsed, so that opening it asks little."""
    kinds = kinds_of(view.nodes)
    top = [health.answering(view), health.alerts_firing(view, "critical"), health.alerts_firing(view, "warning")]
    top += [health.youngest(view), *health.flow_states(view)]
    found = [Section("", [*top, health.node_timeline(view), health.alert_table(view, rows=max(3, 2 * view.count))])]
    if states := services.states(view):
        found.append(Section("Services", states))
    work = list(_work(view, kinds))
    found += work
    found.append(Section("Nodes", [*vitals.bars(view), *([] if work else vitals.graphs(view))]))
    if work:
        found.append(Section("Nodes over time", vitals.graphs(view), collapsed=True))
    return [*found, *_details(view, kinds)]


def _work(view: View, kinds: AbstractSet[str]) -> Iterator[Section]:
    """What this tier is for."""
    gateway = bool(GATEWAYS & kinds)
    if "tierwatch" in kinds:
        yield Section("Is the watching well?", suite.at_a_glance(view))
        yield from suite.sections(view)
        yield from upkeep.sections_network(view)
    if gateway:
        yield gate.section(view, kinds)
        yield gate.section_audit(view, collapsed=False)
    if MODELS & kinds:
        yield models.section(view, kinds)
        yield jetson.section_gpu(view, "GPU and memory", collapsed=not view.family("jetson"))
    yield from databases.sections(view, kinds, collapsed=gateway)
    if UPKEEP & kinds:
        yield upkeep.section(view, kinds)


def _details(view: View, kinds: AbstractSet[str]) -> Iterator[Section]:
    yield services.section_detail(view)
    yield containers.section(view)
    yield units.section(view)
    if view.family("jetson"):
        if not MODELS & kinds:
            yield jetson.section_gpu(view, "GPU and memory", collapsed=True)
        yield jetson.section_power(view, collapsed=True)
        yield jetson.section_engines(view)
    if view.family("raspberry-pi"):
        yield raspberrypi.section(view, collapsed=True)
    if view.family("generic"):
        yield nvidia.section(view)
    yield storage.section(view, collapsed=True)
    yield network.section(view, collapsed=True, with_traffic=False)
    if not GATEWAYS & kinds:
        yield gate.section_audit(view)
    yield vitals.pressure(view)
    yield kernel.section(view)
    yield clock.section(view)


def kinds_of(nodes: Mapping[str, Node]) -> set[str]:
    return {service.kind for node in nodes.values() for service in node.services.values()}
