"""What runs on the nodes in view: the inventory in words, and the pages that services serve themselves."""

from __future__ import annotations

from dashboards import look, names
from dashboards.board import Section, Tile, note
from dashboards.queries import Query, pick, rate
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


def states(view: View, width: int = 12) -> list[Tile]:
    """How the services in view are, and how long their probes took; none: no panels."""
    count = sum(service.asked() for node in view.nodes.values() for service in node.services.values())
    if not count:
        return []
    house, legend = view.house, view.name("service")
    return [
        house.timeline(
            "Services",
            note(
                "What is known of each service: its probe, its container or unit, its own page; the worst of them.",
                "Up, only part of its work, down, or nobody knows (its node is down, or its probe cannot tell).",
                "The table of problems says why; the alert of the service says what to do.",
            ),
            [Query(pick(names.SERVICE_STATE, view.places), legend)],
            look.SERVICE,
            rows=count,
            width=width,
        ),
        house.graph(
            "Time to answer",
            note(
                "How long each check of a service took.",
                "Milliseconds are usual; more means that people wait too.",
                "uptime on the node; look for swapping and for a busy disk.",
            ),
            [Query(pick(catalog.PROBE_DURATION, view.exporters), legend)],
            "s",
            lines=count,
            by_node=False,
            width=width,
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


def section(view: View, title: str = "Services", *, collapsed: bool = False) -> Section:
    return Section(title, [*states(view), *pages(view), inventory(view)], collapsed=collapsed)
