"""Interfaces, connections, the connection table: what a gateway lives by."""

from __future__ import annotations

from dashboards import limits, names
from dashboards.board import Section, Tile, note
from dashboards.queries import Query, Scope, by, increase, pick, rate, ratio
from dashboards.sections.vitals import traffic
from dashboards.view import View
from exporters.catalog.metric import Metric
from exporters.catalog.network import (
    CLASS_ATTRIBUTES,
    CONNTRACK_ENTRIES,
    CONNTRACK_LIMIT,
    netstat_field,
    sockstat_field,
)

PHYSICAL = "=~(eth|en|wl).*"


def both_ways(kind: str, scope: Scope) -> str:
    """A statistic of physical interfaces, in and out, a second and node."""
    return by(
        "node",
        "sum",
        f"{rate(names.network(f'receive_{kind}_total'), scope, device=PHYSICAL)}"
        f" + {rate(names.network(f'transmit_{kind}_total'), scope, device=PHYSICAL)}",
    )


def packets(view: View) -> list[Tile]:
    house, scope = view.house, view.exporters

    def lost(kind: str) -> str:
        return ratio(both_ways(kind, scope), both_ways("packets", scope))

    return [
        house.graph(
            "Broken and dropped packets",
            note(
                "Share of the packets that arrived broken or were dropped, both directions.",
                "Broken is the cable or the port; dropped is a board that cannot keep up.",
                "Above 1 % broken: change the cable. On the node: sudo ethtool -S eth0 | grep -iE 'err|crc'.",
            ),
            [
                Query(lost("errs"), view.name() + " broken" if not view.single else "broken"),
                Query(lost("drop"), view.name() + " dropped" if not view.single else "dropped"),
            ],
            "percentunit",
            lines=2 * view.count,
            by_node=False,
        ),
        house.graph(
            "Link changes",
            note(
                "How often the link of a physical interface came or went.",
                "Anything but 0 is a loose plug, a bad cable, or somebody at the switch.",
                "Check plug and switch port; on the node: sudo dmesg -T | grep eth0 | tail.",
            ),
            [Query(by("node", "sum", increase(CLASS_ATTRIBUTES["carrier_changes"], scope, device=PHYSICAL)))],
            "short",
            lines=view.count,
        ),
    ]


def connections(view: View) -> list[Tile]:
    """TCP as a gateway sees it."""
    house, scope = view.house, view.exporters

    def label(text: str) -> str:
        return text if view.single else f"{view.name()} {text}"

    def tcp(field: str) -> Metric:
        return netstat_field(field)

    return [
        house.graph(
            "Open connections",
            note(
                "TCP connections that are established, and those that wait to be forgotten.",
                "The number of clients and of service calls in flight.",
                "Growing without end: a service does not close its connections. On the node: ss -s.",
            ),
            [
                Query(pick(tcp("Tcp_CurrEstab"), scope), label("established")),
                Query(pick(sockstat_field("TCP_tw"), scope), label("closing")),
            ],
            "short",
            lines=2 * view.count,
            by_node=False,
        ),
        house.graph(
            "New connections",
            note(
                "Connections a second that were accepted, and that this node opened.",
                "The request rate as TCP sees it; a proxy opens about as many as it accepts.",
                "Accepted without opened on a gateway: requests do not reach their services.",
            ),
            [
                Query(rate(tcp("Tcp_PassiveOpens"), scope), label("accepted")),
                Query(rate(tcp("Tcp_ActiveOpens"), scope), label("opened")),
            ],
            "ops",
            lines=2 * view.count,
            by_node=False,
        ),
        house.graph(
            "Trouble on connections",
            note(
                "A second: segments sent again, connections refused for a full queue, resets sent.",
                "Sent again: a lossy network. Refused: a service that does not accept fast enough.",
                "Refused: is the service overloaded or hanging? Resets: does it listen at all?",
            ),
            [
                Query(rate(tcp("Tcp_RetransSegs"), scope), label("sent again")),
                Query(rate(tcp("TcpExt_ListenOverflows"), scope), label("refused")),
                Query(rate(tcp("Tcp_OutRsts"), scope), label("resets")),
            ],
            "ops",
            lines=3 * view.count,
            by_node=False,
        ),
        house.graph(
            "Connection table",
            note(
                "Share of the kernel's connection tracking table in use.",
                "New connections fail when it is full: for containers, and on a router for everybody.",
                "Dashed: ConntrackAlmostFull. sudo sysctl net.netfilter.nf_conntrack_max=131072.",
            ),
            [Query(ratio(pick(CONNTRACK_ENTRIES, scope), pick(CONNTRACK_LIMIT, scope)), view.name())],
            "percentunit",
            lines=view.count,
            high=1,
            limit=limits.CONNTRACK,
        ),
    ]


def section(view: View, title: str = "Network", *, collapsed: bool = False, with_traffic: bool = True) -> Section:
    tiles = [*([traffic(view)] if with_traffic else []), *packets(view), *connections(view)]
    return Section(title, tiles, collapsed=collapsed)
