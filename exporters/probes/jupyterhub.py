"""JupyterHub: its API through the proxy that people use. A 503 is the proxy's word that the hub behind it is gone."""

from __future__ import annotations

from exporters.probes.verdict import Reason, degraded, down
from exporters.probes.web import WebProbe, failed, parsed, text

# Seconds; its event loop answers within milliseconds unless something blocks it.
SLOW = 1.0


class JupyterHub(WebProbe):
    async def ask(self) -> Reason | None:
        response = await self.get(f"{self.base}/hub/api")
        if response.status == 503:
            raise down(Reason.BACKEND)
        if response.status != 200:
            raise failed(response)
        if not text(parsed(response).get("version")):
            raise down(Reason.UNEXPECTED)
        if response.phases.get("processing", 0.0) > SLOW:
            raise degraded(Reason.SLOW)
        return None
