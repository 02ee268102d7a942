"""SonarQube: /api/system/status, which answers 200 whatever the status; with the system passcode its health too."""

from __future__ import annotations

from collections.abc import Mapping

from exporters.catalog import services as catalog
from exporters.probes.target import password
from exporters.probes.verdict import Reason, degraded, down
from exporters.probes.web import REFUSED, WebProbe, failed, parsed, text

_STATUS: Mapping[str, Reason | None] = {
    "UP": None,
    "STARTING": Reason.STARTING,
    "RESTARTING": Reason.STARTING,
    "DB_MIGRATION_NEEDED": Reason.MIGRATION,
    "DB_MIGRATION_RUNNING": Reason.MIGRATION,
}


class SonarQube(WebProbe):
    up = catalog.SONARQUBE_UP

    def credentials(self) -> dict[str, str]:
        secret = password(self.wanted)
        return {"X-Sonar-Passcode": secret} if secret else {}

    async def ask(self) -> Reason | None:
        response = await self.get(f"{self.base}/api/system/status")
        if response.status != 200:
            raise failed(response)
        status = text(parsed(response).get("status"), 40)
        if status == "DOWN":
            raise down(Reason.UNHEALTHY)
        if status not in _STATUS:
            raise down(Reason.UNEXPECTED)
        self.figures.add(catalog.SONARQUBE_UP, 1.0)
        self.figures.add(catalog.SONARQUBE_STATUS, 1.0, status)
        if reason := _STATUS[status]:
            return reason
        return await self._health() if self.credentials() else None

    async def _health(self) -> Reason | None:
        response = await self.get(f"{self.base}/api/system/health")
        if response.status in REFUSED:
            raise degraded(Reason.CREDENTIALS_REFUSED)
        if response.status != 200:
            raise failed(response)
        health = text(parsed(response).get("health"), 40)
        if health == "RED":
            raise down(Reason.UNHEALTHY)
        return None if health == "GREEN" else Reason.UNHEALTHY
