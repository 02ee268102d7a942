"""The one door to Docker Engine: six GET requests over its unix socket.

It goes through aiohttp, which the exporter has loaded for its pages, and not through the docker package: importing that
one costs 8 MiB, a fifth of what the exporter may hold, and it blocks a thread for each request. Whoever may open the
socket owns the machine; nothing here ever sends anything but GET.
"""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Literal, cast
from urllib.parse import quote

import aiohttp
from yarl import URL

from exporters.sources.docker_answers import (
    BadAnswer,
    Container,
    Event,
    EventText,
    Listed,
    event_of,
    inspected,
    listed,
    version_of,
)

# Versions of the API that are understood. A daemon that speaks neither of these is asked without a version.
OLDEST, NEWEST = (1, 24), (1, 52)

# Seconds. A list waits for storage drivers and slow cards; one container answers at once or is locked.
SHORT, LONG = 3.0, 10.0
MAX_LIST_BYTES = 8 * 1024 * 1024
MAX_ANSWER_BYTES = 1024 * 1024

# What changes a container. Not exec_*: each health check would bring three.
ACTIONS = (
    "create",
    "destroy",
    "die",
    "health_status",
    "kill",
    "oom",
    "pause",
    "rename",
    "restart",
    "start",
    "stop",
    "unpause",
    "update",
)

Reason = Literal["missing", "permission", "refused", "timeout", "broken", "answer"]
_REASONS: Mapping[int | None, Reason] = {
    errno.ENOENT: "missing",
    errno.ENOTDIR: "missing",
    errno.EACCES: "permission",
    errno.EPERM: "permission",
    errno.ECONNREFUSED: "refused",
}


class EngineFailed(Exception):
    """Docker does not answer as it should. ``reason`` is a word for a label; the message says it in words."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason


class NoSuchContainer(Exception):
    """It was removed in the meantime."""


class Engine:
    """One Docker Engine. Used by one event loop, between ``open`` and ``close``."""

    def __init__(self, socket: str, *, short: float = SHORT, long: float = LONG) -> None:
        """``socket``: path of the unix socket. ``short``, ``long``: deadlines in seconds."""
        self.socket = socket
        self.version = ""
        """The daemon's version, after ``negotiate``."""
        self.api = ""
        """The version of the API that is spoken; empty: the daemon's own."""
        self._short = short
        self._long = long
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Makes the client; connects to nothing yet."""
        if self._session is None:
            # Few connections: a daemon with slow storage is asked no faster than it answers.
            connector = aiohttp.UnixConnector(self.socket, limit=8, keepalive_timeout=30.0)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def negotiate(self) -> None:
        """Agrees on a version of the API: the daemon's, or the newest that is understood. Raises EngineFailed."""
        self.api = ""
        async with self._get("/_ping", self._short) as answer:
            theirs = version_of(answer.headers.get("Api-Version"))
            server = answer.headers.get("Server", "")
            await self._body(answer, MAX_ANSWER_BYTES)
        if theirs is not None and theirs >= OLDEST:
            self.api = "{}.{}".format(*min(theirs, NEWEST))
            await self._fall_back_when_refused()
        self.version = server.partition("/")[2].partition(" ")[0][:40] or "unknown"

    async def _fall_back_when_refused(self) -> None:
        """A daemon newer than what is understood may not speak that any more ("client version is too old")."""
        async with self._get("/version", self._short, accept=(200, 400)) as answer:
            await self._body(answer, MAX_ANSWER_BYTES)
            if answer.status == 400:
                self.api = ""

    async def containers(self) -> list[Listed]:
        """All containers, running or not. Raises EngineFailed."""
        async with self._get("/containers/json?all=1", self._long) as answer:
            found = await self._json(answer, MAX_LIST_BYTES)
        try:
            return listed(found)
        except BadAnswer as error:
            raise EngineFailed("answer", str(error)) from error

    async def inspect(self, container: str) -> Container:
        """One container, by id. Raises EngineFailed, NoSuchContainer."""
        path = f"/containers/{quote(container, safe='')}/json"
        async with self._get(path, self._short, accept=(200, 404)) as answer:
            if answer.status == 404:
                raise NoSuchContainer(container)
            found = await self._json(answer, MAX_ANSWER_BYTES)
        try:
            return inspected(found)
        except BadAnswer as error:
            raise EngineFailed("answer", str(error)) from error

    @asynccontextmanager
    async def events(self) -> AsyncIterator[AsyncIterator[Event]]:
        """The stream of container events from now on; it is listening when the block begins.

        It never ends by itself: when the daemon closes it, EngineFailed is raised as for any other fault.
        """
        filters = quote(json.dumps({"type": ["container"], "event": list(ACTIONS)}, separators=(",", ":")))
        async with self._get(f"/events?filters={filters}", None) as answer:
            yield self._read_events(answer)

    @asynccontextmanager
    async def logs(self, container: str, since: float) -> AsyncIterator[AsyncIterator[bytes]]:
        """What a container, by name or id, writes from ``since`` (seconds since the epoch) on, as it comes: pieces of
        any length, in which the daemon's frames (eight bytes before each write) are left. Ends when the container does.
        Raises EngineFailed, also where its logging driver cannot be read; NoSuchContainer."""
        path = f"/containers/{quote(container, safe='')}/logs?follow=1&stdout=1&stderr=1&since={since:.9f}"
        async with self._get(path, None, accept=(200, 404)) as answer:
            if answer.status == 404:
                raise NoSuchContainer(container)
            yield self._read_log(answer)

    async def _read_log(self, answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        try:
            while data := await answer.content.readany():
                yield data
        except (aiohttp.ClientError, OSError) as error:
            raise EngineFailed("broken", f"the stream of a log broke: {error}") from error

    async def _read_events(self, answer: aiohttp.ClientResponse) -> AsyncIterator[Event]:
        text = EventText()
        try:
            while data := await answer.content.readany():
                for value in text.feed(data):
                    if (event := event_of(value)) is not None:
                        yield event
        except BadAnswer as error:
            raise EngineFailed("answer", str(error)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise EngineFailed("broken", f"the stream of events broke: {error}") from error
        raise EngineFailed("broken", "Docker closed the stream of events")

    @asynccontextmanager
    async def _get(
        self, path: str, deadline: float | None, accept: tuple[int, ...] = (200,)
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """``deadline``: seconds for the whole answer; None only limits the time until it begins."""
        if self._session is None:
            raise RuntimeError("the engine is not open")
        url = f"http://docker{f'/v{self.api}' if self.api else ''}{path}"
        limits = aiohttp.ClientTimeout(total=deadline, connect=self._short)
        try:
            async with asyncio.timeout(self._long):
                answer = await self._session.get(_ready(url), timeout=limits, allow_redirects=False)
            async with answer:
                if answer.status not in accept:
                    words = (await self._body(answer, MAX_ANSWER_BYTES))[:200].decode("utf-8", "replace")
                    raise EngineFailed("answer", f"{path.partition('?')[0]}: {answer.status} {words.strip()!r}")
                yield answer
        except TimeoutError as error:
            limit = self._long if deadline is None else deadline
            raise EngineFailed("timeout", f"{path.partition('?')[0]}: no answer within {limit:g} s") from error
        except aiohttp.ClientConnectorError as error:
            why = error.os_error.strerror or str(error.os_error)
            reason = _REASONS.get(error.os_error.errno, "broken")
            help_ = "; sudo sh deploy/install/host.sh docker lets the exporter ask" if reason == "permission" else ""
            raise EngineFailed(reason, f"{self.socket}: {why}{help_}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise EngineFailed("broken", f"{path.partition('?')[0]}: {type(error).__name__} {error}") from error

    async def _json(self, answer: aiohttp.ClientResponse, limit: int) -> object:
        try:
            return cast(object, json.loads(await self._body(answer, limit)))
        except ValueError as error:
            raise EngineFailed("answer", f"the answer is no JSON: {error}") from error

    async def _body(self, answer: aiohttp.ClientResponse, limit: int) -> bytes:
        parts, size = [], 0
        while data := await answer.content.readany():
            size += len(data)
            if size > limit:
                raise EngineFailed("answer", f"the answer is longer than {limit} bytes")
            parts.append(data)
        return b"".join(parts)


def _ready(url: str) -> URL:
    """As it is: what needs quoting is quoted."""
    return URL(url, encoded=True)
