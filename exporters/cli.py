"""``tierwatch exporter``: options, the node's entry in the inventory, signals."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import platform
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from config.daemon.footprint import limit_arenas, map_from, no_authorities, release_startup_garbage
from config.daemon.log import event, to_stderr
from config.daemon.notify import ServiceManager
from exporters import board_options, registry
from exporters.collectors import filesystem
from exporters.collectors.own import Identity
from exporters.runner import DEADLINE
from exporters.sources.files import Roots
from exporters.startup import NoEntry, look_up_in_child

if TYPE_CHECKING:
    from exporters.app import App

_log = logging.getLogger("exporters")

# A page's text: it comes and goes and leaves no hole behind. Not what files are read with (64 KiB, hundreds of times a
# scrape): pages of their own for those would cost half as much CPU again.
LARGE_BYTES = 128 * 1024
DOCKER_SOCKET = "/var/run/docker.sock"
CONFIG_HELP = "folder with cluster.yaml; default: $TIERWATCH_CONFIG, else /etc/tierwatch, else config"
NODE_HELP = "this node's name in the inventory; default: $TIERWATCH_NODE, else the node called as this host is"


class Unusable(Exception):
    """The command cannot run as asked; the message tells the user why and what to do."""


def main(argv: Sequence[str]) -> int:
    """Runs until SIGTERM or SIGINT. Exit status 0, 2 for bad options or configuration, 1 when it cannot listen."""
    options = parser().parse_args(argv)
    to_stderr(logging.DEBUG if options.verbose else logging.INFO)
    try:
        settings, listen, disabled = prepare(options)
    except Unusable as error:
        print(f"tierwatch exporter: {error}", file=sys.stderr)  # noqa: T201
        return 2
    limit_arenas()
    map_from(LARGE_BYTES)
    # Only now: what is wrong with the configuration is told without waiting for the web server's import.
    with no_authorities():  # Docker's socket is all that it is a client of
        from exporters.app import App, CannotListen, Options

    app = App(Options(settings, listen, disabled, options.collector_deadline))
    try:
        asyncio.run(serve(app, ServiceManager(os.environ)))
    except CannotListen as error:
        print(f"tierwatch exporter: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Options; those that node_exporter has are spelled as it spells them."""
    found = argparse.ArgumentParser(prog="tierwatch exporter", description="Serve the metrics of one node.")
    found.add_argument("--config", type=Path, metavar="DIR", help=CONFIG_HELP)
    found.add_argument("--node", metavar="NAME", help=NODE_HELP)
    found.add_argument("--listen", metavar="HOST:PORT", help="default: the node's address and exporter_port")
    found.add_argument("--path.procfs", dest="procfs", default="/proc", metavar="DIR", help="default: /proc")
    found.add_argument("--path.sysfs", dest="sysfs", default="/sys", metavar="DIR", help="default: /sys")
    found.add_argument(
        "--path.rootfs", dest="rootfs", default="/", metavar="DIR", help="where the host's root is; default: /"
    )
    found.add_argument(
        "--collector.disable", dest="disable", default="", metavar="A,B", help=f"any of {', '.join(registry.TABLE)}"
    )
    found.add_argument(
        "--collector.deadline",
        dest="collector_deadline",
        type=seconds,
        default=DEADLINE,
        metavar="S",
        help=f"seconds a scrape waits for its collectors, or less when the scraper says so; default: {DEADLINE:g}",
    )
    found.add_argument(
        "--docker.socket",
        dest="docker_socket",
        default=DOCKER_SOCKET,
        metavar="PATH",
        help=f"where Docker is asked about containers; default: {DOCKER_SOCKET}",
    )
    found.add_argument(
        "--collector.textfile.directory",
        dest="textfile",
        default=os.environ.get("TIERWATCH_TEXTFILE_DIRECTORY") or None,
        metavar="DIR",
        help="folder of *.prom files; default: $TIERWATCH_TEXTFILE_DIRECTORY, else none",
    )
    found.add_argument(
        "--collector.filesystem.mount-points-exclude",
        dest="mount_points",
        type=regex,
        default=filesystem.MOUNT_POINTS_EXCLUDE,
        metavar="REGEX",
        help="default: /dev, /proc, /sys and containers' own",
    )
    found.add_argument(
        "--collector.filesystem.fs-types-exclude",
        dest="fs_types",
        type=regex,
        default=filesystem.FS_TYPES_EXCLUDE,
        metavar="REGEX",
        help="default: what holds no files of the user's",
    )
    board_options.add(found)
    found.add_argument("--verbose", action="store_true", help="log what is only of interest when something is wrong")
    return found


def seconds(text: str) -> float:
    """A deadline: more than 0, at most a minute."""
    value = float(text)
    if not 0 < value <= 60:
        raise argparse.ArgumentTypeError("expected seconds, more than 0 and at most 60")
    return value


def regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression: {error}") from error
    return text


def prepare(options: argparse.Namespace) -> tuple[registry.Settings, tuple[str, int], frozenset[str]]:
    """Options and inventory as the application wants them. Raises Unusable."""
    disabled = frozenset(filter(None, options.disable.split(",")))
    if wrong := registry.unknown(disabled):
        raise Unusable(f"--collector.disable: no collector {', '.join(wrong)}; there are {', '.join(registry.TABLE)}")
    try:
        facts = look_up_in_child(options.config, options.node)
    except NoEntry as error:
        raise Unusable(str(error)) from error
    listen = (facts.address, facts.port) if options.listen is None else host_port(options.listen)
    roots = Roots(options.procfs.rstrip("/"), options.sysfs.rstrip("/"), options.rootfs)
    settings = registry.Settings(
        identity=Identity(facts.name, str(facts.tier), facts.board, facts.version, platform.python_version()),
        roots=roots,
        board=board_options.sensors(options, roots),
        textfile_directory=options.textfile,
        mount_points_exclude=options.mount_points,
        fs_types_exclude=options.fs_types,
        services=facts.services,
        ports=facts.ports,
        docker_socket=options.docker_socket,
    )
    return settings, listen, disabled


def host_port(text: str) -> tuple[str, int]:
    """``127.0.0.1:9191``, ``[::1]:9191``, ``:9191`` (every address). Raises Unusable."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise Unusable(f"--listen {text!r}: expected HOST:PORT, such as 127.0.0.1:9191")
    return host.removeprefix("[").removesuffix("]") or "0.0.0.0", int(port)  # noqa: S104  # asked for in so many words


async def serve(app: App, manager: ServiceManager) -> None:
    """Start, tell systemd, wait for a signal, stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # Whoever sends it wants the configuration read again; its default would end the process.
    loop.add_signal_handler(
        signal.SIGHUP, event, _log, logging.WARNING, "SIGHUP: an exporter is restarted, not reloaded"
    )
    try:
        await app.start()
        release_startup_garbage()
        manager.tell("READY=1")
        while not stop.is_set():
            try:
                async with asyncio.timeout(manager.heartbeat):
                    await stop.wait()
            except TimeoutError:
                manager.tell("WATCHDOG=1")
    finally:
        manager.tell("STOPPING=1")
        await app.stop()
        event(_log, logging.INFO, "stopped")
