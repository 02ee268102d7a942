"""One node, chosen above: general to detail, for Raspberry Pi and Jetson alike."""

from __future__ import annotations

from config.cluster import Cluster
from dashboards import look, names
from dashboards.board import NODE_UID, Board, Section, Tile, Variable, note
from dashboards.columns import Column
from dashboards.look import node_colours
from dashboards.panels import House
from dashboards.queries import NODES, PAGES, Query, pick, top
from dashboards.sections import (
    clock,
    containers,
    gateway,
    health,
    jetson,
    kernel,
    network,
    nvidia,
    raspberrypi,
    services,
    storage,
    units,
    vitals,
)
from dashboards.view import View
from exporters.catalog import board as readings
from exporters.catalog import own
from exporters.catalog.host import OS_INFO, UNAME_INFO

CHOSEN = "$node"


def build(cluster: Cluster) -> Board:
    view = View(
        House(node_colours(cluster.nodes)),
        cluster,
        cluster.nodes,
        NODES.where(node=CHOSEN),
        PAGES.where(node=CHOSEN),
        single=True,
    )
    top = [state(view), health.alerts_firing(view, "critical"), health.alerts_firing(view, "warning")]
    top += [health.youngest(view), health.newest_reading(view)]
    general = Section("", [*top, *vitals.bars(view), health.node_timeline(view), health.alert_table(view, rows=3)])
    basics = [vitals.processor_modes(view), *vitals.graphs(view)[1:], *storage.space(view)]
    sections = [general]
    if states := services.states(view):
        sections.append(Section("Services", states))
    sections.append(Section("Over time", basics))
    if services.count_of(view):
        sections.append(Section("Services in detail", services.answers(view), collapsed=True))
    sections += [containers.section(view), units.section(view), gateway.section_audit(view)]
    if view.family("jetson"):
        sections.append(jetson.section_gpu(view, "Jetson: GPU and memory", collapsed=True, bars=False))
        sections.append(jetson.section_power(view, "Jetson: power, heat, fan", collapsed=True))
        sections.append(jetson.section_engines(view, "Jetson: engines and sources"))
    if view.family("raspberry-pi"):
        sections.append(raspberrypi.section(view, collapsed=True))
    if view.family("generic"):
        sections.append(nvidia.section(view))
    disks = Section("Disks", [storage.table(view), *storage.work(view), *storage.health(view)], collapsed=True)
    sections += [disks, network.section(view, collapsed=True, with_traffic=False)]
    sections += [vitals.pressure(view), kernel.section(view), clock.section(view)]
    sections.append(Section("Exporter and identity", [*identity(view), *collectors(view)], collapsed=True))
    return Board(
        NODE_UID,
        "Node detail",
        "One board from general to detail: state, use, heat, disks, network, what its hardware tells, its exporter.",
        ["tierwatch", "node"],
        sections,
        Variable(f"label_values({pick(names.UP)}, node)", many=False, first=next(iter(cluster.nodes), "")),
        scope=NODES.where(node=CHOSEN),
    )


def state(view: View) -> Tile:
    return view.house.stat(
        "State",
        note(
            "Whether the node's exporter answered the last scrape.",
            "When it is down, everything below is old.",
            "Ping it; no answer: power and cable. Answer: sudo systemctl restart tierwatch-exporter.",
        ),
        [Query(pick(names.UP, view.exporters), "")],
        states=look.UP,
    )


def identity(view: View) -> list[Tile]:
    scope, house = view.exporters, view.house
    why = "Tells whether the inventory and the board agree, and what was updated when."
    return [
        house.table(
            "Board",
            note("What the board says of itself.", why, "A wrong board: correct it in cluster.yaml."),
            [Query(pick(readings.BOARD_INFO, scope), "", table=True)],
            [
                Column("board", "Inventory", width=170),
                Column("model", "Model"),
                Column("soc", "Chip", width=80),
                Column("l4t", "L4T", width=70),
            ],
            width=10,
        ),
        house.table(
            "System",
            note("Kernel of the node.", why, "Old: sudo apt update && sudo apt upgrade, when it suits."),
            [Query(pick(UNAME_INFO, scope), "", table=True)],
            [Column("nodename", "Host name"), Column("release", "Kernel"), Column("machine", "Machine", width=90)],
            width=8,
        ),
        house.table(
            "Operating system",
            note("Distribution of the node.", why, "Without support: plan an upgrade."),
            [Query(pick(OS_INFO, scope), "", table=True)],
            [Column("pretty_name", "System"), Column("version_id", "Version", width=90)],
            width=6,
        ),
    ]


def collectors(view: View) -> list[Tile]:
    scope, house = view.exporters, view.house
    return [
        house.graph(
            "Slowest readings",
            note(
                "The slowest collectors of this node's exporter.",
                "All share 2 s; then their readings are given up.",
                "Look at what they read: a mount, Docker, tegrastats.",
            ),
            [Query(top(8, pick(own.COLLECTOR_DURATION, scope)), "{{collector}}")],
            "s",
            lines=8,
            by_node=False,
        ),
        house.graph(
            "Scrape time",
            note(
                "How long reading this node's exporter took.",
                "At 4 s the node counts as down.",
                "See which reading is slow beside this graph.",
            ),
            [Query(pick(names.SCRAPE_DURATION, scope), "scrape")],
            "s",
            by_node=False,
        ),
    ]
