"""What every probe is."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

from exporters.catalog.metric import Metric
from exporters.probes.verdict import Verdict
from exporters.wanted import WantedProbe


class Probe(ABC):
    """One service's probe. Its methods run in the probes' own loop, one check at a time, under a deadline."""

    # Checks without an answer in time, one after the other, before the service is called down: one may be a stall.
    patience = 2
    # 0 while the service is down, where the established exporter has such a metric.
    up: Metric | None = None

    def __init__(self, wanted: WantedProbe) -> None:
        self.wanted = wanted
        self.service = wanted.service

    @abstractmethod
    async def check(self) -> Verdict:
        """Ask the service. Raises Unwell, or OSError, EOFError, TimeoutError of the connection."""

    async def lost(self) -> None:
        """Returns when the idle connection ends, which is when a service dies; never returns without a connection."""
        await asyncio.get_running_loop().create_future()

    def close(self) -> None:  # noqa: B027  # most have a connection, not all
        """Give up the connection, at once and whatever happens on it."""
