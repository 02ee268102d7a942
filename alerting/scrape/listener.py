"""One stream of events a node: an event, a broken stream or three missed beats, and the node is scraped at once.

A node that vanishes (power, cable) says nothing: no packet tells that it is gone. So a silence of three beats is looked
into with two knocks, each a connection of its own. When the machine answers, the scrape finds out what is wrong with
the exporter; when it does not, the node is gone, and that need not wait for a scrape's whole timeout.

The silence is measured with the machine's monotonic clock and is believed only when we were awake ourselves: what
arrived while the aggregator was stalled is read first.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from alerting.scrape.events import MAX_BYTES_A_SECOND, EventStats, Message, Numbers, Reader, StreamError
from alerting.scrape.source import EventSource, HostGone, NoStream, ScrapeError

log = logging.getLogger(__name__)

BEAT_S = 1.0
# Three beats are missed when the third is this late.
SILENCE_S = 3 * BEAT_S + 0.1
KNOCK_S = 0.5
# A beat this late is worth waiting for: when many nodes go at once, it is told as one thing.
OVERDUE_S = 1.5 * BEAT_S
TOGETHER_S = 1.2
# How late our own timer may be before we were asleep, not the node.
LATE_S = 0.25
BACKOFF_S = (0.5, 5.0)
# An exporter without a stream may be upgraded some day: asked after a minute, then after four times as long, at most.
UNSUPPORTED_S = (60.0, 960.0)


class Scraped(Protocol):
    """The target whose node is listened to."""

    def wake(self) -> None:
        """Scrape as soon as possible."""

    def gone(self, reason: str) -> None:
        """The machine does not answer: the scrape that is under way, or the next, has failed."""


@dataclass(slots=True)
class Hearing:
    """What one listener knows, for the others. ``heard``: the loop's time of the newest byte; None: no open stream.
    ``decided``: whether a silence has been looked into. ``all_known``: set for who waits for others, by the first that
    finds that nobody is waited for any more."""

    heard: float | None = None
    decided: bool = False
    all_known: asyncio.Event = field(default_factory=asyncio.Event)

    def overdue(self, now: float) -> bool:
        """Whether it may turn out to be gone within a moment."""
        return self.heard is not None and not self.decided and now - self.heard > OVERDUE_S


@dataclass(slots=True)
class Room:
    """What all listeners share."""

    source: EventSource
    stats: EventStats = field(default_factory=EventStats)
    hearings: dict[str, Hearing] = field(default_factory=dict)
    jitter: Callable[[], float] = random.random

    def overdue(self, now: float) -> Iterable[Hearing]:
        return (hearing for hearing in self.hearings.values() if hearing.overdue(now))


class Listener:
    """Holds the stream of one node until cancelled."""

    def __init__(self, name: str, url: str, target: Scraped, room: Room) -> None:
        """``name``: the target's, for the log; ``url``: of the stream."""
        self._name = name
        self._url = url
        self._target = target
        self._room = room
        self._numbers = Numbers()
        self._hearing = Hearing()
        self._unsupported = False
        self._answered = asyncio.Event()
        self._second = (0.0, 0)
        self._spoke = False

    def answered(self) -> None:
        """The node was scraped: it is there, and a stream that waits to be opened again is opened now."""
        self._answered.set()

    async def run(self) -> None:
        """Listen for ever."""
        self._room.hearings[self._name] = self._hearing
        try:
            await self._run()
        finally:
            self._room.hearings.pop(self._name, None)
            self._unsupported_is(False)

    async def _run(self) -> None:
        least, most = BACKOFF_S
        wait, unsupported = least, UNSUPPORTED_S[0]
        while True:
            began = asyncio.get_running_loop().time()
            hopeful = False
            try:
                await self._listen()
                hopeful = True
            except NoStream as error:
                if not self._unsupported:
                    log.info("%s: polled only: %s", self._name, error)
                self._unsupported_is(True)
            except StreamError as error:
                log.warning("%s: the stream of events is given up: %s", self._name, error)
            except ScrapeError as error:
                log.debug("%s: no stream of events: %s", self._name, error)
                hopeful = True
            except Exception:
                log.exception("%s: the stream of events failed in an unforeseen way", self._name)
            if asyncio.get_running_loop().time() - began > 2 * most:
                wait, unsupported = least, UNSUPPORTED_S[0]  # it held for a while
            if not hopeful:
                await self._pause(unsupported * (0.5 + self._room.jitter()), hopeful=False)
                wait, unsupported = least, min(4 * unsupported, UNSUPPORTED_S[1])
                continue
            await self._pause(wait * (0.5 + self._room.jitter()), hopeful=True)
            wait = min(2 * wait, most)

    async def _pause(self, seconds: float, *, hopeful: bool) -> None:
        """Wait before the next try; when ``hopeful``, not longer than until the node answers a scrape."""
        self._answered.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.sleep(min(seconds, BACKOFF_S[0]))
                if hopeful:
                    await self._answered.wait()
                await asyncio.sleep(seconds if not hopeful else 0)

    async def _listen(self) -> None:
        """One stream, to its end, and what its end means. Raises NoStream, StreamError, ScrapeError."""
        stats, hearing, spoke = self._room.stats, self._hearing, False
        async with self._room.source.listen(self._url) as stream:
            self._unsupported_is(False)
            try:
                silent = await self._follow(stream)
            finally:
                if self._spoke:
                    self._spoke = False
                    stats.open -= 1
                    stats.broken += 1
                    self._target.wake()
                    spoke = True
        self._answered.clear()
        if silent and not spoke:
            hearing.heard = None
            raise StreamError("nothing came: something between holds it back, or it is no exporter")
        if silent:
            stats.silent += 1
            log.info("%s: no beat for %.1f s", self._name, SILENCE_S)
            try:
                await self._look_into()
            finally:
                hearing.decided = True
        hearing.heard = None

    async def _follow(self, stream: AsyncIterator[bytes]) -> bool:
        """Take what comes; True when nothing comes any more, False when the other side ended it."""
        loop, reader = asyncio.get_running_loop(), Reader()
        self._hearing.heard, self._hearing.decided = loop.time(), False
        try:
            async with asyncio.timeout(None) as patience:
                watch = Watch(self._hearing, patience)
                try:
                    async for data in stream:
                        self._hearing.heard = loop.time()
                        self._bound(len(data), loop.time())
                        for message in reader.feed(data):
                            self._take(message)
                finally:
                    watch.stop()
        except TimeoutError:
            return True
        self._hearing.heard = None
        return False

    def _bound(self, size: int, now: float) -> None:
        since, had = self._second
        self._second = (now, size) if now - since >= 1 else (since, had + size)
        if self._second[1] > MAX_BYTES_A_SECOND:
            raise StreamError(f"more than {MAX_BYTES_A_SECOND} bytes in a second")

    def _take(self, message: Message) -> None:
        stats = self._room.stats
        if not self._spoke:
            self._spoke = True
            stats.open += 1
        missed = self._numbers.missed(message)
        stats.received += message.count
        stats.missed += missed
        if missed or message.event != "beat":
            self._target.wake()

    async def _look_into(self) -> None:
        """Two knocks decide whether the machine is there; each is given half a second."""
        reason = ""
        for _ in range(2):
            until = asyncio.get_running_loop().time() + KNOCK_S
            try:
                await self._room.source.knock(self._url, KNOCK_S)
            except HostGone as error:
                reason = str(error)
            except ScrapeError:
                return  # it refuses: the machine is there
            else:
                return
            # "No route" comes at once, and may be over in a moment.
            await asyncio.sleep(max(0.0, until - asyncio.get_running_loop().time()))
            if self._answered.is_set():
                return
        self._hearing.decided = True
        await self._together()
        self._room.stats.gone += 1
        log.warning("%s: gone: silent for %.1f s, then %s", self._name, SILENCE_S, reason)
        self._target.gone(reason)

    async def _together(self) -> None:
        """Wait for others that may be gone too: a switch that dies is told as one thing, not as its first node. All who
        wait go on in one turn of the loop: rules that are evaluated between two of them would see the first alone."""
        loop, all_known = asyncio.get_running_loop(), self._hearing.all_known
        end = loop.time() + TOGETHER_S
        all_known.clear()
        while loop.time() < end and any(self._room.overdue(loop.time())):
            all_known.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):  # nobody tells of a beat that came after all
                    await all_known.wait()
        if not all_known.is_set():
            for hearing in self._room.hearings.values():
                hearing.all_known.set()
            await asyncio.sleep(0)

    def _unsupported_is(self, value: bool) -> None:
        self._room.stats.unsupported += value - self._unsupported
        self._unsupported = value


class Watch:
    """Ends a wait when nothing was heard for too long. One timer, set again each silence and not each beat."""

    def __init__(self, hearing: Hearing, patience: asyncio.Timeout) -> None:
        self._loop = asyncio.get_running_loop()
        self._hearing = hearing
        self._patience = patience
        self._at(self._loop.time() + SILENCE_S)

    def stop(self) -> None:
        self._timer.cancel()

    def _at(self, when: float) -> None:
        self._timer = self._loop.call_at(when, self._look, when)

    def _look(self, planned: float) -> None:
        now = self._loop.time()
        due = (self._hearing.heard or now) + SILENCE_S
        if now < due:
            self._at(due)
        elif now - planned > LATE_S:
            self._at(now + LATE_S)  # we were asleep: first read what came meanwhile
        else:
            self._patience.reschedule(now)
