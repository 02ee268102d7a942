"""Containers: in which state they are, and what they take."""

from __future__ import annotations

from dashboards import look
from dashboards.board import Section, Tile, note
from dashboards.columns import Column
from dashboards.queries import Query, by, increase, pick, rate, top
from dashboards.view import View
from exporters.catalog import containers

# Lines of a graph: a hundred containers are no picture.
MOST = 8
STATES = {
    "running": look.GREEN,
    "created": look.GREY,
    "paused": look.YELLOW,
    "restarting": look.YELLOW,
    "removing": look.GREY,
    "exited": look.GREY,
    "dead": look.RED,
    "missing": look.RED,
}


def states(view: View) -> list[Tile]:
    house, scope = view.house, view.exporters
    current = f"{pick(containers.STATE, scope)} == 1"
    info = pick(containers.INFO, scope)
    described = f"({current}) * on (node, name) group_left (image, restart_policy) {info}"
    return [
        house.table(
            "Containers and their states",
            note(
                "Every container that Docker has, and what the inventory wants and is missing.",
                "A service is its container; exited is fine for a job that has ended.",
                "docker logs --tail 50 NAME, then docker start NAME.",
            ),
            [Query(f"{described} or on (node, name) ({current})", "", table=True)],
            [
                Column("name", "Container"),
                Column("state", "State", width=110, words=STATES),
                Column("image", "Image"),
                Column("restart_policy", "Started again", width=130),
            ],
            rows=8,
            width=14,
            sort="Container",
            descending=False,
            empty="no Docker, or the exporter may not ask it",
        ),
        house.graph(
            "Container restarts",
            note(
                "How often Docker started a container again by its policy.",
                "A container that ends soon after each start looks as if it ran.",
                "docker logs --tail 100 NAME says why it ends.",
            ),
            [Query(top(MOST, increase(containers.RESTARTS, scope)), view.name("name"))],
            "short",
            lines=MOST,
            by_node=False,
            width=10,
        ),
    ]


def use(view: View) -> list[Tile]:
    house, scope = view.house, view.exporters
    traffic = (
        f"{rate(containers.NETWORK_RECEIVE['bytes'], scope)} + {rate(containers.NETWORK_TRANSMIT['bytes'], scope)}"
    )
    return [
        house.graph(
            "Container processor",
            note(
                "Processor time of the busiest containers, 1 is one core.",
                "Which of them makes the board slow.",
                "docker update --cpus NUMBER NAME limits one.",
            ),
            [Query(top(MOST, by("node, name", "sum", rate(containers.CPU_USAGE, scope))), view.name("name"))],
            "short",
            lines=MOST,
            by_node=False,
            width=8,
        ),
        house.graph(
            "Container memory",
            note(
                "Memory of the largest containers, without the cache that the kernel gives back.",
                "At its limit a container is killed. Nothing here: the kernel does not count it (Raspberry Pi OS).",
                "docker update --memory SIZE NAME; on a Pi cgroup_enable=memory in cmdline.txt.",
            ),
            [Query(top(MOST, by("node, name", "sum", pick(containers.MEMORY_WORKING_SET, scope))), view.name("name"))],
            "bytes",
            lines=MOST,
            by_node=False,
            width=8,
        ),
        house.graph(
            "Container network",
            note(
                "Bytes in and out of the busiest containers; those in the host's network are not counted.",
                "Tells who fills the line.",
                "docker stats NAME; the gateway's own page tells which requests.",
            ),
            [Query(top(MOST, by("node, name", "sum", traffic)), view.name("name"))],
            "Bps",
            lines=MOST,
            by_node=False,
            width=8,
        ),
    ]


def section(view: View) -> Section:
    return Section("Containers", [*states(view), *use(view)], collapsed=True)
