"""The tegrastats program as a child of ours.

``tegrastats --stop`` would end every instance on the machine, other people's too, so it is never used.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from exporters.sources.line_child import FIRST_BACKOFF, LineChild
from exporters.sources.tegrastats import Tegrastats, parse

log = logging.getLogger(__name__)

MOST_TOLD = 32


class TegrastatsChild(LineChild[Tegrastats]):
    """Keeps one tegrastats running in a thread and holds what its newest line told."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        interval_ms: int = 1000,
        first_backoff: float = FIRST_BACKOFF,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``command``: program and leading arguments; ``--interval`` is added. ``clock``: monotonic seconds."""
        super().__init__(
            [*command, "--interval", str(interval_ms)],
            name="tegrastats",
            interval=interval_ms / 1000,
            first_backoff=first_backoff,
            clock=clock,
        )
        self._told_unknown: set[str] = set()

    def parse(self, line: str) -> Tegrastats | None:
        """A line; every release prints the memory: anything without it is a message of the program."""
        found = parse(line)
        if found.ram is None:
            return None
        for word in found.unknown:
            if word not in self._told_unknown and len(self._told_unknown) < MOST_TOLD:
                self._told_unknown.add(word)
                log.info("tegrastats: nothing is made of %r", word)
        return found

    def load(self, reading: Tegrastats) -> float | None:
        return reading.gpu.ratio if reading.gpu is not None else None
