"""The life of one target: wait, fetch, read, store, tell.

A failed scrape is confirmed, about a second later, when the interval leaves time for it. Only the last attempt of a
cycle is stored, at the time that attempt started: a hiccup leaves no trace but a later sample, and ``up`` 0 means that
two attempts in a row failed (or one that used up its whole timeout). A target with patience (a node) that was up is
asked again each second until it has failed for that long, so that an exporter may restart. A machine that was found to
be gone (``gone``) gets no patience: it was silent for longer than that takes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from alerting.clock import Clock
from alerting.model.series import ABSENT, IntArray
from alerting.scrape import schedule
from alerting.scrape.exposition import Page, PageReader
from alerting.scrape.line import Metadata, PageError
from alerting.scrape.report import OnScrape, ScrapeReport, ScrapeStats, TargetView
from alerting.scrape.source import Body, PageSource, ScrapeError, inflate
from alerting.scrape.targets import Target
from alerting.storage.ports import FrameWriter, StorageError

log = logging.getLogger(__name__)

CONFIRM_AFTER_S = 1.0
# A confirmation that cannot have this long is not worth starting.
_CONFIRM_LEAST_S = 0.5
# What the last try of a node gets at least, also when its patience ends meanwhile.
_CONFIRM_PATIENT_S = 1.0
# Scrapes asked for: this many may come as fast as they can, then so many a second. A storm of events must not become a
# storm of scrapes.
_EARLY_BURST = 10
_EARLY_PER_S = 1.0
_EARLY_GAP_S = 0.05
# What may be read on the event loop: a page this long takes under 5 ms when known. Longer ones go to a thread.
_INLINE_KNOWN_BYTES = 128 * 1024
_INLINE_NEW_BYTES = 32 * 1024
# More threads read no faster, as they hold the interpreter by turns; of hundreds of new targets they would leave the
# event loop, which has to hear of a SIGTERM, one turn in many.
_READ_AT_ONCE = 4
_COLUMNS_AT_ONCE = 100
_NO_COLUMN = -1  # of a series that was not on a page since the store gave up its column

_UP = "up"
_REPORTS = (
    _UP,
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
)


@dataclass(slots=True)
class _Attempt:
    """One fetch and how it ended. ``page`` is None when it failed; ``seconds`` includes reading the page."""

    time_ms: int
    seconds: float
    page: Page | None = None
    error: str = ""


@dataclass(slots=True)
class Surroundings:
    """What the loops of all targets share."""

    pages: PageSource
    clock: Clock
    on_scrape: OnScrape
    stats: ScrapeStats = field(default_factory=ScrapeStats)
    reading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_READ_AT_ONCE))
    """Held while a thread reads a page."""
    places: int = 1
    """See ``schedule.places``."""


class TargetLoop:
    """Scrapes one target until cancelled. ``view`` is always current."""

    def __init__(self, target: Target, writer: FrameWriter, around: Surroundings) -> None:
        self.target = target
        self.view = TargetView(target, "unknown")
        self.tried = asyncio.Event()
        self._writer = writer
        self._around = around
        self._woken = False
        self._sleep: asyncio.Future[None] | None = None
        self._reader = PageReader(target.limits, target.attach)
        self._columns: IntArray = np.empty(0, np.int64)
        self._report_labels = [target.labels.replace(__name__=name) for name in _REPORTS]
        self._reports: list[int] = []
        self._live = 0
        self._bucket = schedule.Bucket(_EARLY_BURST, _EARLY_PER_S, _EARLY_GAP_S)
        self._gone = ""
        self._fetching: asyncio.Timeout | None = None

    def gone(self, reason: str) -> None:
        """The machine does not answer, says somebody who knows: the scrape under way, or one made now, has failed."""
        self._gone = reason
        self.wake()
        if self._fetching is not None:
            self._fetching.reschedule(asyncio.get_running_loop().time())

    def wake(self) -> None:
        """Scrape as soon as possible; also after a scrape that is under way, which may have seen too little."""
        self._woken = True
        if self._sleep is not None:
            _end(self._sleep)

    def change(self, target: Target) -> None:
        """New interval, timeout or limits for the same target; its history goes on."""
        self.target = target
        self._reader.limits = target.limits
        self.view = replace(self.view, target=target)

    def metadata(self) -> dict[str, Metadata]:
        return self._reader.metadata()

    def end(self) -> None:
        """The target is gone for good: its series end here. The loop must have stopped."""
        last = self.view.last_scrape_ms
        now = self._around.clock.now_ms()
        # A moment ago: whatever follows under the same name may start right now.
        self._writer.close(now - 1 if last is None else max(now - 1, last + 1))

    async def run(self) -> None:
        """Scrape for ever."""
        clock = self._around.clock
        early = await self._pause(schedule.first_delay_ms(self._offset_ms(), self._interval_ms()) / 1000)
        await self._guarded(None, early=early)
        last: int | None = None
        while True:
            now = clock.now_ms()
            planned = schedule.next_ms(self._offset_ms(), self._interval_ms(), now, last)
            early = await self._pause((planned - now) / 1000)
            if early and not self._gone:
                await asyncio.sleep(self._bucket.take(time.monotonic()))
                self._woken = False
            if not early:
                last = planned
            await self._guarded(None if early else planned, early=early)

    def _offset_ms(self) -> int:
        return schedule.offset_ms(self.target.name, self._interval_ms(), self._around.places)

    def _interval_ms(self) -> int:
        return max(1, round(self.target.interval * 1000))

    async def _pause(self, seconds: float) -> bool:
        """Wait; True when woken before the end."""
        if seconds > 0 and not self._woken:
            loop = asyncio.get_running_loop()
            self._sleep = loop.create_future()
            timer = loop.call_later(seconds, _end, self._sleep)
            try:
                await self._sleep
            finally:
                timer.cancel()
                self._sleep = None
        woken, self._woken = self._woken, False
        return woken

    async def _guarded(self, planned: int | None, *, early: bool) -> None:
        """A cycle; whatever goes wrong in it, the next one comes."""
        try:
            await self._cycle(planned, early=early)
        except StorageError as error:
            self._around.stats.internal_errors += 1
            self.view = replace(self.view, health="unknown", last_error=f"not stored: {error}")
            log.warning("%s: the scrape could not be stored: %s", self.target.name, error)
        except Exception as error:
            self._around.stats.internal_errors += 1
            words = f"unforeseen {type(error).__name__} while storing, the log says more"
            self.view = replace(self.view, health="unknown", last_error=words)
            log.exception("%s: the scrape failed in an unforeseen way", self.target.name)
        finally:
            self.tried.set()

    async def _cycle(self, planned: int | None, *, early: bool) -> None:
        stats = self._around.stats
        began = time.monotonic()
        now = self._around.clock.now_ms()
        start = now if planned is None else schedule.aligned_ms(planned, now, self._interval_ms())
        attempt = await self._attempt(start, self.target.timeout)
        stats.early += early
        until = began + max(self.target.interval, self._patience())
        while attempt.page is None:
            left = until - time.monotonic() - CONFIRM_AFTER_S
            if self._gone or left < min(_CONFIRM_LEAST_S, self.target.timeout):
                break
            if await self._pause(CONFIRM_AFTER_S) and not self._gone:
                await asyncio.sleep(self._bucket.take(time.monotonic()))
            stats.confirmations += 1
            patience = max(left, _CONFIRM_PATIENT_S) if self._patience() else left
            attempt = await self._attempt(self._around.clock.now_ms(), min(self.target.timeout, patience))
            if not self._patience():
                break
        if self._gone and attempt.page is None:
            attempt.error = self._gone  # also when it came while the last try was failing by itself
        self._gone = ""
        await self._finish(attempt, early=early)

    def _patience(self) -> float:
        """Seconds of failures after which the target is down."""
        return self.target.patience if self.view.health == "up" else 0.0

    async def _attempt(self, time_ms: int, timeout: float) -> _Attempt:  # noqa: ASYNC109 (sent to the exporter)
        target = self.target
        began = time.monotonic()
        if self._gone:
            return _Attempt(time_ms, 0.0, error=self._gone)
        try:
            try:
                async with asyncio.timeout(None) as self._fetching:
                    body = await self._around.pages.fetch(
                        target.url, timeout, target.limits.body_bytes, gzip=target.gzip
                    )
            except TimeoutError as error:
                raise ScrapeError(self._gone) from error
            finally:
                self._fetching = None
            page = await self._read(body)
        except (ScrapeError, PageError) as error:
            return _Attempt(time_ms, time.monotonic() - began, error=str(error))
        except Exception as error:
            # A fault of ours must not leave the target looking as it did before.
            self._around.stats.internal_errors += 1
            log.exception("%s: the scrape failed in an unforeseen way", target.name)
            words = f"unforeseen {type(error).__name__} while scraping, the log says more"
            return _Attempt(time_ms, time.monotonic() - began, error=words)
        return _Attempt(time_ms, time.monotonic() - began, page)

    async def _read(self, body: Body) -> Page:
        """Read the page: short ones here, long or unknown ones in a thread."""
        inline = _INLINE_KNOWN_BYTES if self._reader.familiar else _INLINE_NEW_BYTES
        began = time.monotonic()
        try:
            data = inflate(body.data, min(inline, self.target.limits.body_bytes)) if body.gzip else body.data
        except ScrapeError:
            # Too long to unpack here, or damaged: the thread finds out which.
            return await self._read_in_thread(self._read_gzip, body.data)
        if len(data) > inline:
            return await self._read_in_thread(self._reader.read, data)
        try:
            return self._reader.read(data)
        finally:
            self._around.stats.parse_seconds += time.monotonic() - began

    async def _read_in_thread(self, read: Callable[[bytes], Page], data: bytes) -> Page:
        async with self._around.reading:
            began = time.monotonic()
            try:
                return await asyncio.to_thread(read, data)
            finally:
                self._around.stats.parse_seconds += time.monotonic() - began

    def _read_gzip(self, data: bytes) -> Page:
        return self._reader.read(inflate(data, self.target.limits.body_bytes))

    async def _finish(self, attempt: _Attempt, *, early: bool) -> None:
        """Store the frame, then tell everybody."""
        if attempt.page is not None:
            try:
                await self._add_columns(attempt.page.slots)
            except StorageError as full:
                self._around.stats.internal_errors += 1
                attempt.page, attempt.error = None, f"not stored: {full}"
        page, error = attempt.page, attempt.error
        if not self._reports:
            self._reports = [self._writer.column(labels) for labels in self._report_labels]
        row = np.full(self._writer.width, ABSENT)
        samples = added = 0
        gone = self._live
        if page is not None:
            row[self._columns[page.slots]] = page.values
            samples, added, gone = page.samples, page.added, page.gone
            if self._live == 0:
                added = len(page.slots)
        row[self._reports] = (float(page is not None), attempt.seconds, samples, samples, added)
        self._live = 0 if page is None else len(page.slots)
        if not self._writer.append(attempt.time_ms, row):
            self._around.stats.refused_frames += 1
            error = error or "not stored: the clock was set back, or far ahead"
        self._tell(attempt, error, early=early, added=added, gone=gone)
        self._forget_ended()

    async def _add_columns(self, slots: IntArray) -> None:
        """Give the slots of a page their columns in the store, those that have none."""
        labels = self._reader.labels
        if len(labels) > len(self._columns):
            self._columns = np.concatenate([self._columns, np.full(len(labels) - len(self._columns), _NO_COLUMN)])
        new = slots[self._columns[slots] == _NO_COLUMN].tolist()
        for start in range(0, len(new), _COLUMNS_AT_ONCE):
            if start:
                await asyncio.sleep(0)
            for slot in new[start : start + _COLUMNS_AT_ONCE]:
                self._columns[slot] = self._writer.column(labels[slot])

    def _forget_ended(self) -> None:
        """Series that ended are let go of, here and in the store's memory."""
        kept = self._reader.compact()
        if kept is not None:
            self._columns = self._columns[kept]
        moved = self._writer.compact()
        if moved is not None:
            self._columns = np.where(self._columns == _NO_COLUMN, _NO_COLUMN, moved[self._columns])
            self._reports = []

    def _tell(self, attempt: _Attempt, error: str, *, early: bool, added: int, gone: int) -> None:
        page, before, stats = attempt.page, self.view, self._around.stats
        ok = page is not None
        health = "up" if ok else "down"
        changed = before.health != health
        stats.scrapes += 1
        stats.failures += not ok
        stats.seconds += attempt.seconds
        samples = 0
        if page is not None:
            samples = page.samples
            stats.samples += samples
            stats.duplicates += page.duplicates
        self.view = TargetView(
            target=self.target,
            health="up" if ok else "down",
            last_error=error,
            last_scrape_ms=attempt.time_ms,
            since_ms=attempt.time_ms if changed else before.since_ms,
            duration=attempt.seconds,
            samples=samples,
        )
        if changed:
            log.info("%s is %s%s", self.target.name, health, f": {error}" if error else "")
        report = ScrapeReport(
            target=self.target,
            time_ms=attempt.time_ms,
            ok=ok,
            error=error,
            up_changed=changed,
            early=early,
            samples=samples,
            added=added,
            gone=gone,
            duration=attempt.seconds,
        )
        try:
            if early or changed:
                report = replace(report, changed=self._changed(page, up_changed=changed))
            self._around.on_scrape(report)
        except Exception:
            log.exception("%s: a listener of scrapes failed", self.target.name)

    def _changed(self, page: Page | None, *, up_changed: bool) -> frozenset[str]:
        """The metrics a rule may want to look at now."""
        names = self._reader.names(page.changed) if page is not None and not up_changed else frozenset()
        return names | self._reader.names() | {_UP} if up_changed else names


def _end(sleep: asyncio.Future[None]) -> None:
    if not sleep.done():
        sleep.set_result(None)
