"""How much one query may take: samples in memory, and time."""

from __future__ import annotations

import time

from alerting.promql.errors import ExecutionError, QueryCanceled, QueryTimeout


class Patience:
    """How long somebody waits for an answer. ``deadline`` is a reading of time.monotonic(), None for no limit.

    ``give_up`` may be called from any thread; the thread that works asks ``check`` often.
    """

    __slots__ = ("_deadline", "_gone")

    def __init__(self, deadline: float | None = None) -> None:
        self._deadline = deadline
        self._gone = False

    @property
    def deadline(self) -> float | None:
        return self._deadline

    def give_up(self) -> None:
        """Nobody waits any more."""
        self._gone = True

    def check(self) -> None:
        """Raises QueryCanceled or QueryTimeout when there is nobody to work for."""
        if self._gone:
            raise QueryCanceled("query was canceled in expression evaluation")
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise QueryTimeout("query timed out in expression evaluation")


class Budget:
    """Counts what a query holds."""

    __slots__ = ("_left", "_let_go", "_most", "_patience")

    def __init__(self, max_samples: int, patience: Patience | None = None) -> None:
        self._most = self._left = max_samples
        self._let_go = 0
        self._patience = Patience() if patience is None else patience

    @property
    def taken(self) -> int:
        """All samples that were held at some time."""
        return self._most - self._left + self._let_go

    def let_go(self, samples: int) -> None:
        """Samples that were taken are held no more."""
        self._left += samples
        self._let_go += samples

    def take(self, samples: int) -> None:
        """Account for samples that are about to be held. Raises ExecutionError, QueryTimeout or QueryCanceled."""
        self._left -= samples
        if self._left < 0:
            raise ExecutionError("query processing would load too many samples into memory in query execution")
        self.check_time()

    def check_time(self) -> None:
        self._patience.check()
