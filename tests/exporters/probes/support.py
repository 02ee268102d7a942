"""What the probes' tests share."""

from __future__ import annotations

from typing import Any

from exporters.catalog.metric import Metric
from exporters.probes.probe import Probe
from exporters.probes.table import make
from exporters.probes.verdict import Verdict
from exporters.wanted import WantedProbe

# Seconds that a check may take which has an answer: more than any machine needs.
LONG = 60.0
# Seconds after which a check without an answer is given up: what it waits for never comes.
SHORT = 0.2


def wanted(kind: str, port: int, **more: Any) -> WantedProbe:
    return WantedProbe(**{"service": "it", "kind": kind, "addresses": ("127.0.0.1",), "port": port, **more})


def probe(kind: str, port: int, **more: Any) -> Probe:
    return make(wanted(kind, port, **more))


def figure(verdict: Verdict, metric: Metric, *labels: str) -> float | None:
    """A reading of the service "it"; None when it is not there."""
    return dict(verdict.rows.get(metric, ())).get(("it", *labels))
