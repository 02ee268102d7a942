"""The exporter as an object: start it, ask where it listens, stop it. The command line is elsewhere."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from aiohttp import web

from config.daemon.footprint import give_back
from config.daemon.log import event
from exporters import registry
from exporters.events import Events
from exporters.runner import DEADLINE, Runner
from exporters.web import MAX_FIELD_BYTES, MAX_LINE_BYTES, Pages

_log = logging.getLogger(__name__)

# Seconds an idle connection is kept for the next scrape: longer than usual scrape intervals.
KEEP_ALIVE = 75.0
# Seconds between two times that free memory below what is in use goes back to the system: pages come and go, and what
# stays is allocated between them.
GIVE_BACK_SECONDS = 60.0


class CannotListen(Exception):
    """The address cannot be used; the message says why."""


def why(error: OSError) -> str:
    """A bind error in words, with what to do."""
    if error.errno == errno.EADDRINUSE:
        return "another program listens there (ss -ltnp tells which); stop it, or choose another port with --listen"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address; is it the right node, and is its network up?"
    return os.strerror(error.errno) if error.errno else str(error)


@dataclass(frozen=True, slots=True)
class Options:
    """``listen``: address and port, port 0 takes a free one. ``deadline``: seconds for all collectors of a scrape."""

    settings: registry.Settings
    listen: tuple[str, int]
    disabled: Collection[str] = ()
    deadline: float = DEADLINE


class App:
    """One exporter. To be started once."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._cleanups: list[Callable[[], None]] = []
        self._web: web.AppRunner | None = None
        self._tidying: asyncio.Task[None] | None = None
        self.events: Events | None = None
        """What has changed on this node, after ``start``."""

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, after ``start``."""
        if self._web is None or not self._web.addresses:
            raise RuntimeError("the exporter is not listening")
        host, port = self._web.addresses[0][:2]
        return str(host), int(port)

    async def start(self) -> None:
        """Make the collectors and begin to listen. Raises CannotListen, with nothing left running."""
        self.events = events = Events()
        events.attach()
        settings = replace(self._options.settings, on_stop=self._cleanups.append, changed=events.changed, events=events)
        collectors = registry.build(settings, self._options.disabled)
        self._web = web.AppRunner(
            Pages(Runner(collectors, self._options.deadline), events).application(),
            access_log=None,
            handle_signals=False,
            keepalive_timeout=KEEP_ALIVE,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_FIELD_BYTES,
            lingering_time=0.0,
            shutdown_timeout=3.0,
        )
        await self._web.setup()
        host, port = self._options.listen
        try:
            await web.TCPSite(self._web, host, port).start()
        except OSError as error:
            await self.stop()
            raise CannotListen(f"cannot listen on {host}:{port}: {why(error)}") from error
        self._tidying = asyncio.get_running_loop().create_task(_stay_small(), name="memory")
        host, port = self.address
        event(_log, logging.INFO, "listening", address=f"{host}:{port}", collectors=",".join(collectors))

    async def stop(self) -> None:
        """Finish what is being answered (3 s at most), stop listening, end what collectors have started."""
        if self._tidying is not None:
            self._tidying.cancel()
            await asyncio.wait([self._tidying])
            self._tidying = None
        if self._web is not None:
            await self._web.cleanup()
            self._web = None
        while self._cleanups:
            # These wait for threads and children to end.
            try:
                await asyncio.to_thread(self._cleanups.pop())
            except Exception:  # the others are to end all the same
                _log.exception("a source of readings does not end")


async def _stay_small() -> None:
    while True:
        await asyncio.sleep(GIVE_BACK_SECONDS)
        await asyncio.to_thread(give_back)
