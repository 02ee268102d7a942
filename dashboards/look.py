"""One colour language for every dashboard: green fine, yellow warning, red critical, blue information, grey unknown;
a colour of its own for every node, the same everywhere."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dashboards.limits import Limit

Json = dict[str, Any]

# Words are written in them too. Grafana's own yellow has a contrast of 1.6 to 1 on the white of its light theme, its
# orange 2.6; these have 3 or more (WCAG 2.2, 1.4.11) on both themes.
GREEN, YELLOW, ORANGE, RED, BLUE, GREY = "green", "#BD8A00", "dark-orange", "red", "blue", "#808080"

# Distinct on dark and light, none of them the green, yellow or red that mean something.
_NODE_COLOURS = (
    "#5794F2",
    "#FF9830",
    "#B877D9",
    "#37C2B9",
    "#F2A6C8",
    "#C0A36E",
    "#8AB8FF",
    "#A352CC",
    "#6ED0E0",
    "#E0B400",
)


def node_colours(nodes: Iterable[str]) -> dict[str, str]:
    """Node -> colour, in the inventory's order: adding a node at the end changes no other's."""
    return {name: _node_colour(index) for index, name in enumerate(nodes)}


def _node_colour(index: int) -> str:
    if index < len(_NODE_COLOURS):
        return _NODE_COLOURS[index]
    red, green, blue = colorsys.hls_to_rgb((index * 0.61803) % 1.0, 0.65, 0.6)
    return f"#{round(red * 255):02X}{round(green * 255):02X}{round(blue * 255):02X}"


def colour_overrides(colours: Mapping[str, str]) -> list[Json]:
    """Series whose name starts with a node's get the node's colour."""
    return [
        override(starts(name), "color", {"mode": "fixed", "fixedColor": colour}) for name, colour in colours.items()
    ]


def starts(name: str) -> str:
    """Matches the names that begin with a node's."""
    return f"^{re.escape(name)}( |$)"


@dataclass(frozen=True, slots=True)
class State:
    """A value and what it means. ``value`` None: no reading. ``upto``: the end of a range that starts at ``value``."""

    value: float | None
    text: str
    colour: str
    upto: float | None = None


NO_DATA = State(None, "no data", GREY)
UP = (State(0, "DOWN", RED), State(1, "UP", GREEN), NO_DATA)
YES_IS_BAD = (State(0, "no", GREEN), State(1, "YES", RED), NO_DATA)
YES_IS_WARNING = (State(0, "no", GREEN), State(1, "yes", YELLOW), NO_DATA)
YES_IS_GOOD = (State(0, "NO", RED), State(1, "yes", GREEN), NO_DATA)
SERVICE = (
    State(0, "DOWN", RED),
    State(1, "UNKNOWN", GREY),
    State(2, "degraded", YELLOW),
    State(3, "up", GREEN),
    NO_DATA,
)
ON_OFF = (State(0, "off", GREY), State(1, "on", BLUE), NO_DATA)
# As ``flows`` computes it: a share of ways that are open, and just below all of them when a part is not known.
FLOW = (
    State(0, "BROKEN", RED),
    State(0.0001, "degraded", YELLOW, 0.9915),
    State(0.992, "UNKNOWN", GREY, 0.999997),
    State(0.999999, "works", GREEN, 1.000001),
    NO_DATA,
)
TIER = (State(0, "ALL DOWN", RED), State(0.0001, "nodes missing", YELLOW, 0.9999), State(1, "all up", GREEN), NO_DATA)
# Where processor time goes, the same on every dashboard: work blue and violet, waiting red, interrupts orange.
MODES = {
    "user": "#5794F2",
    "nice": "#8AB8FF",
    "system": "#B877D9",
    "iowait": RED,
    "irq": ORANGE,
    "softirq": YELLOW,
    "steal": GREY,
}
SEVERITY = {"critical": RED, "warning": YELLOW, "info": BLUE}


def mappings(states: Sequence[State]) -> list[Json]:
    """Grafana's value mappings."""
    found: list[Json] = []
    for index, state in enumerate(states):
        result = {"text": state.text, "color": state.colour, "index": index}
        if state.value is None:
            found.append({"type": "special", "options": {"match": "null+nan", "result": result}})
        elif state.upto is not None:
            found.append({"type": "range", "options": {"from": state.value, "to": state.upto, "result": result}})
        else:
            found.append({"type": "value", "options": {f"{state.value:g}": result}})
    return found


def text_mappings(texts: Mapping[str, str]) -> list[Json]:
    """Text -> colour, for cells that hold words."""
    options = {
        text: {"text": text, "color": colour, "index": index} for index, (text, colour) in enumerate(texts.items())
    }
    return [{"type": "value", "options": options}]


def steps(limit: Limit, base: str = GREEN) -> list[tuple[str, float | None]]:
    """Colour and the value from which it holds, ascending; the first holds from the bottom."""
    found: list[tuple[str, float | None]] = [(base, None)]
    if limit.warning is not None:
        found.append((YELLOW, limit.warning))
    if limit.critical is not None:
        found.append((RED, limit.critical))
    return found


def threshold_json(limit: Limit) -> Json:
    """Thresholds as an override writes them."""
    found = [{"color": colour, "value": value} for colour, value in steps(limit)]
    return {"mode": "absolute", "steps": found}


def override(pattern: str, key: str, value: object) -> Json:
    """One property for the series whose names match a regular expression."""
    return {"matcher": {"id": "byRegexp", "options": f"/{pattern}/"}, "properties": [{"id": key, "value": value}]}


def rename(name: str, text: str) -> Json:
    """Another name for the series of a name."""
    return {"matcher": {"id": "byName", "options": name}, "properties": [{"id": "displayName", "value": text}]}
