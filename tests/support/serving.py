"""What ``asyncio.start_server`` is given as its callback, so that a server leaves nothing behind.

A coroutine given to it would be a task that nobody ends; and one that is ended before its first step has never run, so
that nothing in it can close the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


class Connections:
    """``serve`` runs for every connection, which is closed after it, however that ended."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._open: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}

    def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def over(task: asyncio.Task[None]) -> None:
            del self._open[writer]
            writer.close()
            if not task.cancelled():
                task.exception()  # a client that leaves early is no fault of a test's

        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._open[writer] = task
        task.add_done_callback(over)

    async def cut(self) -> None:
        """End every connection, also those that were accepted a moment ago. To be called when nobody listens any more,
        or who connects meanwhile is not cut."""
        for _ in range(3):  # an accepted socket becomes a connection in so many turns of the loop
            await asyncio.sleep(0)
        ends = dict(self._open)
        for writer, task in ends.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*ends.values(), return_exceptions=True)
        await asyncio.sleep(0)  # the sockets close now
