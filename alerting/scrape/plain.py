"""Pages over plain HTTP, for the least that a scrape can cost: a kept connection, one write, mostly one read.

A general HTTP client takes as much time for a page of an exporter as reading and storing it does. Here a request is
bytes that were made before, and an answer goes from the socket's one buffer to its reader (answer.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass, field
from typing import cast

from yarl import URL

from alerting.scrape.answer import Answer
from alerting.scrape.source import Body, ScrapeError, reason

KEEP_S = 300.0
# A page of an exporter and its head mostly fit in; longer ones come in pieces.
_BUFFER_BYTES = 128 * 1024


class Stale(Exception):
    """A connection that was kept open had ended, which shows only when it is used."""


class Connection(asyncio.BufferedProtocol):
    """A connection to one server, asked one thing at a time. What comes unasked ends it."""

    def __init__(self, buffer: memoryview) -> None:
        """``buffer``: where bytes arrive, shared by all connections of a thread."""
        self._buffer = buffer
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None
        self._waiter: asyncio.Future[Body] | None = None
        self._asked = 0
        self._reusable = True
        self._wakes_for = 1

    @property
    def usable(self) -> bool:
        """Whether it may be asked (again), as far as is known."""
        return self._transport is not None and self._reusable

    async def ask(self, request: bytes, limit: int) -> Body:
        """Send a request; the body of its answer, of at most ``limit`` bytes. Raises ScrapeError, and Stale where a
        new connection may be luckier. When cancelled the connection is closed."""
        if self._transport is None:
            raise Stale
        self._answer = Answer(limit)
        waiter: asyncio.Future[Body] = asyncio.get_running_loop().create_future()
        self._waiter = waiter
        self._asked += 1
        self._transport.write(request)
        try:
            return await waiter
        except asyncio.CancelledError:
            self.close()
            if not waiter.cancelled():  # the answer came in the same moment; nobody wants to hear how it ended
                waiter.exception()
            raise
        finally:
            self._answer = self._waiter = None

    def close(self) -> None:
        """At once, whatever is under way."""
        self._reusable = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, _: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        answer, waiter = self._answer, self._waiter
        if answer is None or waiter is None or waiter.done():
            self.close()
            return
        try:
            if answer.feed(bytes(self._buffer[:nbytes])):
                self._complete(answer, waiter)
            else:
                self._wake_for(answer.missing)
        except ScrapeError as error:
            # Its traceback knows this frame, which knows the waiter: a ring that would keep the page for long.
            waiter.set_exception(error.with_traceback(None))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport, self._reusable = None, False
        answer, waiter = self._answer, self._waiter
        if answer is None or waiter is None or waiter.done():
            return
        if self._asked > 1 and not answer.begun:
            waiter.set_exception(Stale())
            return
        try:
            answer.end(broken=exc is not None)
        except ScrapeError as error:
            # A reset is how a server ends that was not done reading; other errors are the network's.
            own = exc is None or isinstance(exc, ConnectionError)
            told = error if own else ScrapeError(f"the connection failed: {reason(exc or error)}")
            waiter.set_exception(told.with_traceback(None))
        else:
            self._complete(answer, waiter)

    def _wake_for(self, size: int) -> None:
        """Read when so many bytes are there, or the connection ended: a page comes in dozens of packets, and waking for
        each of them would cost more than the page. See SO_RCVLOWAT in socket(7)."""
        size = min(max(size, 1), _BUFFER_BYTES)
        if size != self._wakes_for and self._transport is not None:
            self._wakes_for = size
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)

    def _complete(self, answer: Answer, waiter: asyncio.Future[Body]) -> None:
        waiter.set_result(answer.body())
        if answer.reusable:
            self._wake_for(1)
        else:
            self.close()


@dataclass(slots=True)
class _Server:
    """Where a URL leads. ``request``: the whole of it as it was last ``asked`` (timeout, gzip); ``idle``: a connection
    that nobody uses; ``used``: whether it was asked since the last sweep."""

    host: str
    port: int
    head: str
    request: bytes = b""
    asked: tuple[float, bool] | None = None
    idle: Connection | None = None
    used: bool = field(default=True)

    def asking(self, timeout: float, *, gzip: bool) -> bytes:
        """The request; the server is told the ``timeout``, in seconds."""
        if self.asked != (timeout, gzip):
            self.asked = (timeout, gzip)
            encoding = "gzip" if gzip else "identity"
            own = f"Accept-Encoding: {encoding}\r\nX-Prometheus-Scrape-Timeout-Seconds: {timeout:g}\r\n\r\n"
            self.request = (self.head + own).encode("latin-1")
        return self.request


class PlainPages:
    """Pages of ``http://`` URLs. To be used by one event loop; ``open`` and ``close`` it there."""

    def __init__(self, headers: dict[str, str]) -> None:
        """``headers``: sent with every request."""
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._servers: dict[str, _Server] = {}
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._sweeper: asyncio.TimerHandle | None = None

    def open(self) -> None:
        self._sweeper = asyncio.get_running_loop().call_later(KEEP_S, self._sweep)

    def close(self) -> None:
        """Fetches under way are the caller's to cancel."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for server in self._servers.values():
            if server.idle is not None:
                server.idle.close()
        self._servers.clear()

    async def fetch(
        self,
        url: str,
        timeout: float,  # noqa: ASYNC109
        body_bytes: int,
        *,
        gzip: bool = False,
    ) -> Body:
        """See PageSource. The server is told the timeout in X-Prometheus-Scrape-Timeout-Seconds."""
        server = self._servers.get(url)
        if server is None:
            server = self._servers[url] = self._server(url)
        server.used = True
        try:
            async with asyncio.timeout(timeout):
                body, connection = await self._ask(server, server.asking(timeout, gzip=gzip), body_bytes)
        except TimeoutError as error:
            raise ScrapeError(f"no complete answer within {timeout:g}s") from error
        if connection.usable:
            if server.idle is None and self._servers.get(url) is server:
                server.idle = connection
            else:
                connection.close()
        return body

    async def _ask(self, server: _Server, request: bytes, body_bytes: int) -> tuple[Body, Connection]:
        """On the connection that was kept, else on a new one."""
        connection, server.idle = server.idle, None
        if connection is not None and connection.usable:
            with contextlib.suppress(Stale):
                return await connection.ask(request, body_bytes), connection
        connection = await self._connect(server)
        return await connection.ask(request, body_bytes), connection

    async def _connect(self, server: _Server) -> Connection:
        """Raises ScrapeError; an end of the time for it is none (a connection's own time may end before)."""
        loop, host, port = asyncio.get_running_loop(), server.host, server.port
        try:
            _, connection = await loop.create_connection(lambda: Connection(self._buffer), host, port)
        except (OSError, UnicodeError) as error:
            raise ScrapeError(f"cannot connect to {host}:{port}: {reason(error)}") from error
        return connection

    def _server(self, url: str) -> _Server:
        try:
            place = URL(url)
            host, port = place.raw_host, place.port
        except ValueError as error:
            raise ScrapeError(f"{url} is not a URL") from error
        if not host or port is None:
            raise ScrapeError(f"{url} is not a URL")
        first = f"GET {place.raw_path_qs or '/'} HTTP/1.1\r\nHost: {place.host_port_subcomponent}\r\n"
        return _Server(host, port, first + self._headers)

    def _sweep(self) -> None:
        """Close what was not used since the last time: its target is gone, or asked less often than that."""
        for url, server in list(self._servers.items()):
            if server.used:
                server.used = False
            else:
                del self._servers[url]
                if server.idle is not None:
                    server.idle.close()
        self.open()
