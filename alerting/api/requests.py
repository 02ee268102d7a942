"""How many requests came, by route and status; for the aggregator's own metrics."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class RequestStats:
    """``counts`` by (route, status), ``seconds`` by route. Routes are patterns, so their number is bounded."""

    counts: dict[tuple[str, int], int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, route: str, status: int, seconds: float) -> None:
        self.counts[route, status] = self.counts.get((route, status), 0) + 1
        self.seconds[route] = self.seconds.get(route, 0.0) + seconds
