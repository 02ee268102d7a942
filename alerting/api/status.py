"""/api/v1/status/*, health and readiness, the page of our own metrics."""

from __future__ import annotations

import asyncio
import os
import platform
import threading
from pathlib import Path

from aiohttp import web

from alerting.api.answer import HEADERS, compress, json_response, success
from alerting.api.ports import Services
from alerting.api.values import moment
from alerting.promql.format import format_duration

# The Prometheus whose API this is. Clients (Grafana) decide by it what they may ask for.
SPEAKS = "2.55.0"
_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
_NO_RELOAD = "Reloading over HTTP is off: send SIGHUP to the aggregator.\n"


class StatusHandlers:
    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/v1/status/buildinfo", self.buildinfo),
            web.get("/api/v1/status/runtimeinfo", self.runtimeinfo),
            web.get("/api/v1/status/config", self.config),
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
                    "reloadConfigSuccess": config.ok,
                    "lastConfigTime": moment(config.loaded_ms),
                    "corruptionCount": 0,
                    "goroutineCount": threading.active_count(),
                    "GOMAXPROCS": os.cpu_count() or 1,
                    "GOGC": "",
                    "GODEBUG": "",
                    "storageRetention": format_duration(round(services.retention * 1000)),
                }
            ),
        )

    async def config(self, request: web.Request) -> web.Response:
        return json_response(request, success({"yaml": self._services.config().text}))

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
        page = await asyncio.to_thread(self._services.metrics)
        response = web.Response(body=page, headers={**HEADERS, "Content-Type": _EXPOSITION})
        compress(request, response, len(page))
        return response
