"""What an exporter tells of its stream ``/events``: no change is lost without one of these saying so."""

from __future__ import annotations

from exporters.catalog.metric import Metric

EVENTS = Metric(
    "tierwatch_exporter_events_total",
    "counter",
    "Changes that this node's sources announced, by what changed.",
    ("kind",),
)
LOST = Metric(
    "tierwatch_exporter_events_lost_total",
    "counter",
    "Announced changes that a listener had not been told when its stream ended.",
)
LISTENERS = Metric("tierwatch_exporter_event_listeners", "gauge", "Streams of events that are open.")
CUT = Metric(
    "tierwatch_exporter_event_listeners_cut_total", "counter", "Streams ended because the other side did not read."
)
REFUSED = Metric(
    "tierwatch_exporter_event_listeners_refused_total", "counter", "Streams refused because too many were open."
)
