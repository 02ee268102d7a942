"""A server that answers badly on purpose: each behaviour is a coroutine that gets the connection after the request."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from tests.support.serving import Connections

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class HostileServer:
    """``behaviour`` may be exchanged at any time. ``sent`` counts bytes, ``requests`` the heads that came."""

    def __init__(self, behaviour: Behaviour, scheme: str = "http") -> None:
        self.behaviour = behaviour
        self.scheme = scheme
        self.requests: list[str] = []
        self.connections = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/metrics"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(head.decode())
                await self.behaviour(reader, writer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def hostile(
    behaviour: Behaviour, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[HostileServer]:
    """A server on a free port of a loopback address. What still hangs at the end is cut."""
    server = HostileServer(behaviour, "http" if tls is None else "https")
    connections = Connections(server.serve)
    listener = await asyncio.start_server(connections, host, 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        await connections.cut()
        await listener.wait_closed()


def answer(body: bytes, *, status: str = "200 OK", headers: str = "", length: int | None = None) -> Behaviour:
    """A whole answer; ``length`` lies about the size."""

    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = len(body) if length is None else length
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n{headers}\r\n".encode() + body)
        if length is not None:
            await writer.drain()
            raise ConnectionResetError

    return behave


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Take the request, say nothing."""
    await reader.read()


async def hang_up(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """Take the request and close."""
    raise ConnectionResetError


async def half_close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send half of the answer, then end our direction."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\na 1\nb 2\n")
    writer.write_eof()


async def slow_drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A byte now and then, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"a 1\n")
        await writer.drain()
        await asyncio.sleep(0.02)


def endless(total: int, counted: list[int]) -> Behaviour:
    """``total`` bytes of a page without saying how long it is; ``counted`` gets how many were taken."""

    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        piece = b"".join(b'metric_with_a_name{number="%d"} 1\n' % n for n in range(2000))
        sent = 0
        try:
            while sent < total:
                writer.write(piece)
                await writer.drain()
                sent += len(piece)
                counted[:] = [sent]
        finally:
            writer.close()

    return behave


async def old_http(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """HTTP/1.0 without a length, ended by closing: good, but nothing says whether it is whole."""
    writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\na 1\n")
    await writer.drain()
    raise ConnectionResetError


async def cut_chunks(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A chunked answer that stops between two chunks, at the end of a line."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na 1\n\r\n")
    await writer.drain()
    raise ConnectionResetError


async def endless_headers(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A head that never ends."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    number = 0
    while True:
        writer.write(b"".join(b"X-%d: %b\r\n" % (n, b"y" * 4000) for n in range(number, number + 100)))
        number += 100
        await writer.drain()


async def garbage_bytes(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Not HTTP at all."""
    writer.write(b"\x00\x01\x02SSH-2.0-OpenSSH\r\n\r\n")
    await writer.drain()
    raise ConnectionResetError


def bomb(size: int) -> bytes:
    """A gzip stream that unpacks to ``size`` bytes of a valid-looking page."""
    return gzip.compress(b"a 1\n" * (size // 4), compresslevel=9)
