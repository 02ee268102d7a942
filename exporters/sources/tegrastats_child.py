"""The tegrastats program as a child of ours.

``tegrastats --stop`` would end every instance on the machine, other people's too, so it is never used.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from exporters.sources.board_sampling import Window
from exporters.sources.line_child import FIRST_BACKOFF, STALE_INTERVALS, LineChild
from exporters.sources.tegrastats import Tegrastats, parse


class TegrastatsChild(LineChild):
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
        self._lock = threading.Lock()
        self._newest: Tegrastats | None = None
        self._newest_at = 0.0
        self.gpu = Window(STALE_INTERVALS * self.interval)
        """GPU load of the lines since the last read."""

    def latest(self, now: float) -> Tegrastats | None:
        """The newest line, unless it is older than three intervals. ``now``: seconds of the same clock."""
        with self._lock:
            if self._newest is None or now - self._newest_at > STALE_INTERVALS * self.interval:
                return None
            return self._newest

    @property
    def has_spoken(self) -> bool:
        """Whether there has been a line at all, however old."""
        return self._newest is not None

    def take_line(self, line: str, now: float) -> bool:
        """Keeps what a line tells; False when it is no line of tegrastats."""
        found = parse(line)
        if found.ram is None:  # every release prints it: anything else is a message of the program
            self.said(line)
            return False
        with self._lock:
            self._newest, self._newest_at = found, now
        self.heard()
        if found.gpu is not None and found.gpu.ratio is not None:
            self.gpu.add(found.gpu.ratio, now)
        return True
