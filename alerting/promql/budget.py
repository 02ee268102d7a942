"""How much one query may take: samples in memory, and time."""

from __future__ import annotations

import time

from alerting.promql.errors import ExecutionError, QueryTimeout


class Budget:
    """Counts what a query holds. ``deadline`` is a reading of time.monotonic(), None for no limit."""

    def __init__(self, max_samples: int, deadline: float | None) -> None:
        self._left = max_samples
        self._deadline = deadline

    def take(self, samples: int) -> None:
        """Account for samples that are about to be held. Raises ExecutionError or QueryTimeout."""
        self._left -= samples
        if self._left < 0:
            raise ExecutionError("query processing would load too many samples into memory in query execution")
        self.check_time()

    def check_time(self) -> None:
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise QueryTimeout("query timed out in expression evaluation")
