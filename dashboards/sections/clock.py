"""Clocks: boards without a battery have the right time only while somebody tells them."""

from __future__ import annotations

from dashboards import limits, look
from dashboards.board import Section, note
from dashboards.queries import Query, pick
from dashboards.view import View
from exporters.catalog.clock import MAXERROR, SYNC_STATUS
from exporters.catalog.host import TIME


def section(view: View, title: str = "Clock", *, collapsed: bool = True) -> Section:
    house, scope, count = view.house, view.exporters, view.count
    now = pick(TIME, scope)
    tiles = [
        house.timeline(
            "Clock kept by a time server",
            note(
                "Whether the kernel says that something keeps its clock right.",
                "These boards have no battery clock: after a power cut the time is wrong, and logins fail.",
                "timedatectl timesync-status; sudo systemctl restart systemd-timesyncd.",
            ),
            [Query(pick(SYNC_STATUS, scope))],
            look.YES_IS_GOOD,
            rows=count,
            width=8,
        ),
        house.graph(
            "Clock against the monitoring node",
            note(
                "Difference between each node's clock and the monitoring node's at the time of the scrape.",
                "Logs and certificates need seconds. A scrape alone explains up to three.",
                "Dashed: ClockSkew. When every node is off, the monitoring node is wrong.",
            ),
            [Query(f"{now} - timestamp({now})")],
            "s",
            lines=count,
            low=None,
            limit=limits.CLOCK_SKEW,
            width=8,
        ),
        house.graph(
            "Largest possible error",
            note(
                "The kernel's bound of its clock's error; it grows while no server answers, up to 16 s.",
                "Tells for how long nobody has set the clock.",
                "16 s for long (ClockUnsynced): is a time server reachable from the node?",
            ),
            [Query(pick(MAXERROR, scope))],
            "s",
            lines=count,
            width=8,
        ),
    ]
    return Section(title, tiles, collapsed=collapsed)
