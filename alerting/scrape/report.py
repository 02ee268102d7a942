"""What a scrape tells the others: the rules, the page, the API and our own metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from alerting.scrape.targets import Target

Health = Literal["unknown", "up", "down"]


@dataclass(frozen=True, slots=True)
class ScrapeReport:
    """One finished scrape, already stored. ``time_ms``: the time of its frame; ``duration`` in seconds.

    ``up_changed``: ``up`` differs from the previous scrape (also at the first). ``early``: asked for, not planned.
    ``added`` and ``gone``: series compared with the previous scrape.

    ``changed``: names of the metrics that have other values than before, are new or gone; told only of a scrape that is
    worth an early look (asked for, or ``up`` changed, which then is among them).
    """

    target: Target
    time_ms: int
    ok: bool
    error: str
    up_changed: bool
    early: bool
    samples: int
    added: int
    gone: int
    duration: float
    changed: frozenset[str] = frozenset()


OnScrape = Callable[[ScrapeReport], None]


@dataclass(frozen=True, slots=True)
class TargetView:
    """How a target is doing. ``last_scrape_ms`` is None before the first; ``duration`` in seconds.

    ``since_ms``: since when ``health`` is what it is.
    """

    target: Target
    health: Health
    last_error: str = ""
    last_scrape_ms: int | None = None
    since_ms: int | None = None
    duration: float = 0.0
    samples: int = 0


@dataclass(slots=True)
class ScrapeStats:
    """Counts since the start, over all targets. ``seconds``: spent fetching; ``parse_seconds``: reading pages."""

    scrapes: int = 0
    failures: int = 0
    confirmations: int = 0
    early: int = 0
    samples: int = 0
    duplicates: int = 0
    refused_frames: int = 0
    internal_errors: int = 0
    seconds: float = 0.0
    parse_seconds: float = 0.0
