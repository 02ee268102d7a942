"""MinIO: its health pages, whose 200 says little without their headers; another S3 server by its refusal at ``/``."""

from __future__ import annotations

from exporters.catalog import services as catalog
from exporters.probes.verdict import Reason, degraded, down
from exporters.probes.web import WebProbe, failed

_STATUS = "x-minio-server-status"
# It lives and takes no more requests, in S3's words; a 503 without them is none of its own.
_TOO_MANY = (b"<Code>SlowDown", b"<Code>TooManyRequests<", b"<Code>Busy<")
_WORDS = 1024


class Minio(WebProbe):
    async def ask(self) -> Reason | None:
        live = await self.get(f"{self.base}/minio/health/live", prefix=_WORDS)
        if live.status in (403, 404):
            return await self._other()
        if live.headers.get(_STATUS) == "offline":
            raise down(Reason.OFFLINE)
        if live.status == 503 and any(code in live.body for code in _TOO_MANY):
            raise degraded(Reason.QUEUE_FULL)
        if live.status != 200:
            raise failed(live)
        cluster = await self.get(f"{self.base}/minio/health/cluster", prefix=0)
        healing = cluster.headers.get("x-minio-healing-drives", "")
        self.figures.add(catalog.MINIO_HEALING, float(healing) if healing.isdecimal() and len(healing) < 9 else None)
        if cluster.headers.get(_STATUS) == "offline":
            raise down(Reason.OFFLINE)
        if cluster.status == 503:
            raise down(Reason.QUORUM)
        if cluster.status != 200:
            raise failed(cluster)
        if cluster.headers.get(_STATUS):  # bucket-metadata-offline, iam-offline
            return Reason.OFFLINE
        return Reason.HEALING if healing.strip("0") else None

    async def _other(self) -> Reason | None:
        """Any S3 server refuses a stranger in S3's own words."""
        response = await self.get(f"{self.base}/")
        if response.status < 500 and (b"AccessDenied" in response.body or b"<ListAllMyBucketsResult" in response.body):
            return None
        raise degraded(Reason.UNEXPECTED) if response.status < 500 else failed(response)
