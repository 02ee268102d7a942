"""``tierwatch aggregator``: options, signals, systemd."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from config.daemon.footprint import limit_arenas, map_from, release_startup_garbage
from config.daemon.log import event, to_stderr
from config.daemon.notify import ServiceManager
from config.load import default_directory
from config.problems import ConfigError

if TYPE_CHECKING:
    from alerting.app import App

log = logging.getLogger("alerting")

LARGE_BYTES = 1 << 20  # what a query over days allocates; rules stay far below


def main(argv: Sequence[str]) -> int:
    """Runs until SIGTERM or SIGINT; SIGHUP reads the configuration again. Exit status 0, 2 for a bad configuration, 1
    when it cannot start or a part of it has failed."""
    parser = argparse.ArgumentParser(prog="tierwatch aggregator", description="Watch the cluster and tell people.")
    parser.add_argument("--config", type=Path, default=default_directory(), metavar="DIR", help="default: %(default)s")
    parser.add_argument("--data", type=Path, default=Path("/var/lib/tierwatch"), metavar="DIR", help="%(default)s")
    parser.add_argument("--listen", metavar="HOST:PORT", help="default: the hub's address and port in the inventory")
    parser.add_argument("--verbose", action="store_true", help="log what is only of interest when something is wrong")
    arguments = parser.parse_args(argv)
    early = _Early()
    to_stderr(logging.DEBUG if arguments.verbose else logging.INFO)
    listen = None
    if arguments.listen is not None:
        host, colon, port = arguments.listen.rpartition(":")
        if not colon or not port.isdecimal() or int(port) > 65535:
            parser.error(f"--listen {arguments.listen!r}: expected HOST:PORT, such as 127.0.0.1:9190")
        listen = (host.removeprefix("[").removesuffix("]") or "0.0.0.0", int(port))  # noqa: S104 - asked for in so many words

    limit_arenas()
    map_from(LARGE_BYTES)
    from alerting.app import App, CannotStart, Options
    from alerting.storage.ports import StorageError

    app = App(Options(arguments.config, arguments.data, listen), version=_version())
    try:
        return asyncio.run(serve(app, ServiceManager(os.environ), early))
    except ConfigError as error:
        sys.stderr.write(f"{error}\ntierwatch aggregator: the configuration cannot be used\n")
        return 2
    except (CannotStart, StorageError) as error:
        sys.stderr.write(f"tierwatch aggregator: {error}\n")
        return 1


def _version() -> str:
    try:
        return metadata.version("tierwatch")
    except metadata.PackageNotFoundError:
        return "dev"


class _Early:
    """Remembers a SIGHUP that comes before the event loop listens for it."""

    def __init__(self) -> None:
        self.wanted = False
        signal.signal(signal.SIGHUP, self._note)

    def _note(self, *_: object) -> None:
        self.wanted = True


async def serve(app: App, manager: ServiceManager, early: _Early | None = None) -> int:
    """Start, tell systemd, wait for a signal or a failure, stop. Returns the exit status."""
    stop, wanted = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # From the first moment on: its default would end a process that is still starting.
    loop.add_signal_handler(signal.SIGHUP, wanted.set)
    if early is not None and early.wanted:
        wanted.set()
    await app.start(stop.is_set)
    if not stop.is_set():
        release_startup_garbage()
        manager.tell("READY=1")
    reloading = loop.create_task(_reload_when(wanted, app))
    failed = loop.create_task(app.wait_failed())
    stopped = loop.create_task(stop.wait())
    try:
        while not (stop.is_set() or failed.done() or reloading.done()):
            await asyncio.wait(
                {failed, stopped, reloading}, timeout=manager.heartbeat, return_when=asyncio.FIRST_COMPLETED
            )
            manager.tell("WATCHDOG=1")
        return 0 if stop.is_set() else 1
    finally:
        manager.tell("STOPPING=1")
        for task in (reloading, failed, stopped):
            task.cancel()
        await asyncio.wait({reloading, failed, stopped})
        await app.stop()
        event(log, logging.INFO, "stopped")


async def _reload_when(wanted: asyncio.Event, app: App) -> None:
    """One reload at a time; signals that come meanwhile make one more together. Ends only when half of a configuration
    was taken: then a fresh start is the way to the whole."""
    while True:
        await wanted.wait()
        wanted.clear()
        try:
            await app.reload()
        except Exception:
            log.critical("the new configuration was taken in part only: the aggregator starts again", exc_info=True)
            return
