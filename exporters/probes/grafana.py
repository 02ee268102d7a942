"""Grafana: /api/health, which asks its database."""

from __future__ import annotations

from exporters.catalog import services as catalog
from exporters.probes.verdict import Reason, down
from exporters.probes.web import WebProbe, failed, parsed


class Grafana(WebProbe):
    up = catalog.GRAFANA_UP

    async def ask(self) -> Reason | None:
        response = await self.get(f"{self.base}/api/health")
        if response.status not in (200, 503):
            # A redirect to a login page means that Grafana lies behind another path.
            raise failed(response)
        try:
            database = parsed(response).get("database")
        except Exception:
            if response.status == 503:
                raise failed(response) from None
            raise
        if not isinstance(database, str):
            raise down(Reason.UNEXPECTED)
        self.figures.add(catalog.GRAFANA_UP, 1.0)
        return None if database == "ok" and response.status == 200 else Reason.DATABASE
