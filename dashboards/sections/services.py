"""What runs on the nodes in view: the inventory in words, and the pages that services serve themselves."""

from __future__ import annotations

from dashboards import limits, look, names
from dashboards.board import Section, Tile, note
from dashboards.columns import Column
from dashboards.panels import node_link
from dashboards.queries import Query, increase, pick, rate, top
from dashboards.view import View
from exporters.catalog import own
from exporters.catalog import services as catalog

GIBI = 1024**3


def inventory(view: View) -> Tile:
    """Nodes and services of the inventory as a table in words."""
    lines = ["| Node | Board | Role | Memory | Service | Ports |", "|---|---|---|---|---|---|"]
    for name, node in view.nodes.items():
        head = f"**{name}** {node.address} | {node.board} | {node.role} | {node.memory / GIBI:.0f} GiB"
        services = [
            f"{service.title or key} | {', '.join(str(port) for port in service.all_ports())}"
            for key, service in node.services.items()
        ]
        for index, service in enumerate(services or ["none |"]):
            lines.append(f"| {head if index == 0 else ' | | | '} | {service} |")
    return view.house.text(
        "Inventory",
        note(
            "The nodes and services of cluster.yaml when these dashboards were made.",
            "Says what people lose when a node here is down.",
            "Wrong: correct cluster.yaml and build the dashboards again.",
        ),
        "\n".join(lines),
        height=max(5, round(2.4 + 0.75 * len(lines))),
    )


def count_of(view: View) -> int:
    """How many services of the nodes in view somebody can watch."""
    services = [service for node in view.nodes.values() for service in node.services.values()]
    watched = [one for one in services if one.asked() or one.container or one.unit or one.metrics is not None]
    return len(watched) if not view.single else min(len(watched), 5)


def states(view: View) -> list[Tile]:
    """How the services in view are, and why; none: no panels."""
    count = count_of(view)
    if not count:
        return []
    return [
        view.house.timeline(
            "Services",
            note(
                "What is known of each service: its probe, its container or unit, its own page; the worst of them.",
                "Up, only part of its work, down, or nobody knows (its node is down, or its probe cannot tell).",
                "The table of problems says why; the alert of the service says what to do.",
            ),
            [Query(pick(names.SERVICE_STATE, view.places), view.name("service"))],
            look.SERVICE,
            rows=count,
            width=14,
        ),
        problems(view),
    ]


def problems(view: View) -> Tile:
    return view.house.table(
        "Services not simply up",
        note(
            "Why a service is degraded, down or unknown, or what its probe could not see.",
            "The reason is often the whole answer.",
            "The alert of the service says what to do; wants credentials: give its probe a user (cluster.yaml).",
        ),
        [Query(f"{pick(catalog.PROBLEM, view.exporters)} == 1", "", table=True)],
        [
            *([] if view.single else [Column("node", "Node", width=90, link=node_link("${__data.fields.Node}"))]),
            Column("service", "Service", width=110),
            Column("reason", "Why"),
        ],
        rows=5,
        width=10,
        sort="Service" if view.single else "Node",
        descending=False,
        empty="none",
    )


def answers(view: View) -> list[Tile]:
    """How long probes took, and how often states changed."""
    count = count_of(view)
    if not count:
        return []
    house, legend = view.house, view.name("service")
    return [
        house.graph(
            "Time to answer",
            note(
                "How long each check of a service took.",
                "Milliseconds are usual; more means that people wait too. Pings and files take their time.",
                "Dashed: ServiceSlow. uptime on the node; look for swapping and for a busy disk.",
            ),
            [Query(pick(catalog.PROBE_DURATION, view.exporters), legend)],
            "s",
            lines=count,
            limit=limits.ANSWER,
            by_node=False,
        ),
        house.graph(
            "Changes of state",
            note(
                "How often each service became another: up, degraded, down, unknown.",
                "A service that comes and goes is worse than its state at this moment says.",
                "journalctl or docker logs of the service at the time of the changes.",
            ),
            [Query(top(8, increase(catalog.CHANGES, view.exporters)), legend)],
            "short",
            lines=8,
            by_node=False,
        ),
    ]


def pages(view: View) -> list[Tile]:
    """Services with a Prometheus page of their own, as the inventory names them; none: no panels."""
    house, scope = view.house, view.pages
    count = sum(service.metrics is not None for node in view.nodes.values() for service in node.services.values())
    if not count:
        return []
    legend = "{{node}} {{service}}"
    return [
        house.timeline(
            "Service pages",
            note(
                "Whether each service that serves its own Prometheus page answered.",
                "A service can be down while its node is up.",
                "docker ps -a on the node; docker logs --tail 50 NAME.",
            ),
            [Query(pick(names.UP, scope), legend)],
            look.UP,
            rows=count,
            width=8,
        ),
        house.graph(
            "Service memory",
            note(
                "Resident memory of the services that tell it.",
                "A line that only climbs is a leak.",
                "Restart the service; give its container a limit.",
            ),
            [Query(pick(own.PROCESS_RESIDENT, scope), legend)],
            "bytes",
            lines=count,
            by_node=False,
            width=8,
        ),
        house.graph(
            "Service processor time",
            note(
                "Share of one core that each service uses, where it tells.",
                "Shows which of a node's services does the work.",
                "Busy without a reason: docker logs --tail 50 NAME.",
            ),
            [Query(rate(own.PROCESS_CPU, scope), legend)],
            "percentunit",
            lines=count,
            by_node=False,
            width=8,
        ),
    ]


def section_detail(view: View) -> Section:
    """What the states do not tell: how long answers take, the pages of services, the inventory."""
    return Section("Services in detail", [*answers(view), *pages(view), inventory(view)], collapsed=True)
