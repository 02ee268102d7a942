"""Numbers about delivery, for the aggregator's own metrics."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class ReceiverStats:
    """Counts since the process started, and what waits now. A message to two URLs counts twice."""

    queued: int = 0
    delivered: int = 0
    failed_attempts: int = 0
    given_up: int = 0
    waiting: int = 0
    oldest_waiting_seconds: float = 0.0

    def plus(self, queued: int, delivered: int, failed_attempts: int, given_up: int) -> ReceiverStats:
        return replace(
            self,
            queued=self.queued + queued,
            delivered=self.delivered + delivered,
            failed_attempts=self.failed_attempts + failed_attempts,
            given_up=self.given_up + given_up,
        )

    def with_waiting(self, waiting: int, oldest_seconds: float) -> ReceiverStats:
        return replace(self, waiting=waiting, oldest_waiting_seconds=oldest_seconds)
