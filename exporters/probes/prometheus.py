"""Prometheus: /-/ready, and whether it took its newest configuration."""

from __future__ import annotations

from exporters.probes.verdict import Reason, down
from exporters.probes.web import REFUSED, WebProbe, failed, parsed


class Prometheus(WebProbe):
    async def ask(self) -> Reason | None:
        response = await self.get(f"{self.base}/-/ready")
        if response.status in REFUSED:
            return self.refused()
        if response.status == 503:
            stopping = response.headers.get("x-prometheus-stopping") == "true"
            return Reason.STOPPING if stopping else Reason.STARTING
        if response.status != 200:
            raise failed(response)
        if b"Ready" not in response.body:
            raise down(Reason.UNEXPECTED)
        # Other engines that are ready as Prometheus is do not have this page.
        information = await self.get(f"{self.base}/api/v1/status/runtimeinfo")
        if information.status == 200:
            data = parsed(information).get("data")
            if isinstance(data, dict) and data.get("reloadConfigSuccess") is False:
                return Reason.CONFIGURATION
        return None
