"""The probes of a node: one thread with a loop of its own, in which each service is watched by a task."""

from __future__ import annotations

import asyncio
import logging
import threading
import zlib
from collections.abc import Callable, Sequence

from exporters.probes import table
from exporters.probes.watch import Pace, Watch
from exporters.wanted import WantedProbe

_log = logging.getLogger(__name__)

# First checks are spread over this time, in seconds: twenty at once would be seen in every service's figures.
SPREAD = 2.0
END_SECONDS = 5.0
# How long a service may take to come after the probes began, in seconds, when the inventory gives it no grace.
FIRST = 60.0


class Probes:
    """To be started once and stopped once. ``watches`` may be read from any thread."""

    def __init__(self, wanted: Sequence[WantedProbe], changed: Callable[[], None]) -> None:
        """``changed`` is told, from the probes' thread, when a service's state becomes another; it must not block."""
        self.watches = [Watch(table.make(one), pace_of(one), changed) for one in wanted]
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._ready = threading.Event()
        # Daemon: a probe that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="probes", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._ready.wait(END_SECONDS)

    def stop(self) -> None:
        """Ends every check where it is and closes its connection. Blocks, for END_SECONDS at most."""
        if self._loop is not None and self._main is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._main.cancel)
        self._thread.join(END_SECONDS)

    def _run(self) -> None:
        try:
            asyncio.run(self._watch_all())
        except asyncio.CancelledError:
            pass
        except Exception:
            _log.exception("the probes have ended")

    async def _watch_all(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._main = asyncio.current_task()
        self._ready.set()
        async with asyncio.TaskGroup() as group:
            for watch in self.watches:
                group.create_task(watch.run(first_delay(watch)))


def first_delay(watch: Watch) -> float:
    """Spread evenly by the service's name, the same at every start."""
    share = zlib.crc32(watch.probe.service.encode()) / 0xFFFFFFFF
    return share * min(SPREAD, watch.pace.interval)


def pace_of(wanted: WantedProbe) -> Pace:
    usual = table.entry_of(wanted)
    return Pace(
        usual.interval if wanted.interval is None else wanted.interval,
        usual.timeout if wanted.timeout is None else wanted.timeout,
        usual.grace if wanted.grace is None else wanted.grace,
        max(FIRST, usual.grace) if wanted.grace is None else wanted.grace,
    )
