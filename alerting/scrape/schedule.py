"""When a target is scraped: pure functions of the time.

Targets are spread over the interval by a hash of their name, so a restart or a reload finds the same places
(Prometheus does the same: scrape/target.go, offset). Unlike there, a few share a place: a process that wakes for one
page finds cold caches, and takes twice the time that it takes for one page more (measured: 1.7 and 1.1 ms). They are so
few that the event loop is soon free again, also on a small board.
"""

from __future__ import annotations

import functools
import hashlib

# A wake-up this late still counts as on time, so that the stored times are exactly one interval apart and compress to
# nothing (Prometheus' scrape timestamp tolerance is 2 ms; a busy Pi wakes a little later).
TOLERANCE_MS = 10
# Targets that share a place, at most, on average.
TOGETHER = 8
_FIRST_WITHIN_MS = 1000
_HASH_BITS = 64


def places(targets: int) -> int:
    """Into how many places of the interval so many targets go. A power of two: a few targets more change nothing, and
    when the places double, each target moves by a quarter of one."""
    return 1 << (max(targets - 1, 0) // TOGETHER).bit_length()


def offset_ms(name: str, interval_ms: int, places: int) -> int:
    """The place of a target in the interval: 0 <= offset < interval; never its beginning, when clocks strike and cron
    starts its jobs."""
    place = _hash(name) * places >> _HASH_BITS
    return (2 * place + 1) * interval_ms // (2 * places)


@functools.lru_cache(maxsize=4096)
def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=_HASH_BITS // 8).digest())


def next_ms(offset_ms: int, interval_ms: int, now_ms: int, last_ms: int | None = None) -> int:
    """The first planned time after ``now_ms``; never ``last_ms``, which has had its scrape.

    At most two intervals away however the wall clock was set meanwhile.
    """
    planned = (now_ms - offset_ms) // interval_ms * interval_ms + offset_ms + interval_ms
    return planned + interval_ms if planned == last_ms else planned


def first_delay_ms(offset_ms: int, interval_ms: int) -> int:
    """How long after the start the first scrape comes: all within a second, in the order of their places."""
    return offset_ms * min(_FIRST_WITHIN_MS, interval_ms) // interval_ms


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
