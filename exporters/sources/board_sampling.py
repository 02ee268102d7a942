"""Sampling between two reads: a thread that ticks, and a window that keeps mean and maximum of what it saw.

A point sample of a GPU's load every 15 s is noise; one sample a second, folded into a window, is not. A window holds
a few numbers, whatever the time between two reads.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger(__name__)

STOP_SECONDS = 2.0


class Ticker:
    """Calls ``tick(monotonic now)`` every ``period`` seconds in a thread of its own until stopped.

    The thread is a daemon: a read that hangs in the kernel cannot keep the exporter from ending.
    """

    def __init__(self, name: str, period: float, tick: Callable[[float], None]) -> None:
        self._name = name
        self._period = period
        self._tick = tick
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._reported = ""

    def start(self) -> None:
        """Starts the thread; a second call does nothing."""
        if self._thread is None or self._stop.is_set():
            self._stop = threading.Event()  # one a thread: a hung one of before must not wake up to go on
            self._thread = threading.Thread(target=self._run, args=(self._stop,), name=self._name, daemon=True)
            self._thread.start()

    def stop(self) -> bool:
        """Ends the thread; waits, the first time, at most ``STOP_SECONDS`` for a tick that is under way. Whether none
        is any more."""
        patience = 0.0 if self._stop.is_set() else STOP_SECONDS
        self._stop.set()
        if self._thread is not None:
            self._thread.join(patience)
            if self._thread.is_alive():
                return False
            self._thread = None
        return True

    def _run(self, stop: threading.Event) -> None:
        due = time.monotonic()
        while not stop.is_set():
            try:
                self._tick(time.monotonic())
            except Exception as error:  # the next tick may do better; a dead sampler would not
                if (text := repr(error)) != self._reported:  # a lasting fault is told once
                    self._reported = text
                    log.exception("%s: sampling failed", self._name)
            # After a long stall (suspend, hung read) go on from now instead of catching up.
            due = max(due + self._period, time.monotonic())
            stop.wait(due - time.monotonic())


@dataclass(frozen=True, slots=True)
class WindowReading:
    """Mean and maximum of the samples since the last read, and the area below all samples ever (value seconds).

    With several readers each sees the time since the last read of any; the area serves them all alike.
    """

    mean: float
    maximum: float
    samples: int
    area: float


class Window:
    """Samples since the last read; thread-safe. ``now`` is monotonic seconds."""

    def __init__(self, max_age: float) -> None:
        """``max_age``: seconds after which the newest sample says nothing about the present."""
        self._max_age = max_age
        self._lock = threading.Lock()
        self._sum = 0.0
        self._maximum = 0.0
        self._samples = 0
        self._area = 0.0
        self._newest: float | None = None
        self._last: WindowReading | None = None

    def add(self, value: float, now: float) -> None:
        with self._lock:
            self._maximum = value if self._samples == 0 else max(self._maximum, value)
            self._sum += value
            self._samples += 1
            if self._newest is not None and now - self._newest <= self._max_age:
                self._area += value * (now - self._newest)  # a gap is unknown, and adds nothing
            self._newest = now

    def fresh(self, now: float) -> bool:
        """Whether there is a sample young enough to speak for the present."""
        with self._lock:
            return self._newest is not None and now - self._newest <= self._max_age

    def take(self, now: float) -> WindowReading | None:
        """Mean and maximum since the last call, and starts anew. None when the samples stopped coming.

        Two calls within one sampling period both get the same reading: nothing new is known yet.
        """
        with self._lock:
            if self._samples:
                self._last = WindowReading(self._sum / self._samples, self._maximum, self._samples, self._area)
                self._sum, self._samples = 0.0, 0
            if self._newest is None or now - self._newest > self._max_age:
                return None
            return self._last
