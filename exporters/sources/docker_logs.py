"""Follows what one container writes, as long as the exporter runs: over restarts of the container and of Docker."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from exporters.sources.docker_engine import Engine, EngineFailed, NoSuchContainer

log = logging.getLogger(__name__)

# A container that is away is another collector's news; its log can wait.
FIRST_BACKOFF, LONGEST_BACKOFF = 1.0, 15.0
# Of a line without an end, only so many bytes are kept.
MAX_LINE = 8192
STOP_SECONDS = 5.0


class LogFollower:
    """Gives each line to ``take``, on the event loop it was started on. ``heard``: whether the log was ever read."""

    def __init__(
        self,
        engine: Engine,
        container: str,
        take: Callable[[bytes], None],
        *,
        wall: Callable[[], float],
        first_backoff: float = FIRST_BACKOFF,
    ) -> None:
        """``container``: its name, which a recreated one has again. ``wall``: seconds since the epoch. A line may begin
        with the daemon's frame: it is to be searched, not matched."""
        self.heard = False
        self._engine = engine
        self._container = container
        self._take = take
        self._wall = wall
        self._first_backoff = first_backoff
        self._since = 0.0
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begins on the running event loop; again does nothing."""
        if self._task is None:
            self._since = self._wall()
            self._loop = asyncio.get_running_loop()
            self._task = self._loop.create_task(self._run(), name=f"log of {self._container}")

    def stop(self) -> None:
        """Ends it. To be called from another thread while the loop runs; blocks for a moment."""
        if self._loop is not None and self._task is not None:
            asyncio.run_coroutine_threadsafe(self.aclose(), self._loop).result(STOP_SECONDS + 1)

    async def aclose(self) -> None:
        """Ends it, on its event loop."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task], timeout=STOP_SECONDS)

    async def _run(self) -> None:
        backoff = self._first_backoff
        await self._engine.open()
        try:
            while True:
                try:
                    if await self._follow():
                        backoff = self._first_backoff
                except (EngineFailed, NoSuchContainer) as failure:
                    log.debug("log of %s: %s", self._container, failure)
                except Exception:
                    # A fault of ours: the exporter goes on without these counts.
                    log.exception("reading the log of %s failed", self._container)
                await asyncio.sleep(backoff * random.uniform(0.8, 1.2))  # noqa: S311  # jitter, not a secret
                backoff = min(2 * backoff, LONGEST_BACKOFF)
        finally:
            await self._engine.close()

    async def _follow(self) -> bool:
        """Until the log ends; whether it said anything."""
        await self._engine.negotiate()
        rest, said = b"", False
        async with self._engine.logs(self._container, self._since) as pieces:
            self.heard = True
            async for piece in pieces:
                said = True
                # What comes while nobody follows is read when somebody does again.
                self._since = self._wall()
                *lines, rest = (rest + piece).split(b"\n")
                rest = rest[-MAX_LINE:]
                for line in lines:
                    self._take(line)
        return said
