"""The only place of the scraper that knows aiohttp: one page, within a time and a size; a stream of events; a knock."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Protocol, Self

import aiohttp
from yarl import URL

_ACCEPT = "text/plain;version=0.0.4;q=1,*/*;q=0.1"
_GZIP = 16 + zlib.MAX_WBITS
_KEEP_ALIVE_S = 300.0
_CONNECT_S = 3.0
# Nothing of the machine was heard: no route to it, or no answer on the way.
_GONE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.ETIMEDOUT}


class ScrapeError(Exception):
    """The page could not be had; the message says why, in words for the owner."""


class NoStream(Exception):
    """The server answers and has no stream of events: an exporter of another make, or of an older version."""


class HostGone(Exception):
    """The machine itself does not answer (not: nobody listens there); the message says how."""


@dataclass(frozen=True, slots=True)
class Body:
    """A page as it came: at most the limit long, maybe compressed."""

    data: bytes
    gzip: bool


class PageSource(Protocol):
    """Where pages come from."""

    async def fetch(self, url: str, timeout: float, body_bytes: int) -> Body:  # noqa: ASYNC109 (sent to the exporter)
        """The page of a URL within ``timeout`` seconds and ``body_bytes``. Raises ScrapeError."""


class EventSource(Protocol):
    """Where streams of events come from."""

    def listen(self, url: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """An open stream: its bytes as they come, until it ends. Raises NoStream, ScrapeError (also while reading)."""

    async def knock(self, url: str, timeout: float) -> None:  # noqa: ASYNC109
        """Whether the machine of a URL is there: a connection, nothing else. Raises HostGone, ScrapeError."""


class HttpPages:
    """Pages over HTTP, and streams of events. Connections are kept open between scrapes; redirects are refused,
    cookies and proxies unused.

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
        with _in_words(url, f"no complete answer within {timeout:g}s"):
            async with self._opened().get(
                URL(url),
                allow_redirects=False,
                headers={"X-Prometheus-Scrape-Timeout-Seconds": f"{timeout:g}"},
                timeout=aiohttp.ClientTimeout(total=timeout),
            ) as response:
                return await _body(response, body_bytes)

    @asynccontextmanager
    async def listen(self, url: str) -> AsyncGenerator[AsyncIterator[bytes]]:
        """See EventSource. Who listens sees to it that the stream does not stay silent."""
        with _in_words(url, f"no answer within {_CONNECT_S:g}s"):
            async with contextlib.AsyncExitStack() as stack:
                async with asyncio.timeout(_CONNECT_S):
                    response = await stack.enter_async_context(
                        self._opened().get(
                            URL(url),
                            allow_redirects=False,
                            headers={"Accept": "text/event-stream", "Accept-Encoding": "identity"},
                            timeout=aiohttp.ClientTimeout(total=None),
                        )
                    )
                stack.callback(response.close)  # a stream is not read to its end to save the connection
                if response.status == HTTPStatus.SERVICE_UNAVAILABLE:
                    raise ScrapeError("server returned HTTP status 503")
                if response.status != HTTPStatus.OK or response.content_type != "text/event-stream":
                    raise NoStream(f"{url} is no stream of events (HTTP status {response.status})")
                yield response.content.iter_any()

    async def knock(self, url: str, timeout: float) -> None:  # noqa: ASYNC109
        """See EventSource. On a connection of its own: one that is kept open says nothing of the machine now."""
        where = URL(url)
        host, port = where.host or "", where.port or 80
        try:
            async with asyncio.timeout(timeout):
                _, writer = await asyncio.open_connection(host, port)
        except TimeoutError as error:
            raise HostGone(f"cannot connect to {host}:{port}: no answer within {timeout:g}s") from error
        except OSError as error:
            reason = f"cannot connect to {host}:{port}: {_reason(error)}"
            raise (HostGone(reason) if error.errno in _GONE else ScrapeError(reason)) from error
        writer.transport.abort()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise ScrapeError("the scraper is not started")
        return self._session


@contextlib.contextmanager
def _in_words(url: str, late: str) -> Iterator[None]:
    """What aiohttp raises, as ScrapeError; ``late``: what a timeout means."""
    try:
        yield
    except TimeoutError as error:
        raise ScrapeError(late) from error
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
