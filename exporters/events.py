"""What changed on this node, for whoever holds the stream ``/events`` (https://html.spec.whatwg.org/#server-sent-events).

An event carries no data that matters: it says that a scrape is worthwhile now. So what waits for a listener is not a
queue but a number and the kinds of what changed, and a thousand changes cost as much as one. The stream:

    id: 17              the number of the newest change that this message covers
    event: hello        first: who speaks (numbers of another speaker mean nothing), seconds of a beat
    data: 8f3a... 1

    id: 20              three changes: numbers 18, 19 and 20
    event: change
    data: 3 container unit

    id: 20              every second without news
    event: beat
    data:

A message whose number is not the one before plus its count tells the listener how many changes it was not told.

Streams are few. What a listener does not read gathers in its kernel, where beats alone take hours to fill the room that
there is: it would keep its stream all that time. So when somebody had to be refused, each listener's beats come with
comments, which mean nothing to who reads and soon fill the room of who does not.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

KINDS: Final = ("container", "unit", "service", "kernel")
MAX_LISTENERS: Final = 8
# Seconds between two messages of changes: the first is told at once, what follows it closely comes together.
DEBOUNCE: Final = 0.05
BEAT: Final = 1.0

# Comments with a beat, in bytes: eight beats that come together are still far below what a listener takes a second.
COMMENTS: Final = (b":" + b"." * 510 + b"\n") * 8
# How many beats come with them: four times what Linux holds for a program by itself (128 KiB of packets).
COMMENTED_BEATS: Final = 128
# Seconds until a listener that took all of them is doubted again.
TRUST_SECONDS: Final = 600.0


class TooMany(Exception):
    """As many streams are open as may be."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Since the start. ``events`` by kind; ``lost``: not told to a listener that left or was cut."""

    events: Mapping[str, int]
    listeners: int
    cut: int
    refused: int
    lost: int


@dataclass(slots=True)
class Listener:
    """What one stream has to be told. Used on the event loop only."""

    number: int
    ended: bool = False
    count: int = 0
    kinds: set[str] = field(default_factory=set)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    comments: int = 0
    doubted: float = float("-inf")

    async def wait(self, seconds: float) -> None:
        """Until there is news or the stream is to end, at most ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                await self.news.wait()
        except TimeoutError:
            pass

    def over(self) -> bool:
        """Whether the stream is to end now: all is told."""
        return self.ended and not self.count

    def doubt(self, now: float) -> None:
        """Its next beats come with comments, unless they did lately; ``now``: monotonic seconds."""
        if now - self.doubted >= TRUST_SECONDS:
            self.doubted, self.comments = now, COMMENTED_BEATS

    def take(self, *, read: bool) -> bytes:
        """The next message: what changed, or a beat. ``read``: whether all before it has left."""
        count, kinds = self.count, sorted(self.kinds)
        self.number += count
        self.count = 0
        self.kinds.clear()
        if not self.ended:
            self.news.clear()
        if not count:
            beat = message(self.number, "beat", "")
            if not (read and self.comments):
                return beat
            self.comments -= 1
            return beat + COMMENTS
        return message(self.number, "change", " ".join([str(count), *kinds]))


class Events:
    """``changed`` may be called from any thread; the rest belongs to the event loop that ``attach`` was called on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock``: monotonic seconds."""
        self._clock = clock
        self._speaker = secrets.token_hex(8)
        self._lock = threading.Lock()
        self._totals: Counter[str] = Counter(dict.fromkeys(KINDS, 0))
        self._pending: set[str] = set()
        self._pending_count = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last = float("-inf")
        self._number = 0
        self._listeners: list[Listener] = []
        self._cut = self._refused = self._lost = 0

    def attach(self) -> None:
        """Begin to tell, on the running event loop. What changed before is told to nobody: nobody listened."""
        with self._lock:
            self._loop = asyncio.get_running_loop()

    def changed(self, kind: str) -> None:
        """Something of a kind has changed; what a scrape reads must say so already. Never blocks."""
        if kind not in KINDS:
            raise ValueError(f"no kind of change {kind!r}; there are {', '.join(KINDS)}")
        with self._lock:
            self._totals[kind] += 1
            if self._loop is None:
                return
            self._pending.add(kind)
            self._pending_count += 1
            if self._pending_count == 1:
                self._loop.call_soon_threadsafe(self._arrived)

    def listen(self) -> tuple[Listener, bytes]:
        """A new stream and its first message. Raises TooMany."""
        if len(self._listeners) >= MAX_LISTENERS:
            self._refused += 1
            for listener in self._listeners:
                listener.doubt(self._clock())
            raise TooMany(f"{MAX_LISTENERS} streams of events are open already")
        listener = Listener(self._number, ended=self._loop is None)
        self._listeners.append(listener)
        return listener, message(self._number, "hello", f"{self._speaker} {BEAT:g}")

    def leave(self, listener: Listener, *, cut: bool = False) -> None:
        """The stream is over; ``cut``: we ended it because the other side does not read."""
        self._listeners.remove(listener)
        self._lost += listener.count
        self._cut += cut

    def end(self) -> None:
        """End all streams; nothing is told from now on."""
        with self._lock:
            self._loop = None
        for listener in self._listeners:
            listener.ended = True
            listener.news.set()

    def counts(self) -> Counts:
        """From any thread."""
        with self._lock:
            totals = dict(self._totals)
        return Counts(totals, len(self._listeners), self._cut, self._refused, self._lost)

    def _arrived(self) -> None:
        wait = self._last + DEBOUNCE - self._clock()
        if wait > 0 and self._loop is not None:
            self._loop.call_later(wait, self._spread)
        else:
            self._spread()

    def _spread(self) -> None:
        with self._lock:
            kinds, self._pending = self._pending, set()
            count, self._pending_count = self._pending_count, 0
        self._last = self._clock()
        self._number += count
        for listener in self._listeners:
            listener.kinds |= kinds
            listener.count += count
            listener.news.set()


def message(number: int, event: str, data: str) -> bytes:
    """One message of the stream."""
    return f"id: {number}\nevent: {event}\ndata: {data}\n\n".encode()
