"""Every query of the shipped dashboards as Grafana asks it: variables filled in, step chosen for a panel's width."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.dashboards.reading import panels, targets

GENERATED = Path(__file__).parents[2] / "dashboards" / "generated"
PIXELS = 1000
SCRAPE_S = 15
# Grafana's steps in seconds, each with the longest interval that becomes it (roundInterval).
ROUNDED = ((7.5, 5), (12.5, 10), (17.5, 15), (25, 20), (45, 30), (90, 60), (210, 120), (450, 300), (750, 600))


@dataclass(frozen=True, slots=True)
class Asked:
    """A query of a panel. ``instant``: asked for the end of the range only."""

    dashboard: str
    panel: str
    expr: str
    instant: bool

    @property
    def name(self) -> str:
        return f"{self.dashboard.removeprefix('tierwatch-')}: {self.panel}"


def step_seconds(range_s: float) -> int:
    """The step of a panel ``PIXELS`` wide, no shorter than the scrape interval."""
    wanted = max(range_s / PIXELS, SCRAPE_S)
    return next((step for most, step in ROUNDED if wanted <= most), 1200)


def asked(range_s: float) -> Iterator[Asked]:
    """Every distinct query in the order of dashboards and panels. The variable ``$node`` has the value the dashboard
    opens with; where that is one node, the dashboard is opened for a Pi and for a Jetson."""
    step = step_seconds(range_s)
    rate = max(step + SCRAPE_S, 4 * SCRAPE_S)
    macros = {
        "$__rate_interval": f"{rate // 60}m{rate % 60}s",
        "$__range": f"{range_s:.0f}s",
        "$__interval": f"{step}s",
    }
    seen: set[tuple[str, bool]] = set()
    for path in sorted(GENERATED.glob("*.json")):
        dashboard: dict[str, Any] = json.loads(path.read_text())
        for node in _nodes(dashboard):
            for panel in panels(dashboard):
                for target in targets(panel):
                    expr = target["expr"]
                    for name, value in {**macros, "$node": node}.items():
                        expr = expr.replace(name, value)
                    instant = bool(target["instant"])
                    if (expr, instant) not in seen:
                        seen.add((expr, instant))
                        yield Asked(path.stem, panel["title"], expr, instant)


def _nodes(dashboard: dict[str, Any]) -> list[str]:
    variables = [variable for variable in dashboard["templating"]["list"] if variable["type"] == "query"]
    if not variables:
        return [""]
    return [variables[0]["allValue"]] if variables[0]["includeAll"] else [variables[0]["current"]["value"], "AGX0"]
