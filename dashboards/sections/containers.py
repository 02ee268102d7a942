"""Containers: in which state they are, and what they take."""

from __future__ import annotations

from dashboards import limits, look
from dashboards.board import Section, Tile, note
from dashboards.columns import Column
from dashboards.queries import Query, by, increase, pick, rate, ratio, top
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
                *([] if view.single else [Column("node", "Node", width=90)]),
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


def limits_met(view: View) -> list[Tile]:
    """Where limits hold containers up, and what the disk gets of them."""
    house, scope = view.house, view.exporters
    limit = f"{pick(containers.SPEC_MEMORY_LIMIT, scope)}"
    share = by("node, name", "max", ratio(pick(containers.MEMORY_WORKING_SET, scope), limit))
    throttled = by(
        "node, name",
        "max",
        ratio(rate(containers.CFS_THROTTLED_PERIODS, scope), rate(containers.CFS_PERIODS, scope)),
    )
    disk = f"{rate(containers.FS_READ_BYTES, scope)} + {rate(containers.FS_WRITTEN_BYTES, scope)}"
    return [
        house.graph(
            "Memory of its limit",
            note(
                "Memory as a share of the container's limit; only of those that have one.",
                "At 100 % something in it is killed.",
                "Dashed: ContainerMemoryHigh. docker update --memory SIZE NAME, or find the leak.",
            ),
            [Query(top(MOST, share), view.name("name"))],
            "percentunit",
            lines=MOST,
            high=1,
            limit=limits.CONTAINER_MEMORY,
            by_node=False,
            width=8,
        ),
        house.graph(
            "Held up by its processor limit",
            note(
                "Share of time slices in which a container wanted more than its limit; only of those that have one.",
                "It answers slowly though the board is idle.",
                "Dashed: ContainerThrottled. docker update --cpus NUMBER NAME.",
            ),
            [Query(top(MOST, throttled), view.name("name"))],
            "percentunit",
            lines=MOST,
            high=1,
            limit=limits.CONTAINER_THROTTLED,
            by_node=False,
            width=8,
        ),
        house.graph(
            "Container disk",
            note(
                "Bytes a second that the busiest containers read and write.",
                "Tells who wears the card and who keeps others waiting.",
                "docker stats NAME; move its volume to a better disk.",
            ),
            [Query(top(MOST, by("node, name", "sum", disk)), view.name("name"))],
            "Bps",
            lines=MOST,
            by_node=False,
            width=8,
        ),
    ]


def source(view: View) -> list[Tile]:
    """What went wrong in containers and with Docker itself."""
    house, scope = view.house, view.exporters
    return [
        house.timeline(
            "Docker answers",
            note(
                "Whether Docker answered the exporter. No row: no Docker, or the exporter may not ask it.",
                "While it does not, nobody knows what its containers do.",
                "sudo systemctl status docker; may not ask: sudo sh deploy/install/host.sh docker.",
            ),
            [Query(pick(containers.DOCKER_UP, scope), view.name())],
            look.UP,
            rows=view.count,
            width=8,
        ),
        house.timeline(
            "Unhealthy containers",
            note(
                "Containers whose own health check says so; the others that have one are content.",
                "It runs, and does not do its work.",
                "docker inspect -f '{{json .State.Health}}' NAME; docker restart NAME.",
            ),
            [Query(pick(containers.HEALTH, scope, health="unhealthy"), view.name("name"))],
            look.YES_IS_WARNING,
            rows=4,
            width=8,
        ),
        house.graph(
            "Out of memory in containers",
            note(
                "How often the kernel killed something in a container for want of memory.",
                "A container that lives on may have lost a part of itself.",
                "docker logs --tail 50 NAME; raise its memory limit.",
            ),
            [Query(top(MOST, by("node, name", "max", increase(containers.OOM_EVENTS, scope))), view.name("name"))],
            "short",
            lines=MOST,
            by_node=False,
            width=8,
        ),
    ]


def section(view: View) -> Section:
    return Section("Containers", [*states(view), *use(view), *limits_met(view), *source(view)], collapsed=True)
