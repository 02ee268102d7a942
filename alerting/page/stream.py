"""The page over HTTP: its files, and one held stream (server-sent events) for each browser that looks.

The status is worked out only while somebody looks, once for all of them, and sent when it changed; a beat each few
seconds tells the browser that silence is not a broken line.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib import resources
from typing import Any

from aiohttp import web

log = logging.getLogger(__name__)

# Works the status out; may take a while (queries run in a thread).
StatusSource = Callable[[], Awaitable[dict[str, Any]]]

_MAX_VIEWERS = 32
_REFRESH_SECONDS = 5.0
_BEAT_SECONDS = 5.0
_STUCK_SECONDS = 30.0
_FILES = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
_HEADERS = {
    # Nothing from elsewhere, no inline code: a label that looks like markup stays a label.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class Page:
    """Serves ``/``, ``/page/*`` and ``/page/stream``. ``run`` must be running for the stream to move."""

    def __init__(self, source: StatusSource, refresh_seconds: float = _REFRESH_SECONDS) -> None:
        self._source = source
        self._refresh_seconds = refresh_seconds
        self._viewers: set[asyncio.Event] = set()
        self._payload = b""
        self._wake = asyncio.Event()
        self._asked = asyncio.Lock()
        self._closing = False

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/", self._index)
        app.router.add_get("/page/stream", self._stream)
        app.router.add_get("/page/status.json", self._status)
        app.router.add_get("/page/{name}", self._file)

    @property
    def viewers(self) -> int:
        return len(self._viewers)

    def changed(self) -> None:
        """Something worth showing happened (a node went, an alert fired): do not wait for the next refresh."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled: work the status out while somebody looks."""
        while True:
            with suppress(TimeoutError):
                # A viewer that comes sets it: nobody, nothing to do.
                async with asyncio.timeout(self._refresh_seconds if self._viewers else None):
                    await self._wake.wait()
            self._wake.clear()
            if self._viewers:
                await self._update()

    async def close(self) -> None:
        """Let every held stream end, so that the server can stop."""
        self._closing = True
        for viewer in self._viewers:
            viewer.set()

    async def _update(self) -> None:
        try:
            status = _json(await self._source())
        except Exception:
            # The page must outlive a bad query; the browser sees the age of what it shows.
            log.exception("the page's status could not be worked out")
            return
        self._payload = b"event: status\ndata: " + status.encode() + b"\n\n"
        for viewer in self._viewers:
            viewer.set()

    async def _index(self, _request: web.Request) -> web.Response:
        return web.Response(body=_read("index.html"), content_type="text/html", charset="utf-8", headers=_HEADERS)

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in _FILES:
            raise web.HTTPNotFound(text="page not found")
        return web.Response(body=_read(name), content_type=_FILES[name], charset="utf-8", headers=_HEADERS)

    async def _status(self, _request: web.Request) -> web.Response:
        # One after the other: many requests must not take the threads that the alerts need.
        async with self._asked:
            status = _json(await self._source())
        return web.Response(text=status, content_type="application/json", headers=_HEADERS)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if len(self._viewers) >= _MAX_VIEWERS:
            raise web.HTTPServiceUnavailable(text=f"{_MAX_VIEWERS} browsers look already")
        response = web.StreamResponse(
            headers={**_HEADERS, "Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
        )
        await response.prepare(request)
        viewer = asyncio.Event()
        self._viewers.add(viewer)
        self.changed()
        try:
            while not self._closing:
                try:
                    async with asyncio.timeout(_BEAT_SECONDS):
                        await viewer.wait()
                except TimeoutError:
                    await _send(request, response, b"event: beat\ndata: 1\n\n")
                    continue
                viewer.clear()
                if not self._closing:
                    await _send(request, response, self._payload)
        except ConnectionError:
            log.debug("a browser went away")
        finally:
            self._viewers.discard(viewer)
        return response


async def _send(request: web.Request, response: web.StreamResponse, data: bytes) -> None:
    """Raises ConnectionError when the browser is gone, or takes nothing for long: a phone that sleeps may hold its
    connection for hours, and its place is for others."""
    try:
        async with asyncio.timeout(_STUCK_SECONDS):
            await response.write(data)
    except TimeoutError as error:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionAbortedError("nothing was read for too long") from error


def _json(status: dict[str, Any]) -> str:
    """On one line. Raises ValueError for a number that browsers could not read (NaN, infinity)."""
    return json.dumps(status, separators=(",", ":"), allow_nan=False)


def _read(name: str) -> bytes:
    return resources.files("alerting.page").joinpath("static", name).read_bytes()
