"""Nginx: its stub_status page where ``path`` names one (https://nginx.org/en/docs/http/ngx_http_stub_status_module.html),
else whether it answers at all."""

from __future__ import annotations

import re

from exporters.catalog import services as catalog
from exporters.probes.verdict import Reason, degraded
from exporters.probes.web import REFUSED, WebProbe
from exporters.wanted import WantedProbe

# Bytes of a page that are read so that the connection can be kept; a larger one costs a new connection each time.
PAGE = 65536
_STUB = re.compile(
    rb"\s*Active connections:\s+(\d+)\s+server accepts handled requests(?: request_time)?\s+"
    rb"(\d+)\s+(\d+)\s+(\d+)(?:\s+\d+)?\s+Reading:\s+(\d+)\s+Writing:\s+(\d+)\s+Waiting:\s+(\d+)\s*$"
)
_METRICS = (
    catalog.NGINX_ACTIVE,
    catalog.NGINX_ACCEPTED,
    catalog.NGINX_HANDLED,
    catalog.NGINX_REQUESTS,
    catalog.NGINX_READING,
    catalog.NGINX_WRITING,
    catalog.NGINX_WAITING,
)


class Nginx(WebProbe):
    up = catalog.NGINX_UP

    def __init__(self, wanted: WantedProbe) -> None:
        super().__init__(wanted)
        self._dropped: int | None = None

    async def ask(self) -> Reason | None:
        response = await self.get(self.wanted.path or "/", prefix=None if self.wanted.path else PAGE)
        self.figures.add(catalog.NGINX_UP, 1.0)
        if not self.wanted.path:
            # 502, 503, 504: nginx runs, what is behind it does not.
            return Reason.BACKEND if response.status >= 500 else None
        if response.status in REFUSED:
            return self.refused()
        if response.status != 200:
            raise degraded(Reason.HTTP_STATUS)
        match = _STUB.match(response.body)
        if match is None:
            raise degraded(Reason.UNEXPECTED)
        values = [int(value) for value in match.groups()]
        for metric, value in zip(_METRICS, values, strict=True):
            self.figures.add(metric, value)
        dropped = values[1] - values[2]
        before, self._dropped = self._dropped, dropped
        return Reason.DROPPING if before is not None and dropped > before else None
