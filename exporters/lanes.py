"""Runs blocking reads in threads so that none can hold up another, whatever it is stuck in.

A read that sleeps in the kernel (dead NFS server, broken I2C bus) cannot be woken or cancelled. So every job has at
most one run in flight; while that run is unanswered the job is reported ``Stuck`` at once and costs neither a thread
nor time. When the run returns at last, its answer is thrown away (it is too old to be told) and the job is free again.

Jobs run one after the other in one thread, the cheapest way when nothing is slow. A further thread ("lane") takes over
the rest of the queue whenever no job has finished for ``patience`` seconds.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stuck:
    """No answer in time; ``seconds`` since the run in flight began (0: it never got its turn)."""

    seconds: float


@dataclass(slots=True)
class _Round(Generic[T]):
    jobs: Mapping[str, Callable[[], T]]
    queue: deque[str] = field(default_factory=deque)
    outcomes: dict[str, T | Stuck | Exception] = field(default_factory=dict)
    closed: bool = False


class Lanes(Generic[T]):
    """Remembers which jobs, by name, are still in flight from one round to the next. Safe from several threads."""

    def __init__(self, name: str, patience: float = 0.05) -> None:
        """``name`` shows in the thread names; ``patience`` in seconds."""
        self._name = name
        self._patience = patience
        self._changed = threading.Condition()
        self._running: dict[str, float] = {}

    @property
    def in_flight(self) -> frozenset[str]:
        with self._changed:
            return frozenset(self._running)

    def run(self, jobs: Mapping[str, Callable[[], T]], deadline: float) -> dict[str, T | Stuck | Exception]:
        """Every job's answer, the exception it raised, or Stuck. Returns within ``deadline`` seconds."""
        current: _Round[T] = _Round(jobs)
        with self._changed:
            now = time.monotonic()
            end = now + deadline
            for name in jobs:
                if name in self._running:
                    current.outcomes[name] = Stuck(now - self._running[name])
                else:
                    current.queue.append(name)
            if current.queue:
                self._open_lane(current)
            while len(current.outcomes) < len(jobs) and (left := end - time.monotonic()) > 0:
                finished = len(current.outcomes)
                self._changed.wait(min(self._patience, left))
                if finished == len(current.outcomes) and current.queue:
                    with suppress(RuntimeError):  # no thread to be had: those that are there go on
                        self._open_lane(current)
            current.closed = True
            current.queue.clear()
            now = time.monotonic()
            for name in jobs:
                if name not in current.outcomes:
                    current.outcomes[name] = Stuck(now - self._running.get(name, now))
            return current.outcomes

    def _open_lane(self, current: _Round[T]) -> None:
        # Daemon: a thread that never returns must not keep the process from ending.
        threading.Thread(target=self._work, args=(current,), name=self._name, daemon=True).start()

    def _work(self, current: _Round[T]) -> None:
        while True:
            with self._changed:
                if not current.queue:
                    return
                name = current.queue.popleft()
                now = time.monotonic()
                if (since := self._running.get(name)) is not None:
                    # Another round, run at the same time, was faster to begin it.
                    self._settle(current, name, Stuck(now - since))
                    continue
                self._running[name] = now
            outcome: T | Exception
            try:
                outcome = current.jobs[name]()
            except Exception as error:
                outcome = error
            with self._changed:
                del self._running[name]
                if current.closed:
                    return
                self._settle(current, name, outcome)

    def _settle(self, current: _Round[T], name: str, outcome: T | Stuck | Exception) -> None:
        current.outcomes[name] = outcome
        if len(current.outcomes) == len(current.jobs):
            self._changed.notify_all()
