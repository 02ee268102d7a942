"""Any service over HTTP: the status, and a text that must be on the page."""

from __future__ import annotations

from exporters.probes.verdict import Reason, degraded
from exporters.probes.web import REFUSED, WebProbe, failed


class Http(WebProbe):
    async def ask(self) -> Reason | None:
        wanted = self.wanted
        response = await self.get(wanted.path or "/")
        if wanted.status:
            if response.status not in wanted.status:
                raise failed(response)
        elif response.status in REFUSED:
            return self.refused()
        elif response.status >= 400:
            raise failed(response)
        if wanted.body and wanted.body.encode() not in response.body:
            raise degraded(Reason.UNEXPECTED)
        return None


class Ready(WebProbe):
    """Tierwatch's aggregator: 503 while it starts."""

    async def ask(self) -> Reason | None:
        response = await self.get(f"{self.base}/-/ready")
        if response.status == 503:
            return Reason.STARTING
        if response.status != 200:
            raise failed(response)
        return None
