"""What a collector is: one method that returns readings. The runner judges it: times it, keeps one read in
flight, and turns its outcome into ``node_scrape_collector_success`` and ``_duration_seconds``.

Two ways not to have readings are two things:

* ``NoData``: this board has no such sensor. Silent, no success sample.
* ``CollectorFailed``: the sensor is there and broke. Loud: success 0, a line in the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from exporters.catalog.metric import Metric


class NoData(Exception):
    """This machine has nothing of the kind; nothing is wrong."""


class CollectorFailed(Exception):
    """The source exists and could not be read; the message says which and how."""


@dataclass(frozen=True, slots=True)
class Family:
    """Readings of one metric: rows of (label values in the metric's order, value). Unknown is no row, never 0."""

    metric: Metric
    rows: Sequence[tuple[tuple[str, ...], float]]


class Collector(Protocol):
    """Called in a worker thread, at most once at a time; may block, is abandoned after its deadline."""

    def collect(self) -> Sequence[Family]:
        """Read now. Raises NoData or CollectorFailed; any other exception counts as a failure too."""
