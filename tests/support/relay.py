"""A wire between two programs on loopback that can be cut: connections through it end, new ones are refused."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.ports import free_port


class Relay:
    """From ``port`` to another port of 127.0.0.1. On the event loop that it was started on."""

    def __init__(self, to: int) -> None:
        self.port = free_port()  # one that is still free while it is cut
        self._to = to
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()

    async def mend(self) -> None:
        """Connections are taken, always at the same port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for end in list(self._ends):
            end.transport.abort()
        while self._ends:  # noqa: ASYNC110  # each end takes itself out
            await asyncio.sleep(0.005)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.add(writer)
        try:
            there, here = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            self._end(writer)
            return
        self._ends.add(here)
        await asyncio.gather(self._pass(reader, here), self._pass(there, writer))

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError):
                while data := await source.read(65536):
                    target.write(data)
                    await target.drain()
        finally:
            self._end(target)

    def _end(self, writer: asyncio.StreamWriter) -> None:
        self._ends.discard(writer)
        writer.close()


@asynccontextmanager
async def relay(to: int) -> AsyncIterator[Relay]:
    found = Relay(to)
    await found.mend()
    try:
        yield found
    finally:
        await found.cut()
