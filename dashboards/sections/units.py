"""systemd's units: those that the inventory names, and those in trouble."""

from __future__ import annotations

from dashboards import limits, look
from dashboards.board import Section, Tile, note
from dashboards.columns import Column
from dashboards.panels import node_link
from dashboards.queries import Query, by, increase, pick, top
from dashboards.view import View
from exporters.catalog import systemd

MOST = 8
_STATES = {
    "active": look.GREEN,
    "activating": look.YELLOW,
    "deactivating": look.YELLOW,
    "inactive": look.GREY,
    "failed": look.RED,
}


def tiles(view: View) -> list[Tile]:
    house, scope = view.house, view.exporters
    state = f"{pick(systemd.UNIT_STATE, scope)} == 1"
    described = f"({state}) * on (node, name) group_left (result) {pick(systemd.RESULT, scope)}"
    node = [] if view.single else [Column("node", "Node", width=90, link=node_link("${__data.fields.Node}"))]
    return [
        house.table(
            "Units",
            note(
                "Units that the inventory names (unit:), and others that are in trouble.",
                "activating again and again is a crash loop, which systemd never calls failed.",
                "journalctl -u NAME -n 50 on the node; sudo systemctl restart NAME.",
            ),
            [Query(f"{described} or on (node, name) ({state})", "", table=True)],
            [
                *node,
                Column("name", "Unit"),
                Column("state", "State", width=110, words=_STATES),
                Column("result", "Ended with", width=110),
            ],
            rows=6,
            width=10,
            sort="Unit",
            descending=False,
            empty="none is named, or systemd does not answer",
        ),
        house.graph(
            "Unit restarts",
            note(
                "How often systemd started a unit again.",
                "A unit that ends soon after each start looks as if it ran.",
                "journalctl -u NAME -n 100 says why it ends.",
            ),
            [Query(top(MOST, increase(systemd.RESTARTS, scope)), view.name("name"))],
            "short",
            lines=MOST,
            by_node=False,
            width=14,
        ),
        house.stat(
            "Units that failed",
            note(
                "Units that systemd has given up, also those that nobody named.",
                "A timer that failed does its work no more, and nobody notices.",
                "systemctl --failed on the node; seen to: sudo systemctl reset-failed NAME.",
            ),
            [Query(pick(systemd.FAILED, scope), "" if view.single else "{{node}}")],
            limit=limits.ANY_WARNING,
            width=6,
            height=8,
            spark=False,
        ),
        house.graph(
            "Unit memory",
            note(
                "Memory of the largest units, where systemd counts it.",
                "A line that only climbs is a leak.",
                "MemoryMax= in the unit limits it; sudo systemctl restart NAME.",
            ),
            [Query(top(MOST, pick(systemd.MEMORY, scope)), view.name("name"))],
            "bytes",
            lines=MOST,
            by_node=False,
            width=10,
        ),
        house.table(
            "Timers",
            note(
                "How long ago each timer last ran.",
                "A timer that does not run is a backup or a clean-up that is not made.",
                "systemctl list-timers; systemctl status NAME.",
            ),
            [Query(by("node, name", "min", f"time() - {pick(systemd.TIMER_LAST, scope)}"), "", table=True)],
            [*node, Column("name", "Timer"), Column("Value", "Last run, ago", "dtdurations", width=150)],
            rows=6,
            width=8,
            sort="Last run, ago",
            empty="no timer was told",
        ),
    ]


def section(view: View) -> Section:
    return Section("Units and timers", tiles(view), collapsed=True)
