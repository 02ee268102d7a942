"""The stream of events tells of itself."""

from __future__ import annotations

from collections.abc import Sequence

from exporters.catalog import events as catalog
from exporters.collector import Family
from exporters.collectors.shape import single
from exporters.events import Events


class EventCounts:
    """Counters of the exporter's own ``/events``; no file is read."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def collect(self) -> Sequence[Family]:
        counts = self._events.counts()
        return [
            Family(catalog.EVENTS, [((kind,), float(count)) for kind, count in sorted(counts.events.items())]),
            single(catalog.LOST, float(counts.lost)),
            single(catalog.LISTENERS, float(counts.listeners)),
            single(catalog.CUT, float(counts.cut)),
            single(catalog.REFUSED, float(counts.refused)),
        ]
