"""/api/v1/targets and scrape_pools."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from alerting.api.answer import json_response, success
from alerting.api.params import Params
from alerting.api.ports import Services
from alerting.api.values import moment
from alerting.promql.format import format_duration
from alerting.scrape.report import TargetView


class TargetHandlers:
    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/v1/targets", self.targets),
            web.get("/api/v1/scrape_pools", self.scrape_pools),
        ]

    async def targets(self, request: web.Request) -> web.Response:
        """``state`` active, dropped or any; ``scrapePool`` a job. Nothing is ever dropped here."""
        params = await Params.of(request)
        pool, state = params.text("scrapePool"), params.text("state").lower()
        active = [
            _target(view)
            for view in self._services.targets.targets()
            if state in ("", "any", "active") and pool in ("", view.target.job)
        ]
        dropped = {} if state == "active" else dict.fromkeys(self._jobs(), 0)
        return json_response(
            request, success({"activeTargets": active, "droppedTargets": [], "droppedTargetCounts": dropped})
        )

    async def scrape_pools(self, request: web.Request) -> web.Response:
        return json_response(request, success({"scrapePools": self._jobs()}))

    def _jobs(self) -> list[str]:
        return sorted({view.target.job for view in self._services.targets.targets()})


def _target(view: TargetView) -> dict[str, Any]:
    target = view.target
    url = urlsplit(target.url)
    interval, timeout = (format_duration(round(seconds * 1000)) for seconds in (target.interval, target.timeout))
    own = {name: value for name, value in target.labels if name != "instance"}
    return {
        "discoveredLabels": {
            "__address__": url.netloc,
            "__metrics_path__": url.path,
            "__scheme__": url.scheme,
            "__scrape_interval__": interval,
            "__scrape_timeout__": timeout,
            **own,
        },
        "labels": dict(target.labels),
        "scrapePool": target.job,
        "scrapeUrl": target.url,
        "globalUrl": target.url,
        "lastError": view.last_error,
        "lastScrape": moment(view.last_scrape_ms),
        "lastScrapeDuration": view.duration,
        "health": view.health,
        "scrapeInterval": interval,
        "scrapeTimeout": timeout,
    }
