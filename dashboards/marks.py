"""What is marked on every graph: alerts while they fire, and boots."""

from __future__ import annotations

from dataclasses import dataclass

from dashboards import look, names
from dashboards.look import Json
from dashboards.queries import Scope, pick
from exporters.catalog.host import BOOT_TIME, TIME

# A boot is marked while it is younger than this many seconds: longer than the step of the marks on a week's graph.
FRESH_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Mark:
    """``expr``: has a value while the mark holds. ``tags``: labels shown with it."""

    name: str
    expr: str
    title: str
    text: str
    tags: str
    colour: str


def marks(scope: Scope) -> tuple[Mark, ...]:
    """The marks for the nodes of a dashboard."""
    alerts = Scope(tuple(pair for pair in scope.labels if pair[0] != "job"))
    return (
        _alerts(alerts, "critical", look.RED),
        _alerts(alerts, "warning", look.YELLOW),
        Mark(
            "Boots",
            f"{pick(TIME, scope)} - {pick(BOOT_TIME, scope)} < {FRESH_SECONDS}",
            "{{node}} booted",
            "",
            "node",
            look.BLUE,
        ),
    )


def _alerts(scope: Scope, severity: str, colour: str) -> Mark:
    expr = pick(names.ALERTS, scope, alertstate="firing", severity=severity)
    return Mark(f"Alerts: {severity}", expr, "{{alertname}}", "{{node}}", "node,severity", colour)


def annotation_queries(scope: Scope, datasource: Json) -> list[Json]:
    """Grafana's annotation queries, its own built-in one first."""
    return [
        {
            "builtIn": 1,
            "datasource": {"type": "grafana", "uid": "-- Grafana --"},
            "enable": True,
            "hide": True,
            "iconColor": "rgba(0, 211, 255, 1)",
            "name": "Annotations & Alerts",
            "type": "dashboard",
        },
        *(
            {
                "datasource": datasource,
                "enable": True,
                "hide": False,
                "iconColor": item.colour,
                "name": item.name,
                "expr": item.expr,
                "step": "30s",
                "titleFormat": item.title,
                "textFormat": item.text,
                "tagKeys": item.tags,
                "useValueForTime": False,
            }
            for item in marks(scope)
        ),
    ]
