"""The first line of a dashboard: is it fine? And who does not answer, what fires."""

from __future__ import annotations

from dashboards import look, names
from dashboards.board import Tile, note
from dashboards.columns import Column
from dashboards.flows import flows_query, flows_through
from dashboards.panels import node_link
from dashboards.queries import Query, Scope, pick, total
from dashboards.view import View
from exporters.catalog.host import BOOT_TIME, TIME

UPTIME_YELLOW_BELOW = 600.0  # seconds: as long as NodeRebooted tells of a boot


# Alerts in a table are sorted by these.
RANKS = (
    look.State(3, "critical", look.RED),
    look.State(2, "warning", look.YELLOW),
    look.State(1, "info", look.BLUE),
)


def answering(view: View) -> Tile:
    """How many nodes answer."""
    count = len(view.nodes)
    up = pick(names.UP, view.exporters)
    return view.house.stat(
        "Nodes answering",
        note(
            f"Nodes whose exporter was read at the last scrape; {count} in the inventory.",
            "Everything else on this dashboard is only as complete as this number.",
            "The node timeline below shows who is missing since when; ping it, check power and cable.",
        ),
        [Query(total("sum", up), "")],
        steps=[(look.RED, None), *([(look.YELLOW, 1.0)] if count > 1 else []), (look.GREEN, float(count))],
    )


def alerts_firing(view: View, severity: str) -> Tile:
    """How many alerts of a severity fire. Without a proof that rules are evaluated there is no zero."""
    scope = view.places
    firing = pick(names.ALERTS, scope, alertstate="firing", severity=severity)
    alive = pick(names.ALERTS, Scope(), alertname="Watchdog")
    return view.house.stat(
        f"{severity.capitalize()} alerts",
        note(
            f"Alerts of severity {severity} that fire now.",
            "No data here means that no rule is evaluated, which is worse than an alert: the proof is the Watchdog"
            " alert, which always fires.",
            "Read the list of alerts below: every alert says what to type. No data: look at the aggregator's log.",
        ),
        [Query(f"count({firing}) or 0 * count({alive})", "")],
        steps=[(look.GREEN, None), (look.SEVERITY[severity], 1.0)],
    )


def youngest(view: View) -> Tile:
    """Time since the latest boot."""
    uptime = f"{pick(TIME, view.exporters)} - {pick(BOOT_TIME, view.exporters)}"
    title = "Uptime" if view.single else "Shortest uptime"
    return view.house.stat(
        title,
        note(
            "Time since the latest boot, by the node's own clock.",
            "A small number that nobody caused is a crash, a watchdog or a power supply.",
            "Compare with the boots marked on the graphs; on the node: journalctl -b -1 -n 50.",
        ),
        [Query(total("min", uptime), "")],
        "dtdurations",
        steps=[(look.YELLOW, None), (look.GREEN, UPTIME_YELLOW_BELOW)],
        spark=False,
    )


def newest_reading(view: View) -> Tile:
    """Age of the newest sample: shows a picture that stands still."""
    return view.house.stat(
        "Newest reading",
        note(
            "Age of the newest scrape of any node in view.",
            "When the aggregator stops, graphs just end and numbers stay for five minutes: this one grows.",
            "Above half a minute: is tierwatch-aggregator running on the monitoring node? Is the data source right?",
        ),
        [Query(f"time() - {total('max', f'timestamp({pick(names.UP, view.exporters)})')}", "")],
        "s",
        steps=[(look.GREEN, None), (look.YELLOW, 30.0), (look.RED, 60.0)],
        decimals=0,
        spark=False,
    )


def flow_states(view: View, *, width: int = 8) -> list[Tile]:
    """The request flows that use the nodes in view, as they are now."""
    flows = flows_through(view.cluster, view.nodes)
    if not flows:
        return []
    asked = " ".join(flow.question or f"{flow.title}?" for flow in flows.values())
    tile = view.house.stat(
        "Request flows",
        note(
            asked + " By the services and nodes on the way: works, degraded (a part of the requests has no way or takes"
            " the other), broken, unknown.",
            "This is what people notice; everything else explains it.",
            "The timelines of services and nodes show what is down on the way; bring that back.",
        ),
        [flows_query(flows, view.cluster)],
        states=look.FLOW,
        width=width,
    )
    return [tile]


def node_timeline(view: View, *, width: int = 12) -> Tile:
    return view.house.timeline(
        "Node state",
        note(
            "Whether each node's exporter answered, scrape by scrape. A gap: the aggregator did not run.",
            "Shows who went away together (switch, power) and who comes and goes (cable, Wi-Fi, supply).",
            "Click a node for its own dashboard. Down: ping it; no answer: power and cable; answer:"
            " sudo systemctl restart tierwatch-exporter there.",
        ),
        [Query(pick(names.UP, view.exporters), "{{node}}")],
        look.UP,
        rows=view.count,
        width=width,
    )


def flow_timeline(view: View, *, width: int = 12) -> Tile:
    flows = flows_through(view.cluster, view.nodes)
    return view.house.timeline(
        "Request flows over time",
        note(
            "Each request flow, judged by the services and nodes on its way, as the status page does.",
            "Tells for how long people were hit, and by which part of the cluster.",
            "Find what went down at the same time in the timelines of nodes and services.",
        ),
        [flows_query(flows, view.cluster)],
        look.FLOW,
        rows=len(flows),
        width=width,
    )


def alert_table(view: View, *, width: int = 12, rows: int = 5) -> Tile:
    scope = view.places
    weighed = [
        f"{pick(names.ALERTS, scope, severity=rank.text)} * {rank.value:g}" for rank in RANKS if rank.value is not None
    ]
    return view.house.table(
        "Alerts now",
        note(
            "Alerts that fire or wait to fire (pending), the newest evaluation.",
            "The same alerts that go to the phone, and those of severity info that do not.",
            "Open the aggregator's page or the alert rules for what each means and what to type.",
        ),
        [Query(" or ".join(weighed), "", table=True)],
        [
            Column("alertname", "Alert"),
            Column("node", "Node", width=90, link=node_link("${__data.fields.Node}")),
            Column("Value", "Severity", width=90, states=RANKS),
            Column("alertstate", "State", width=90, words={"firing": look.ORANGE, "pending": look.GREY}),
        ],
        rows=rows,
        width=width,
        sort="Severity",
        empty="No alerts",
    )
