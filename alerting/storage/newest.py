"""The newest sample of every series that was appended to since the start, for queries about now.

A query about now wants one sample a series, and rules ask dozens of such queries each few seconds. Reading them here
is one look into an array, however many sources and rows there are.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from alerting.model.series import ABSENT, FloatArray, IntArray

SLOTS = 1024
NEVER_MS = -(1 << 62)
"""The time of a slot without a sample."""


class Newest:
    """One slot a column of any head. Thread-safe: a reader sees each frame whole or not at all.

    ``generation`` is another one whenever slots were given back: they may belong to other series then.
    """

    def __init__(self) -> None:
        self.generation = 0
        self._lock = threading.Lock()
        self._count = 0
        self._free: list[int] = []
        self._values: FloatArray = np.full(SLOTS, ABSENT)
        self._times: IntArray = np.full(SLOTS, NEVER_MS)

    def take_slot(self) -> int:
        """A slot of one's own."""
        with self._lock:
            if self._free:
                return self._free.pop()
            if self._count == len(self._values):
                self._values = np.concatenate((self._values, np.full(self._count, ABSENT)))
                self._times = np.concatenate((self._times, np.full(self._count, NEVER_MS)))
            self._count += 1
            return self._count - 1

    def give_back(self, slots: Sequence[int]) -> None:
        """These are nobody's from now on."""
        with self._lock:
            self.generation += 1
            self._values[slots] = ABSENT
            self._times[slots] = NEVER_MS
            self._free += slots

    def put(self, slots: IntArray, time_ms: int, values: FloatArray) -> None:
        """Samples of one time, staleness markers included."""
        with self._lock:
            self._values[slots] = values
            self._times[slots] = time_ms

    def get(self, slots: IntArray, generation: int) -> tuple[IntArray, FloatArray] | None:
        """Times (``NEVER_MS``: no sample yet) and values, copied; None when slots were given back since the
        ``generation`` in which these were asked for."""
        with self._lock:
            if generation != self.generation:
                return None
            return self._times[slots], self._values[slots]
