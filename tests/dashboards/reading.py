"""Reading generated dashboards in tests: panels, queries, variables filled in as Grafana does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from config.cluster import Cluster
from dashboards.build import files

Json = dict[str, Any]
MACROS = {
    "$__rate_interval": "1m0s",
    "$__range": "600s",
    "$__interval": "15s",
    "${__rate_interval}": "1m0s",
}


def dashboards(cluster: Cluster) -> dict[str, Json]:
    """uid -> dashboard."""
    return {name.removesuffix(".json"): json.loads(text) for name, text in files(cluster).items()}


def panels(dashboard: Json) -> Iterator[Json]:
    """Every panel, those of collapsed rows too; rows are left out."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def rows(dashboard: Json) -> list[Json]:
    return [panel for panel in dashboard["panels"] if panel["type"] == "row"]


def targets(panel: Json) -> list[Json]:
    found: list[Json] = panel.get("targets", [])
    return found


def expressions(dashboard: Json) -> Iterator[tuple[str, str]]:
    """(where, PromQL as written) of every panel, annotation and variable."""
    for panel in panels(dashboard):
        for target in targets(panel):
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for annotation in dashboard["annotations"]["list"]:
        if "expr" in annotation:
            yield annotation["name"], annotation["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], label_values(variable)[0]


def label_values(variable: Json) -> tuple[str, str]:
    """Selector and label of ``label_values(SELECTOR, LABEL)``."""
    found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
    assert found, variable["query"]
    return found[1], found[2]


def filled(expr: str, variables: Mapping[str, str]) -> str:
    """PromQL with Grafana's own and the dashboard's variables replaced."""
    for name, value in MACROS.items():
        expr = expr.replace(name, value)
    for name, value in variables.items():
        expr = expr.replace(f"${name}", value).replace(f"${{{name}}}", value)
    assert "$" not in re.sub(r'"[^"]*"', "", expr), expr
    return expr


def legend_labels(target: Json) -> set[str]:
    return set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))
