"""One tier: what it is for comes first. What that is, its services and boards in the inventory tell."""

from __future__ import annotations

from collections.abc import Mapping

from config.cluster import Cluster, Node
from dashboards import names
from dashboards.board import Board, Section, Variable, tier_uid
from dashboards.look import node_colours
from dashboards.panels import House
from dashboards.queries import NODES, PAGES, pick
from dashboards.sections import clock, health, jetson, network, raspberrypi, services, storage, suite, vitals
from dashboards.view import View

GATEWAYS = frozenset({"nginx", "kong"})
STORES = frozenset({"postgresql", "minio", "redis"})


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
    """General first; then the work of this tier open, the rest collapsed."""
    kinds = kinds_of(view.nodes)
    monitoring, gateway = "tierwatch" in kinds, bool(GATEWAYS & kinds)
    stores, gpus = bool(STORES & kinds) and not gateway, bool(view.family("jetson"))
    pis = bool(view.family("raspberry-pi"))
    top = [health.answering(view), health.alerts_firing(view, "critical"), health.alerts_firing(view, "warning")]
    top += [health.youngest(view), *health.flow_states(view)]
    found = [Section("", [*top, health.node_timeline(view), health.alert_table(view, rows=max(3, 2 * view.count))])]
    if monitoring:
        found.append(Section("Is the watching well?", suite.at_a_glance(view)))
        found += suite.sections(view)
    found.append(Section("Nodes", [*vitals.bars(view), *vitals.graphs(view)]))
    if gateway:
        found.append(network.section(view, "Requests and network", with_traffic=False))
    if gpus:
        found.append(jetson.section_gpu(view, "GPU and memory"))
        found.append(jetson.section_power(view, collapsed=not jetson.has_power_monitor(view)))
    if stores:
        found.append(storage.section(view, wear=False))
    if pis:
        open_pis = not (gateway or stores or monitoring)
        found.append(raspberrypi.section(view, collapsed=not open_pis))
    # Where there is much to see of the watching itself, the states of its services are on the overview.
    found.append(services.section(view, collapsed=monitoring))
    if gpus:
        found.append(jetson.section_engines(view))
    found.append(vitals.pressure(view))
    if stores:
        found.append(storage.section_health(view))
    else:
        found.append(storage.section(view, collapsed=True))
    if not gateway:
        found.append(network.section(view, collapsed=True, with_traffic=False))
    found.append(clock.section(view))
    return found


def kinds_of(nodes: Mapping[str, Node]) -> set[str]:
    return {service.kind for node in nodes.values() for service in node.services.values()}
