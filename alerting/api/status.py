"""/api/v1/status/*, health and readiness, the page of our own metrics."""

from __future__ import annotations

import asyncio
import os
import platform
import re
import threading
from pathlib import Path

from aiohttp import web

from alerting.api.answer import HEADERS, ApiError, compress, json_response, success
from alerting.api.cardinality import WINDOW_MS, head_status
from alerting.api.params import Params
from alerting.api.pool import QueryPool
from alerting.api.ports import Services
from alerting.api.series import index_of
from alerting.api.values import moment
from alerting.promql.budget import Patience
from alerting.promql.format import format_duration

# The Prometheus whose API this is. Clients (Grafana) decide by it what they may ask for.
SPEAKS = "2.55.0"
MOST_STATS = 10_000
_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
_NO_RELOAD = "Reloading over HTTP is off: send SIGHUP to the aggregator.\n"


class StatusHandlers:
    def __init__(self, services: Services, pool: QueryPool) -> None:
        self._services = services
        self._pool = pool
        self._rendering = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/v1/status/buildinfo", self.buildinfo),
            web.get("/api/v1/status/runtimeinfo", self.runtimeinfo),
            web.get("/api/v1/status/config", self.config),
            web.get("/api/v1/status/tsdb", self.tsdb),
            web.get("/api/v1/status/walreplay", self.walreplay),
            web.get("/api/v1/alertmanagers", self.alertmanagers),
            web.get("/-/healthy", self.healthy),
            web.get("/-/ready", self.ready),
            web.post("/-/reload", self.reload),
            web.put("/-/reload", self.reload),
            web.get("/metrics", self.metrics),
        ]

    async def buildinfo(self, request: web.Request) -> web.Response:
        # Without the key "features": a filled one means Mimir to Grafana.
        return json_response(
            request,
            success(
                {
                    "version": SPEAKS,
                    "revision": f"tierwatch-{self._services.version}",
                    "branch": "tierwatch",
                    "buildUser": "",
                    "buildDate": "",
                    "goVersion": f"python{platform.python_version()}",
                }
            ),
        )

    async def runtimeinfo(self, request: web.Request) -> web.Response:
        services, config = self._services, self._services.config()
        return json_response(
            request,
            success(
                {
                    "startTime": moment(services.started_ms),
                    "CWD": str(Path.cwd()),
                    "hostname": platform.node(),
                    "serverTime": moment(services.clock.now_ms()),
                    "reloadConfigSuccess": config.ok,
                    "lastConfigTime": moment(config.loaded_ms),
                    "corruptionCount": 0,
                    "goroutineCount": threading.active_count(),
                    "GOMAXPROCS": os.cpu_count() or 1,
                    "GOMEMLIMIT": (1 << 63) - 1,  # what Go says where there is no limit
                    "GOGC": "",
                    "GODEBUG": "",
                    "storageRetention": format_duration(round(services.retention * 1000)),
                }
            ),
        )

    async def config(self, request: web.Request) -> web.Response:
        return json_response(request, success({"yaml": self._services.config().text}))

    async def tsdb(self, request: web.Request) -> web.Response:
        params = await Params.of(request)
        text = params.text("limit") or "10"
        if not re.fullmatch(r"\+?[0-9]{1,9}", text) or int(text) < 1:
            raise ApiError("bad_data", "limit must be a positive number")
        if int(text) > MOST_STATS:
            raise ApiError("bad_data", f"limit must not exceed {MOST_STATS}")
        now_ms = self._services.clock.now_ms()

        def work(_: Patience) -> bytes:
            index, told = index_of(self._services)
            series = index.series([], now_ms - WINDOW_MS, now_ms)
            return success(head_status(series, now_ms, int(text)), told)

        return json_response(request, await self._pool.run(request, work))

    async def walreplay(self, request: web.Request) -> web.Response:
        """Nothing is replayed once requests are answered: the store is read before."""
        return json_response(request, success({"min": 0, "max": 0, "current": 0}))

    async def alertmanagers(self, request: web.Request) -> web.Response:
        return json_response(request, success({"activeAlertmanagers": [], "droppedAlertmanagers": []}))

    async def healthy(self, _: web.Request) -> web.Response:
        return web.Response(text="Tierwatch is Healthy.\n", headers=HEADERS)

    async def ready(self, _: web.Request) -> web.Response:
        reason = self._services.not_ready()
        if reason:
            return web.Response(status=503, text=f"Tierwatch is not ready: {reason}\n", headers=HEADERS)
        return web.Response(text="Tierwatch is Ready.\n", headers=HEADERS)

    async def reload(self, _: web.Request) -> web.Response:
        return web.Response(status=403, text=_NO_RELOAD, headers=HEADERS)

    async def metrics(self, request: web.Request) -> web.Response:
        # One after the other: many requests must not take the threads that the alerts need.
        async with self._rendering:
            page = await asyncio.to_thread(self._services.metrics)
        response = web.Response(body=page, headers={**HEADERS, "Content-Type": _EXPOSITION})
        compress(request, response, len(page))
        return response
