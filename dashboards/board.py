"""What a dashboard is, before it is JSON: sections of tiles, and what its variable and annotations look at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dashboards.queries import NODES, Scope


@dataclass(frozen=True, slots=True)
class Tile:
    """A panel with its wanted size in grid units. ``panel``: what ``panels`` made."""

    title: str
    width: int
    height: int
    panel: Any


@dataclass(frozen=True, slots=True)
class Section:
    """Panels under one title; without a title they stand at the top. A collapsed one asks nothing until opened."""

    title: str
    tiles: Sequence[Tile]
    collapsed: bool = False


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice of nodes, ``$node``. ``many``: several at once, all of them at first."""

    query: str
    many: bool
    first: str = ""


@dataclass(frozen=True, slots=True)
class Board:
    """``scope``: the nodes that the annotations (alerts, reboots) are about."""

    uid: str
    title: str
    description: str
    tags: Sequence[str]
    sections: Sequence[Section]
    variable: Variable | None = None
    scope: Scope = NODES
    since: str = "now-1h"


def note(shows: str, why: str, act: str) -> str:
    """A panel's description: what it shows, why one looks at it, what to do when it is not as it should be."""
    return f"{shows}\n\n**Why:** {why}\n\n**What to do:** {act}"


def uid_of(tag: str) -> str:
    """A dashboard's address, the same in every installation."""
    return "tierwatch-" + re.sub(r"[^a-z0-9]+", "-", tag.lower()).strip("-")


OVERVIEW_UID = uid_of("overview")
NODE_UID = uid_of("node")


def tier_uid(tier: int | str) -> str:
    return f"tierwatch-tier-{tier}"
