"""A wire between two programs on loopback that can be cut: connections through it end, new ones are refused."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.ports import free_port
from tests.support.serving import Connections


class Relay:
    """From ``port`` to another port of 127.0.0.1. On the event loop that it was started on."""

    def __init__(self, to: int) -> None:
        self.port = free_port()  # one that is still free while it is cut
        self._to = to
        self._server: asyncio.Server | None = None
        self._connections = Connections(self._carry)

    async def mend(self) -> None:
        """Connections are taken, always at the same port."""
        self._server = await asyncio.start_server(self._connections, "127.0.0.1", self.port)

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._connections.cut()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, here = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            return
        try:
            await asyncio.gather(_pass(reader, here), _pass(there, writer))
        finally:
            here.transport.abort()


async def _pass(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Until the source ends; then the target does."""
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    target.close()


@asynccontextmanager
async def relay(to: int) -> AsyncIterator[Relay]:
    found = Relay(to)
    await found.mend()
    try:
        yield found
    finally:
        await found.cut()
