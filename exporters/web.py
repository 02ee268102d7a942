"""The exporter's pages, on aiohttp: /metrics, /-/healthy and an index. Nothing else is answered and no body is read."""

from __future__ import annotations

import math
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from exporters.exposition import CONTENT_TYPE, Renderer, compress
from exporters.runner import Busy, Runner

# Requests that may wait for a collection at the same time (node_exporter allows 40).
MAX_REQUESTS: Final = 40
MAX_LINE_BYTES: Final = 4096
MAX_FIELD_BYTES: Final = 4096

SCRAPE_TIMEOUT: Final = "X-Prometheus-Scrape-Timeout-Seconds"

_INDEX = """<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Tierwatch exporter</title><h1>Tierwatch exporter</h1>
<p><a href="/metrics">/metrics</a> · <a href="/-/healthy">/-/healthy</a></p>
"""


class Pages:
    """The handlers. The address space is one table in ``application``."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._renderer = Renderer()
        self._waiting = 0

    def application(self) -> web.Application:
        """Routes answer GET and HEAD; other methods get 405 from the router."""
        app = web.Application(middlewares=[refuse_bodies], client_max_size=1)
        app.router.add_get("/", self._index)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/-/healthy", self._healthy)
        return app

    async def _index(self, _: web.Request) -> web.Response:
        return web.Response(text=_INDEX, content_type="text/html")

    async def _healthy(self, _: web.Request) -> web.Response:
        return web.Response(text="Tierwatch exporter is healthy.\n")

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
