"""A program as a child of ours that prints a line each interval and never ends: started, read, started again.

It runs with our rights (no sudo), in a process group of its own, for as long as we do. One that dies, falls silent or
prints nothing but messages is started again, later each time. If the exporter is killed, the child ends at its next
line, because nobody reads its pipe any more.
"""

from __future__ import annotations

import logging
import os
import selectors
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from exporters.sources.board_child import END_SECONDS, end_group, pipe_of, spawn
from exporters.sources.board_sampling import Window

log = logging.getLogger(__name__)

STALE_INTERVALS = 3
SILENT_INTERVALS = 10
FIRST_BACKOFF, LONGEST_BACKOFF = 1.0, 60.0
HEALTHY_SECONDS = 60.0
POLL_SECONDS = 0.5
MAX_LINE = 65_536  # bytes
MAX_SAID = 400  # characters of a message


Reading = TypeVar("Reading")


class LineChild(ABC, Generic[Reading]):
    """Keeps one such program running in a thread and holds what its newest line told. What that means is for the
    subclass (``parse``, ``load``)."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        name: str,
        interval: float,
        first_backoff: float = FIRST_BACKOFF,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``command``: program and arguments; ``interval``: seconds between two lines; ``clock``: monotonic seconds."""
        self._command = list(command)
        self._name = name
        self.interval = interval
        self._first_backoff = first_backoff
        self._clock = clock
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.fault = ""
        """Why there are no lines, in words; empty while they come."""
        self.restarts = 0
        self._said = ""
        self._told = ""
        self._lock = threading.Lock()
        self._newest: Reading | None = None
        self._newest_at = 0.0
        self.gpu = Window(STALE_INTERVALS * interval)
        """GPU load of the lines since the last read."""

    @abstractmethod
    def parse(self, line: str) -> Reading | None:
        """What a line tells; None when it is none of those the program is run for."""

    @abstractmethod
    def load(self, reading: Reading) -> float | None:
        """The GPU's load in a reading, 0 to 1; None when it does not tell."""

    def latest(self, now: float) -> Reading | None:
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
        """Keeps what a line tells; False when it is a message, which is told when the program ends or falls silent."""
        found = self.parse(line)
        if found is None:
            if text := line.strip()[:MAX_SAID]:
                self._said = text
            return False
        with self._lock:
            self._newest, self._newest_at = found, now
        self.fault = self._said = ""
        load = self.load(found)
        if load is not None:
            self.gpu.add(load, now)
        return True

    def start(self) -> None:
        """Starts the thread, which starts the program; a second call does nothing."""
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ends the program and the thread; returns within a few seconds."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(POLL_SECONDS + 2 * END_SECONDS)
            self._thread = None

    def _run(self) -> None:
        backoff = self._first_backoff
        while not self._stop.is_set():
            started = self._clock()
            try:
                reason = self._run_once()
            except Exception as error:  # a line that nobody foresaw costs this run of the program, not the thread
                log.debug("%s", self._command[0], exc_info=error)
                reason = f"{self._command[0]}: {type(error).__name__}: {error}"
            if self._stop.is_set():
                return
            if self._clock() - started >= HEALTHY_SECONDS:
                backoff = self._first_backoff
            self.fault = f"{reason}; it said {self._said!r}" if self._said else reason
            # A program that will never work is tried each minute for months: that is worth one line, not thousands.
            level = logging.DEBUG if self.fault == self._told else logging.WARNING
            self._told = self.fault
            log.log(level, "%s; starting it again in %.0f s", self.fault, backoff)
            self._stop.wait(backoff)
            backoff = min(2 * backoff, LONGEST_BACKOFF)
            self.restarts += 1

    def _run_once(self) -> str:
        """Runs the program until it ends, falls silent or we stop; returns why, in words."""
        try:
            process = spawn(self._command)
        except OSError as error:
            return f"{self._command[0]}: cannot be started: {error.strerror or error}"
        try:
            return self._read(process)
        finally:
            end_group(process)

    def _read(self, process: subprocess.Popen[bytes]) -> str:
        pipe = pipe_of(process)
        rest = b""
        heard = self._clock()
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while not self._stop.is_set():
                ready = selector.select(POLL_SECONDS)
                now = self._clock()
                if now - heard > SILENT_INTERVALS * self.interval:
                    return f"{self._command[0]}: no line for {now - heard:.0f} s"
                if not ready:
                    continue
                data = os.read(pipe, MAX_LINE)
                if not data:
                    return f"{self._command[0]}: ended with status {_status(process)}"
                *lines, rest = (rest + data).split(b"\n")
                rest = rest[-MAX_LINE:]
                for line in lines:
                    if self.take_line(line.decode("utf-8", "replace"), now):
                        heard = now
        return "stopped"


def _status(process: subprocess.Popen[bytes]) -> str:
    try:
        return str(process.wait(END_SECONDS))
    except subprocess.TimeoutExpired:
        return "unknown (it closed its output and goes on)"
