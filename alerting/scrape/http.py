"""Pages over HTTP and HTTPS, within a time and a size; streams of events; a knock. The only door to aiohttp here."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from alerting.scrape.plain import KEEP_S, PlainPages
from alerting.scrape.source import Body, HostGone, NoStream, ScrapeError, reason, refusal, too_large

_ACCEPT = "text/plain;version=0.0.4;q=1,*/*;q=0.1"
_CONNECT_S = 3.0
# Nothing of the machine was heard: no route to it, or no answer on the way.
_GONE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.ETIMEDOUT}


class HttpPages:
    """Pages, and streams of events. Connections are kept open between scrapes; redirects are refused, cookies and
    proxies unused. Pages without TLS are fetched by ``PlainPages``, which does it in less time.

    Use as an async context manager.
    """

    def __init__(self, version: str = "dev") -> None:
        self._headers = {"Accept": _ACCEPT, "User-Agent": f"Tierwatch/{version}"}
        self._plain = PlainPages(self._headers)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._plain.open()
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._plain.close()
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def fetch(
        self,
        url: str,
        timeout: float,  # noqa: ASYNC109
        body_bytes: int,
        *,
        gzip: bool = False,
    ) -> Body:
        """See PageSource. The exporter is told the timeout in X-Prometheus-Scrape-Timeout-Seconds."""
        session = self._opened()
        if url.startswith("http://"):
            return await self._plain.fetch(url, timeout, body_bytes, gzip=gzip)
        with _in_words(url, f"no complete answer within {timeout:g}s"):
            async with session.get(
                URL(url),
                allow_redirects=False,
                headers={
                    "Accept-Encoding": "gzip" if gzip else "identity",
                    "X-Prometheus-Scrape-Timeout-Seconds": f"{timeout:g}",
                },
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
            words = f"cannot connect to {host}:{port}: {reason(error)}"
            raise (HostGone(words) if error.errno in _GONE else ScrapeError(words)) from error
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
        raise ScrapeError(f"cannot connect to {error.host}:{error.port}: {reason(error.os_error)}") from error
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
    encoding = response.headers.get("Content-Encoding", "")
    refused = refusal(response.status, response.reason or "", response.headers.get("Location", ""), encoding)
    if refused:
        response.close()
        raise ScrapeError(refused)
    chunks: list[bytes] = []
    size = response.content_length or 0
    if size <= limit:
        size = 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > limit:
                break
            chunks.append(chunk)
    if size > limit:
        response.close()
        raise too_large(limit)
    return Body(b"".join(chunks), encoding.lower() == "gzip")
