"""The whole cluster on one page: is it fine, can people use it, which tier and which node is it not?"""

from __future__ import annotations

from config.cluster import Cluster
from dashboards import limits, look, names
from dashboards.board import OVERVIEW_UID, Board, Section, Tile, note, tier_uid
from dashboards.columns import Column
from dashboards.look import node_colours
from dashboards.panels import House, node_link
from dashboards.queries import NODES, Query, by, pick
from dashboards.sections import health, jetson, services, storage, vitals
from dashboards.view import View
from exporters.catalog.host import BOOT_TIME, TIME


def build(cluster: Cluster) -> Board:
    view = View(House(node_colours(cluster.nodes)), cluster, cluster.nodes)
    top = [
        health.answering(view),
        health.alerts_firing(view, "critical"),
        health.alerts_firing(view, "warning"),
        health.youngest(view),
        health.newest_reading(view),
    ]
    states = [health.node_timeline(view, width=12)]
    if cluster.flows:
        states.append(health.flow_timeline(view, width=12))
    sections = [
        Section("", [*top, *tiers(view), *health.flow_states(view, width=12)]),
        Section("Now", [*states, node_table(view)]),
        Section("Alerts", [health.alert_table(view, width=24, rows=6)]),
        Section("Last hours", vitals.graphs(view)),
    ]
    if states_of_services := services.states(view):
        sections.insert(2, Section("Services", states_of_services))
    if view.family("jetson"):
        sections.append(jetson.section_gpu(view, "GPU", collapsed=True, bars=False))
    sections += [vitals.pressure(view), storage.section(view, collapsed=True, wear=False)]
    sections.append(Section("Inventory", [services.inventory(view)], collapsed=True))
    return Board(
        OVERVIEW_UID,
        f"Cluster overview: {cluster.cluster}",
        "All nodes, tiers and request flows at a glance. Start here; every tier and every node leads further.",
        ["tierwatch", "cluster"],
        sections,
        since="now-3h",
    )


def tiers(view: View) -> list[Tile]:
    """One field a tier: the share of its nodes that answer."""
    # The field's name is the tier's number: the words come from an override, the link needs the number.
    words = {
        str(tier): f"{tier} {title}" for tier, title in sorted(view.cluster.tiers.items()) if view.cluster.in_tier(tier)
    }
    # One selector would give the tiers in any order; "or" keeps the order it is written in.
    query = Query(" or ".join(by("tier", "avg", pick(names.UP, tier=tier)) for tier in words), "{{tier}}")
    link = f"/d/{tier_uid('${__field.labels.tier}')}?${{datasource:queryparam}}&${{__url_time_range}}"
    tile = view.house.stat(
        "Tiers",
        note(
            "Each tier by its nodes: all up, some missing, all down.",
            "Leads to the tier where it is not fine.",
            "Click a tier for its dashboard.",
        ),
        [query],
        states=look.TIER,
        words=words,
        width=12,
        link=link,
    )
    return [tile]


def node_table(view: View) -> Tile:
    """One line a node. A node that is gone keeps its line: state, and when it was seen."""
    up = pick(names.UP, NODES)
    # The steps of a subquery are whole minutes: exact for those that answer now, near enough for those gone.
    exact, gone = f"time() - timestamp({up}) and {up} == 1", f"time() - max_over_time(timestamp({up} == 1)[6h:1m])"
    keep = "max by (node, tier, board) "
    queries = [
        keep + f"({up})",
        f"max by (node) ({pick(TIME)} - {pick(BOOT_TIME)})",
        f"max by (node) ({pick(names.CPU_UTILIZATION)})",
        f"max by (node) ({pick(names.MEMORY_USED)})",
        f"max by (node) ({pick(names.FILESYSTEM_USED)})",
        f"max by (node) ({pick(names.TEMPERATURE)})",
        f"count by (node) ({pick(names.ALERTS, alertstate='firing', severity='=~critical|warning')})",
        f"min by (node) ({exact} or {gone})",
    ]
    columns = [
        Column("node", "Node", width=90, link=node_link("${__value.text}")),
        Column("tier", "Tier", width=60),
        Column("board", "Board", width=190),
        Column("Value #A", "State", width=80, states=look.UP),
        Column("Value #B", "Uptime", "dtdurations", width=150),
        Column("Value #C", "Processor", "percentunit", bar=True, decimals=0),
        Column("Value #D", "Memory", "percentunit", bar=True, limit=limits.MEMORY, decimals=0),
        Column("Value #E", "Fullest disk", "percentunit", bar=True, limit=limits.FILESYSTEM, decimals=0),
        Column("Value #F", "Hottest", "celsius", width=90, decimals=0),
        Column("Value #G", "Alerts", width=80, limit=limits.ANY_WARNING),
        Column("Value #H", "Seen", "s", width=90, decimals=0),
    ]
    return view.house.table(
        "Nodes",
        note(
            "One line a node: state, uptime, use, alerts, and how long ago it last answered (within six hours).",
            "The quickest way from a symptom to the node.",
            "Click a node's name for its own dashboard.",
        ),
        [Query(expr, "", table=True) for expr in queries],
        columns,
        rows=len(view.nodes),
        sort="Tier",
        descending=False,
    )
