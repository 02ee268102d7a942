"""When a target is scraped: pure functions of the time.

Targets are spread over the interval by a hash of their name, so a restart or a reload finds the same places
(Prometheus does the same: scrape/target.go, offset).
"""

from __future__ import annotations

import hashlib

# A wake-up this late still counts as on time, so that the stored times are exactly one interval apart and compress to
# nothing (Prometheus' scrape timestamp tolerance is 2 ms; a busy Pi wakes a little later).
TOLERANCE_MS = 10
_FIRST_WITHIN_MS = 1000


def offset_ms(name: str, interval_ms: int) -> int:
    """The place of a target in the interval: 0 <= offset < interval."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest) % interval_ms


def next_ms(name: str, interval_ms: int, now_ms: int, last_ms: int | None = None) -> int:
    """The first planned time after ``now_ms``; never ``last_ms``, which has had its scrape.

    At most two intervals away however the wall clock was set meanwhile.
    """
    offset = offset_ms(name, interval_ms)
    planned = (now_ms - offset) // interval_ms * interval_ms + offset + interval_ms
    return planned + interval_ms if planned == last_ms else planned


def first_delay_ms(name: str, interval_ms: int) -> int:
    """How long after the start the first scrape comes: all within a second, in the order of their places."""
    return offset_ms(name, interval_ms) * min(_FIRST_WITHIN_MS, interval_ms) // interval_ms


def aligned_ms(planned_ms: int, now_ms: int, interval_ms: int) -> int:
    """The time to store: the planned one when now is close to it."""
    tolerance = min(TOLERANCE_MS, interval_ms // 100)
    return planned_ms if abs(now_ms - planned_ms) <= tolerance else now_ms


class Bucket:
    """Allowances for scrapes that are asked for: some at once, then a steady few."""

    def __init__(self, burst: int, per_second: float, gap: float) -> None:
        """``burst``: how many fit in; ``gap``: seconds between two in any case."""
        self._burst = burst
        self._rate = per_second
        self._gap = gap
        self._left = float(burst)
        self._last = float("-inf")

    def take(self, now: float) -> float:
        """Take one; returns the seconds to wait for it. ``now``: monotonic seconds."""
        if self._last > float("-inf"):
            self._left = min(self._burst, self._left + (now - self._last) * self._rate)
        wait = max(0.0, self._last + self._gap - now, (1 - self._left) / self._rate)
        self._left -= 1
        self._left += wait * self._rate
        self._last = now + wait
        return wait
