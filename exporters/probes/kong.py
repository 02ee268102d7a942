"""Kong: its readiness (/status/ready, 3.3 and later; /status before) and, where its Admin API answers, the health of
each upstream's targets."""

from __future__ import annotations

import time
from urllib.parse import quote

from exporters.catalog import services as catalog
from exporters.probes.http1 import HttpClient, Response
from exporters.probes.stream import Endpoint
from exporters.probes.verdict import Reason, Unwell, degraded, down
from exporters.probes.web import REFUSED, WebProbe, failed, items, parsed, text
from exporters.wanted import WantedProbe

MAX_UPSTREAMS = 20
MAX_TARGETS = 100
UPSTREAMS_EVERY = 15.0
_HEALTH = ("healthchecks_off", "healthy", "unhealthy", "dns_error")


class Kong(WebProbe):
    up = catalog.KONG_UP

    def __init__(self, wanted: WantedProbe) -> None:
        super().__init__(wanted)
        admin = wanted.ports.get("admin")
        self._admin = HttpClient(Endpoint(wanted.addresses, admin, host=wanted.host)) if admin else None
        self._admin_is_status = admin == wanted.port
        self._asked = float("-inf")
        self._targets: list[tuple[str, str, str, str]] = []

    async def ask(self) -> Reason | None:
        try:
            response = await self.get(f"{self.base}/status/ready")
        except ConnectionRefusedError:
            # The Status API is off or listens elsewhere; the Admin API knows it too.
            if self._admin is None or self._admin_is_status:
                raise
            reason = await self._status(await self._admin.get("/status"))
            self.figures.add(catalog.KONG_UP, 1.0)
            return reason or await self._upstreams()
        if response.status in REFUSED:
            return self.refused()
        if response.status == 404:
            reason = await self._status(await self.get(f"{self.base}/status"))
        elif response.status == 503:
            if not response.body:
                raise failed(response)
            reason = reason_of(text(parsed(response).get("message")))
        elif response.status == 200:
            if parsed(response).get("message") != "ready":
                raise down(Reason.UNEXPECTED)
            reason = None
        else:
            raise failed(response)
        self.figures.add(catalog.KONG_UP, 1.0)
        if reason is not None:
            self.figures.add(catalog.KONG_DATASTORE, 0.0 if reason is Reason.DATABASE else None)
            raise degraded(reason)
        return await self._upstreams()

    async def _status(self, response: Response) -> Reason | None:
        if response.status != 200:
            raise failed(response)
        database = parsed(response).get("database")
        if not isinstance(database, dict):
            return None  # without a database there is none to reach
        reachable = database.get("reachable") is True
        self.figures.add(catalog.KONG_DATASTORE, 1.0 if reachable else 0.0)
        return None if reachable else Reason.DATABASE

    async def _upstreams(self) -> Reason | None:
        """DEGRADED when an upstream has targets and none of them is healthy. Without the Admin API nothing is said."""
        if self._admin is None:
            return None
        now = time.monotonic()
        if now - self._asked >= UPSTREAMS_EVERY:
            self._asked = now
            try:
                self._targets = await self._ask_admin(self._admin)
            except (OSError, EOFError, Unwell):
                self._admin.close()
                self._targets = []
        healthy: dict[str, bool] = {}
        for upstream, target, address, health in self._targets:
            for state in _HEALTH:
                value = 1.0 if state == health else 0.0
                self.figures.add(catalog.KONG_TARGET_HEALTH, value, upstream, target, address, state, "http")
            if health in ("healthy", "unhealthy", "dns_error"):
                healthy[upstream] = healthy.get(upstream, False) or health == "healthy"
        return None if all(healthy.values()) else Reason.TARGETS

    async def _ask_admin(self, admin: HttpClient) -> list[tuple[str, str, str, str]]:
        """(upstream, target, address, health) of each target."""
        found: list[tuple[str, str, str, str]] = []
        listed = parsed(await admin.get(f"/upstreams?size={MAX_UPSTREAMS}"))
        for upstream in items(listed, "data")[:MAX_UPSTREAMS]:
            name = text(upstream.get("name"))
            if not name:
                continue
            answer = parsed(await admin.get(f"/upstreams/{quote(name, safe='')}/health"))
            for entry in items(answer, "data"):
                target, health = text(entry.get("target")), text(entry.get("health")).lower()
                if health in _HEALTH and len(found) < MAX_TARGETS:
                    found.append((name, target, target, health))
        return found

    def close(self) -> None:
        super().close()
        if self._admin is not None:
            self._admin.close()


def reason_of(message: str) -> Reason:
    """What the body of a 503 of /status/ready says (kong/status/ready.lua)."""
    if "draining" in message:
        return Reason.STOPPING
    if "database" in message:
        return Reason.DATABASE
    if "no configuration" in message:
        return Reason.CONFIGURATION
    return Reason.STARTING
