"""Alerts over time, and whether the messages about them arrive."""

from __future__ import annotations

from dashboards import look, names
from dashboards.board import Tile, note
from dashboards.queries import Query, by, increase, pick
from dashboards.sections.aggregator import AGGREGATOR, ALL_TARGETS
from dashboards.view import View
from exporters.catalog.metric import Metric

LOUD = "=~critical|warning"


def over_time(view: View) -> list[Tile]:
    house = view.house
    return [
        house.graph(
            "Alerts firing",
            note(
                "Alerts that fire, by severity.",
                "Shows how noisy the cluster is, and whether the alerts are worth reading.",
                "Many of one kind: fix the cause, or change its rule in config/rules.",
            ),
            [
                Query(
                    by("severity", "count", pick(names.ALERTS, ALL_TARGETS, alertstate="firing", severity="!=none")),
                    "{{severity}}",
                )
            ],
            "short",
            lines=3,
            stack=True,
            colours=look.SEVERITY,
            decimals=0,
        ),
        house.timeline(
            "Alert history",
            note(
                "Which warning or critical alert was pending or firing when, by node.",
                "What came together usually has one cause.",
                "Start with the alert that came first.",
            ),
            [
                Query(
                    by(
                        "alertname, node",
                        "max",
                        f"{pick(names.ALERTS, ALL_TARGETS, alertstate='firing', severity=LOUD)} * 2"
                        f" or {pick(names.ALERTS, ALL_TARGETS, alertstate='pending', severity=LOUD)}",
                    ),
                    "{{node}} {{alertname}}",
                )
            ],
            (look.State(1, "pending", look.YELLOW), look.State(2, "firing", look.RED)),
            rows=8,
        ),
        house.alert_list(
            "Alerts of the data sources",
            note(
                "Grafana's own list of alerts, with what each says and what to type.",
                "The words of the alert rules, without leaving Grafana.",
                "Empty though alerts fire: switch on Manage alerts in the data source's settings.",
            ),
            width=24,
            height=8,
        ),
    ]


def notifications(view: View) -> list[Tile]:
    house = view.house

    def over(metric: Metric) -> str:
        return by("receiver", "sum", increase(metric, AGGREGATOR))

    return [
        house.graph(
            "Notifications",
            note(
                "Messages put into the outbox and messages accepted, by receiver.",
                "They belong together: what is queued must be delivered.",
                "Queued without delivered: see the failures beside this graph.",
            ),
            [
                Query(over(names.NOTIFY_QUEUED), "{{receiver}} queued"),
                Query(over(names.NOTIFY_DELIVERED), "{{receiver}} delivered"),
            ],
            "short",
            lines=4,
            by_node=False,
            width=8,
        ),
        house.graph(
            "Deliveries that failed",
            note(
                "Attempts that failed and are repeated, and messages given up.",
                "The way to the phone is closed: a wrong URL, no internet, the service is down.",
                "journalctl -u tierwatch-aggregator | grep -i notif; check the receiver's URL and the internet.",
            ),
            [
                Query(over(names.NOTIFY_FAILURES), "{{receiver}} failed"),
                Query(over(names.NOTIFY_GIVEN_UP), "{{receiver}} given up"),
            ],
            "short",
            lines=4,
            by_node=False,
            width=8,
        ),
        house.graph(
            "Messages waiting",
            note(
                "Messages in the outbox, by receiver.",
                "They survive a restart and are tried again until they are delivered.",
                "Growing: nobody is told of anything. Check the internet and the receiver.",
            ),
            [Query(pick(names.NOTIFY_WAITING, AGGREGATOR), "{{receiver}}")],
            "short",
            lines=2,
            by_node=False,
            width=8,
        ),
    ]
