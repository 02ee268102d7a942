"""Runs the collectors for a scrape, and judges them.

Samples are taken when a scrape asks, not in the background: every value of a page is younger than its request, a node
that nobody scrapes does no work, and the cost is paid once for a page. What keeps a scrape short is not a cache but
the deadline of ``exporters.lanes``: a collector that does not answer in time costs its own series, is reported as
failed while its read is in flight, and comes back by itself. Sources that need a rhythm of their own (a child process,
a socket) keep it, and their collector gives the latest reading.

Requests never overlap in the collectors: one that arrives during a collection waits for the next, and all that wait
share it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from config.daemon.log import event
from exporters.catalog import own
from exporters.collector import Collector, CollectorFailed, Family, NoData
from exporters.collectors.shape import Row
from exporters.lanes import Lanes, Stuck

# Longest time a scrape waits for collectors, in seconds, whatever the scraper would grant.
DEADLINE = 2.0
# Part of the scraper's patience that collectors may use up; the rest is for rendering and the network.
SHARE = 0.8
# Part of its time that a request has for its own collection at least, however long it waited for the one before: with
# less every collector would be called stuck. It is half of what the scraper's patience has left then.
LEAST_SHARE = 0.125

_log = logging.getLogger(__name__)


class Busy(Exception):
    """The collection before this one took all of the time this request had."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One read of one collector. ``error`` is empty on success; ``families`` is None when there is no such hardware."""

    families: Sequence[Family] | None
    seconds: float
    error: str = ""


class Runner:
    """Owns the collectors. ``collect`` runs on the event loop; the collectors run in threads."""

    def __init__(self, collectors: Mapping[str, Collector], deadline: float = DEADLINE) -> None:
        """``deadline`` in seconds, for all collectors of a scrape together."""
        self._jobs: dict[str, Callable[[], Reading]] = {
            name: partial(read_once, collector) for name, collector in collectors.items()
        }
        self._deadline = deadline
        self._lanes: Lanes[Reading] = Lanes("collector")
        self._turn = asyncio.Lock()
        self._begun = 0
        self._waiting = 0
        # What those that waited meanwhile share, and which collection it is of. Kept for them alone: the objects of a
        # page take a third of a megabyte.
        self._last: list[Family] = []
        self._shared = 0
        self._errors: dict[str, str] = {}

    async def collect(self, patience: float | None = None) -> list[Family]:
        """All readings, begun after this call. ``patience``: seconds until the scraper gives up; raises Busy."""
        limit = self._deadline if patience is None else min(self._deadline, patience * SHARE)
        arrived = self._begun
        end = time.monotonic() + limit
        self._waiting += 1
        try:
            async with asyncio.timeout(limit):
                await self._turn.acquire()
        except TimeoutError as error:
            raise Busy("another collection is still running") from error
        finally:
            self._waiting -= 1
        if self._shared > arrived:
            self._turn.release()
            return self._last  # that collection began while this request waited
        self._begun += 1
        left = max(LEAST_SHARE * limit, end - time.monotonic())
        # Who asked may leave; its collection goes on to its end, and no other begins before it.
        return await asyncio.shield(asyncio.ensure_future(self._collection(left)))

    async def _collection(self, left: float) -> list[Family]:
        """One collection, of ``left`` seconds at most, by whoever holds the turn; it gives the turn back."""
        try:
            outcomes = await asyncio.to_thread(self._lanes.run, self._jobs, left)
            found = self._judge(outcomes)
            self._last, self._shared = (found, self._begun) if self._waiting else ([], 0)
            return found
        finally:
            self._turn.release()

    def _judge(self, outcomes: Mapping[str, Reading | Stuck | Exception]) -> list[Family]:
        page: list[Family] = []
        success: list[Row] = []
        duration: list[Row] = []
        for name in self._jobs:
            reading = as_reading(outcomes[name])
            self._log_change(name, reading.error)
            if reading.families is None:
                continue
            page += reading.families
            success.append(((name,), 0.0 if reading.error else 1.0))
            duration.append(((name,), reading.seconds))
        page += (Family(own.COLLECTOR_SUCCESS, success), Family(own.COLLECTOR_DURATION, duration))
        return page

    def _log_change(self, name: str, error: str) -> None:
        """A failure is told when it begins and when it ends, not at every scrape."""
        before = self._errors.get(name, "")
        if error and not before:
            event(_log, logging.ERROR, "collector failed", collector=name, error=error)
        elif before and not error:
            event(_log, logging.INFO, "collector works again", collector=name)
        self._errors[name] = error


def read_once(collector: Collector) -> Reading:
    """One read, timed, its outcome as a value. Runs in a worker thread."""
    begun = time.perf_counter()
    try:
        families = collector.collect()
    except NoData:
        return Reading(None, time.perf_counter() - begun)
    except CollectorFailed as error:
        return Reading((), time.perf_counter() - begun, str(error))
    except Exception as error:
        # A fault of a collector's own (a file in an unknown form) costs that collector, never the page.
        _log.debug("collector raised", exc_info=error)
        return Reading((), time.perf_counter() - begun, f"{type(error).__name__}: {error}")
    return Reading(families, time.perf_counter() - begun)


def as_reading(outcome: Reading | Stuck | Exception) -> Reading:
    """What a scrape tells of a collector that did not come back."""
    if isinstance(outcome, Reading):
        return outcome
    if isinstance(outcome, Stuck):
        return Reading((), outcome.seconds, "stuck: the read has not returned within the deadline")
    return Reading((), 0.0, f"{type(outcome).__name__}: {outcome}")
