"""Sends every sample of the own store to the receiver, in order, at least once. The store is the queue.

Sources advance together, a window at a time: receivers take no samples that are an hour older than their newest.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from alerting.clock import Clock
from alerting.model.labels import NO_LABELS, Labels
from alerting.model.series import SeriesData
from alerting.remote.cursors import Cursors
from alerting.remote.delivery import FIRST_PAUSE_S, Delivery, Stopped, TooOld, size_of
from alerting.remote.http import Http
from alerting.remote.stats import Tally, WriteStats
from alerting.storage.database import DatabaseDamaged
from alerting.storage.follow import Position
from alerting.storage.ports import StorageError
from config.daemon.log import event

log = logging.getLogger(__name__)

WINDOW_MS = 600_000
"""Of each source read at once: a two-hour block is unpacked a dozen times, not a thousand times."""
REQUEST_SAMPLES = 5000
IDLE_S = 2.0
SAVE_S = 30.0
REPEATED_MS = 2 * WINDOW_MS
"""After a start, as much after the saved cursor may have been sent before."""
TROUBLE_S = 60.0
STOP_S = 3.0


class Follow(Protocol):
    """``alerting.storage.follow.Follower``."""

    def positions(self) -> list[Position]: ...

    def first_ms(self, name: str) -> int | None: ...

    def read(self, name: str, after_ms: int, until_ms: int) -> list[SeriesData]: ...

    def count(self, name: str, after_ms: int, until_ms: int) -> int: ...


class RemoteWriter:
    """``start`` it once; it works in a thread of its own until ``stop``."""

    def __init__(
        self,
        follow: Follow,
        cursors: Cursors,
        http: Http,
        clock: Clock,
        *,
        max_lag_ms: int,
        idle_s: float = IDLE_S,
        first_pause_s: float = FIRST_PAUSE_S,
        external: Labels = NO_LABELS,
    ) -> None:
        self._follow = follow
        self._cursors = cursors
        self._http = http
        self._clock = clock
        self._max_lag_ms = max_lag_ms
        self._idle_s = idle_s
        self._stop = threading.Event()
        self._tally = Tally()
        self._delivery = Delivery(http, self._tally, self._stop, first_pause_s, external)
        self._acked = cursors.load()
        self._repeated_until = {source: at + REPEATED_MS for source, at in self._acked.items()}
        self._saved = dict(self._acked)
        self._saved_at = time.monotonic()
        self._saves = True
        self._thread = threading.Thread(target=self._run, name="remote write", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """A request under way is cut off: it is sent again at the next start. Returns within a few seconds."""
        self._stop.set()
        self._http.close()
        if self._thread.ident is not None:
            self._thread.join(STOP_S)
        try:
            self._save()
        except StorageError as error:
            event(log, logging.WARNING, "remote write: how far it came is not saved", error=str(error))
        self._cursors.close()

    def stats(self) -> WriteStats:
        """Any thread may ask."""
        behind = [one.last_ms - acked for one in self._follow.positions() if (acked := self._acked.get(one.source))]
        return WriteStats(replace(self._tally), max([0, *behind]) / 1000)

    def step(self) -> bool:
        """Sends one window. False when there was nothing to send. Raises Stopped, StorageError."""
        now_ms = self._clock.now_ms()
        behind = self._behind(now_ms)
        if not behind:
            self._save_sometimes()
            return False
        until_ms = min(self._acked[one.source] for one in behind) + WINDOW_MS
        ends: dict[str, int] = {}
        batch: list[SeriesData] = []
        uncertain = False
        for one in behind:
            acked = self._acked[one.source]
            if acked < until_ms:
                ends[one.source] = end = min(one.last_ms, until_ms)
                batch += self._follow.read(one.source, acked, end)
                uncertain = uncertain or acked < self._repeated_until.get(one.source, 0)
        self._send(batch, until_ms, uncertain)
        self._acked.update(ends)
        self._save_sometimes()
        return True

    def _behind(self, now_ms: int) -> list[Position]:
        """Sources with something to send, after what has become too old was skipped."""
        oldest_ms = now_ms - self._max_lag_ms
        behind = []
        for one in self._follow.positions():
            acked = self._acked.get(one.source)
            if acked is None:
                first_ms = self._follow.first_ms(one.source)
                acked = max(self._cursors.begun_ms, (one.last_ms if first_ms is None else first_ms) - 1)
            if acked > one.last_ms:
                # The clock was set back: what comes since is new.
                acked = min(acked, one.since_ms - 1)
            if acked < oldest_ms:
                until_ms = min(oldest_ms, one.last_ms)
                self._tally.dropped += self._follow.count(one.source, acked, until_ms)
                acked = until_ms
            self._acked[one.source] = acked
            if one.last_ms > acked:
                behind.append(one)
        return behind

    def _send(self, batch: Sequence[SeriesData], until_ms: int, uncertain: bool) -> None:
        requests = list(_requests(batch))
        for number, request in enumerate(requests):
            try:
                self._delivery.deliver(request, uncertain=uncertain, too_old=lambda: self._too_old(until_ms))
            except TooOld:
                self._tally.dropped += sum(size_of(left) for left in requests[number:])
                return

    def _too_old(self, until_ms: int) -> bool:
        return until_ms < self._clock.now_ms() - self._max_lag_ms

    def _save_sometimes(self) -> None:
        """Seldom enough for flash, and often enough that a restart repeats little."""
        if self._acked == self._saved:
            return
        moved = max(at - self._saved.get(source, at) for source, at in self._acked.items())
        new = self._acked.keys() - self._saved.keys()
        if new or moved >= WINDOW_MS or time.monotonic() - self._saved_at >= SAVE_S:
            try:
                self._save()
            except StorageError as error:  # a full disk: what is sent is sent, and remembered here
                if self._saves:
                    event(log, logging.WARNING, "remote write: how far it came is not saved", error=str(error))
                self._saves = False
                self._saved_at = time.monotonic()

    def _save(self) -> None:
        changed = {source: at for source, at in self._acked.items() if self._saved.get(source) != at}
        if changed:
            try:
                self._cursors.save(changed)
            except DatabaseDamaged:
                self._cursors.start_empty(self._clock.now_ms())
                self._cursors.save(self._acked)
            self._saves = True
        self._saved.update(changed)
        self._saved_at = time.monotonic()

    def _run(self) -> None:
        while not self._stop.is_set():
            pause = 0.0
            try:
                if not self.step():
                    pause = self._idle_s
            except Stopped:
                return
            except StorageError as error:
                event(log, logging.WARNING, "remote write waits for the own store", error=str(error))
                pause = TROUBLE_S
            except Exception:
                log.exception("remote write: unexpected; it goes on in a minute")
                pause = TROUBLE_S
            self._stop.wait(pause)


def _requests(batch: Sequence[SeriesData]) -> Iterator[list[SeriesData]]:
    """Pieces of bounded size, the samples of a series in order."""
    piece: list[SeriesData] = []
    size = 0
    for one in batch:
        for cut in [one] if len(one.times) <= REQUEST_SAMPLES else _cut(one):
            if size + len(cut.times) > REQUEST_SAMPLES:
                yield piece
                piece, size = [], 0
            piece.append(cut)
            size += len(cut.times)
    if piece:
        yield piece


def _cut(series: SeriesData) -> Iterator[SeriesData]:
    for first in range(0, len(series.times), REQUEST_SAMPLES):
        part = slice(first, first + REQUEST_SAMPLES)
        yield SeriesData(series.labels, series.times[part], series.values[part])
