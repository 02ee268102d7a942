"""The exporter's pages, on aiohttp: /metrics, /events, /-/healthy, an index. Nothing else is there, no body is read."""

from __future__ import annotations

import logging
import math
import socket
import time
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from config.daemon.log import event
from exporters.events import BEAT, Events, Listener, TooMany
from exporters.exposition import CONTENT_TYPE, Renderer, compress
from exporters.runner import Busy, Runner

_log = logging.getLogger(__name__)

# Requests that may wait for a collection at the same time (node_exporter allows 40).
MAX_REQUESTS: Final = 40
MAX_LINE_BYTES: Final = 4096
MAX_FIELD_BYTES: Final = 4096

# A stream is cut that was behind at this many beats in a row, or leaves this much unread beyond what the kernel holds.
PATIENCE_BEATS: Final = 8
MAX_UNREAD_BYTES: Final = 32 * 1024
STREAM_KERNEL_BYTES: Final = 4096
# Seconds between two lines of the log about streams that were cut; a metric counts them all.
CUT_LOG_SECONDS: Final = 3600.0
# Milliseconds after which the kernel gives up on a listener that acknowledges nothing. It counts from when the other
# side's room grew small: more than our patience, so that who does not read is told from who has vanished.
STREAM_SILENCE_MS: Final = 30_000

SCRAPE_TIMEOUT: Final = "X-Prometheus-Scrape-Timeout-Seconds"

_INDEX = """<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Tierwatch exporter</title><h1>Tierwatch exporter</h1>
<p><a href="/metrics">/metrics</a> · <a href="/events">/events</a> · <a href="/-/healthy">/-/healthy</a></p>
"""


class Pages:
    """The handlers. The address space is one table in ``application``."""

    def __init__(self, runner: Runner, events: Events) -> None:
        self._runner = runner
        self._events = events
        self._renderer = Renderer()
        self._waiting = 0
        self._cut_logged = float("-inf")

    def application(self) -> web.Application:
        """Routes answer GET and HEAD; other methods get 405 from the router."""
        app = web.Application(middlewares=[refuse_bodies], client_max_size=1)
        app.router.add_get("/", self._index)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/events", self._stream)
        app.router.add_get("/-/healthy", self._healthy)
        app.on_shutdown.append(self._end_streams)
        return app

    async def _index(self, _: web.Request) -> web.Response:
        return web.Response(text=_INDEX, content_type="text/html")

    async def _healthy(self, _: web.Request) -> web.Response:
        return web.Response(text="Tierwatch exporter is healthy.\n")

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: "text/event-stream", hdrs.CACHE_CONTROL: "no-store"})
        if request.method == hdrs.METH_HEAD:
            await response.prepare(request)
            return response
        try:
            listener, first = self._events.listen()
        except TooMany as error:
            return web.Response(status=503, text=f"{error}; try again later.\n")
        cut = False
        try:
            response.force_close()  # the kernel's settings of this connection suit nothing else
            await response.prepare(request)
            limit_unread(request)
            await response.write(first)
            cut = await _tell(request, response, listener)
        except ConnectionError:
            pass  # it left
        finally:
            self._events.leave(listener, cut=cut)
        if cut:
            self._log_cut(request.remote)
        return response

    def _log_cut(self, address: str | None) -> None:
        now = time.monotonic()
        if now - self._cut_logged >= CUT_LOG_SECONDS:
            self._cut_logged = now
            event(_log, logging.WARNING, "cut a stream of events that its listener does not read", address=address)

    async def _end_streams(self, _: web.Application) -> None:
        self._events.end()

    async def _metrics(self, request: web.Request) -> web.Response:
        if self._waiting >= MAX_REQUESTS:
            return web.Response(status=503, text=f"{MAX_REQUESTS} requests are waiting already; try again later.\n")
        self._waiting += 1
        try:
            families = await self._runner.collect(patience(request.headers.get(SCRAPE_TIMEOUT)))
        except Busy as error:
            return web.Response(status=503, text=f"{error}\n")
        finally:
            self._waiting -= 1
        body = self._renderer.render(families)
        headers = {hdrs.CONTENT_TYPE: CONTENT_TYPE, hdrs.VARY: hdrs.ACCEPT_ENCODING}
        if accepts_gzip(request.headers.get(hdrs.ACCEPT_ENCODING, "")):
            body = compress(body)
            headers[hdrs.CONTENT_ENCODING] = "gzip"
        return web.Response(body=body, headers=headers)


async def _tell(request: web.Request, response: web.StreamResponse, listener: Listener) -> bool:
    """Write until the stream is to end; True when it was cut because the other side does not read."""
    due, behind = time.monotonic() + BEAT, 0
    while True:
        await listener.wait(due - time.monotonic())
        if listener.over() or request.transport is None or request.transport.is_closing():
            return False
        unread = request.transport.get_write_buffer_size()
        if time.monotonic() >= due:
            due = max(due + BEAT, time.monotonic())
            behind = behind + 1 if unread else 0
        if behind >= PATIENCE_BEATS or unread > MAX_UNREAD_BYTES:
            request.transport.abort()
            return True
        await response.write(listener.take(read=not unread))


def limit_unread(request: web.Request) -> None:
    """Let little be on its way to a listener: what it does not read shows soon, and costs next to nothing."""
    connection = request.transport.get_extra_info("socket") if request.transport is not None else None
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, STREAM_KERNEL_BYTES)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STREAM_SILENCE_MS)


def patience(header: str | None) -> float | None:
    """Seconds the scraper waits, as it says itself; None when it does not say anything sensible."""
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def accepts_gzip(header: str) -> bool:
    """Whether an Accept-Encoding names gzip (or ``*``) and does not forbid it with ``q=0``."""
    for part in header.lower().split(","):
        coding, _, parameters = part.partition(";")
        if coding.strip() in ("gzip", "*"):
            quality = parameters.replace(" ", "")
            return not (quality.startswith("q=0") and not quality[3:].strip(".0"))
    return False


@web.middleware
async def refuse_bodies(request: web.Request, handler: Handler) -> web.StreamResponse:
    """No page takes a body: one that is announced is refused unread, and the connection is closed."""
    if request.body_exists:
        refusal = web.Response(status=413, text="This server takes no request body.\n")
        refusal.force_close()
        return refusal
    return await handler(request)
