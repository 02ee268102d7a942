"""The only place of the scraper that knows aiohttp: one page, within a time and a size."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Protocol, Self

import aiohttp
from yarl import URL

_ACCEPT = "text/plain;version=0.0.4;q=1,*/*;q=0.1"
_GZIP = 16 + zlib.MAX_WBITS
_KEEP_ALIVE_S = 300.0


class ScrapeError(Exception):
    """The page could not be had; the message says why, in words for the owner."""


@dataclass(frozen=True, slots=True)
class Body:
    """A page as it came: at most the limit long, maybe compressed."""

    data: bytes
    gzip: bool


class PageSource(Protocol):
    """Where pages come from."""

    async def fetch(self, url: str, timeout: float, body_bytes: int) -> Body:  # noqa: ASYNC109 (sent to the exporter)
        """The page of a URL within ``timeout`` seconds and ``body_bytes``. Raises ScrapeError."""


class HttpPages:
    """Pages over HTTP. Connections are kept open between scrapes; redirects are refused, cookies and proxies unused.

    Use as an async context manager.
    """

    def __init__(self, version: str = "dev") -> None:
        self._headers = {"Accept": _ACCEPT, "Accept-Encoding": "gzip", "User-Agent": f"Tierwatch/{version}"}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def fetch(self, url: str, timeout: float, body_bytes: int) -> Body:  # noqa: ASYNC109
        """See PageSource. The exporter is told the timeout in X-Prometheus-Scrape-Timeout-Seconds."""
        if self._session is None:
            raise ScrapeError("the scraper is not started")
        try:
            async with self._session.get(
                URL(url),
                allow_redirects=False,
                headers={"X-Prometheus-Scrape-Timeout-Seconds": f"{timeout:g}"},
                timeout=aiohttp.ClientTimeout(total=timeout),
            ) as response:
                return await _body(response, body_bytes)
        except TimeoutError as error:
            raise ScrapeError(f"no complete answer within {timeout:g}s") from error
        except aiohttp.ClientConnectorError as error:
            raise ScrapeError(f"cannot connect to {error.host}:{error.port}: {_reason(error.os_error)}") from error
        except aiohttp.ServerDisconnectedError as error:
            raise ScrapeError("the server closed the connection without an answer") from error
        except aiohttp.ClientPayloadError as error:
            raise ScrapeError("the connection ended in the middle of the page") from error
        except aiohttp.InvalidURL as error:
            raise ScrapeError(f"{url} is not a URL") from error
        except aiohttp.ClientResponseError as error:
            raise ScrapeError(f"the answer is not HTTP: {error.message.strip().splitlines()[0]}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ScrapeError(f"the connection failed: {error}") from error


async def _body(response: aiohttp.ClientResponse, limit: int) -> Body:
    """Read at most ``limit`` bytes; an answer that is refused is not read to its end."""
    refused = _refusal(response, limit)
    if refused:
        response.close()
        raise ScrapeError(refused)
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > limit:
            response.close()
            raise ScrapeError(_too_large(limit))
        chunks.append(chunk)
    return Body(b"".join(chunks), response.headers.get("Content-Encoding", "").lower() == "gzip")


def _refusal(response: aiohttp.ClientResponse, limit: int) -> str:
    """Why this answer is no page, from its head alone; empty when it may be one."""
    status = response.status
    if 300 <= status < 400:
        where = response.headers.get("Location", "nowhere")[:200]
        return f"server answered with a redirect to {where}: not followed, put that path in the inventory"
    if status != HTTPStatus.OK:
        return f"server returned HTTP status {status} {response.reason or ''}".rstrip()
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "gzip", ""):
        return f"server sent Content-Encoding {encoding[:40]}, which was not asked for"
    if (response.content_length or 0) > limit:
        return _too_large(limit)
    return ""


def _reason(error: OSError) -> str:
    """Connection refused (the host is there) or no route to it (it is not): the owner does different things then.
    asyncio puts the address in the place of those words."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)


def _too_large(limit: int) -> str:
    return f"the page is larger than {limit} bytes (limits.body_bytes)"


def inflate(data: bytes, limit: int) -> bytes:
    """Unpack a gzip body into at most ``limit`` bytes. Raises ScrapeError; never holds more than the limit."""
    unpacker = zlib.decompressobj(_GZIP)
    try:
        page = unpacker.decompress(data, limit + 1)
    except zlib.error as error:
        raise ScrapeError(f"the compressed page is damaged: {error}") from error
    if len(page) > limit:
        raise ScrapeError(_too_large(limit))
    if not unpacker.eof:
        raise ScrapeError("the compressed page is cut off")
    return page
