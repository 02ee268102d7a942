"""The table of collectors: name, what makes it, which nodes have it. Nothing registers itself."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from exporters import clock
from exporters.collector import Collector
from exporters.collectors import filesystem
from exporters.collectors.board import COLLECTORS as BOARD_COLLECTORS
from exporters.collectors.board import BoardSensors
from exporters.collectors.own import Identity
from exporters.events import Events
from exporters.sources.files import Roots, is_there
from exporters.wanted import WantedPorts, WantedService


@dataclass(frozen=True, slots=True)
class Settings:
    """What collectors are made of. ``on_stop`` takes a function that ends what a collector's source has started.

    ``board``: the board's own sensors, this machine's unless a recording is replayed. ``services``: what the inventory
    wants on this node. ``docker_socket``: where Docker is asked, None for nowhere. ``changed`` is told, from any
    thread, the kind of what has just changed ("container", "unit", "service", "kernel"); it must not block.
    ``events``: the stream that is told so, when there is one.
    """

    identity: Identity
    roots: Roots = field(default_factory=Roots)
    textfile_directory: str | None = None
    mount_points_exclude: str = filesystem.MOUNT_POINTS_EXCLUDE
    fs_types_exclude: str = filesystem.FS_TYPES_EXCLUDE
    board: BoardSensors = field(default_factory=BoardSensors)
    wall: Callable[[], float] = clock.wall
    on_stop: Callable[[Callable[[], None]], None] = field(default=lambda _: None)
    services: Sequence[WantedService] = ()
    ports: WantedPorts = field(default_factory=WantedPorts)
    docker_socket: str | None = None
    changed: Callable[[str], None] = field(default=lambda _: None)
    events: Events | None = None


Factory = Callable[[Settings], Collector]


def _roots(target: str) -> Factory:
    """``module:Class`` made of the roots alone; imported when it is wanted, so that a Pi never loads Jetson code."""
    return lambda settings: _load(target)(settings.roots)


def _board_roots(target: str) -> Factory:
    """Like ``_roots``, for what belongs to the board: with a recorded board it is the recording's."""

    def make(settings: Settings) -> Collector:
        roots = replace(settings.roots, sysfs=str(settings.board.sys)) if settings.board.replayed else settings.roots
        return _load(target)(roots)

    return make


def _load(target: str) -> Callable[..., Collector]:
    module, _, name = target.partition(":")
    made: Callable[..., Collector] = getattr(importlib.import_module(f"exporters.collectors.{module}"), name)
    return made


def _file_systems(settings: Settings) -> Collector:
    return filesystem.FileSystems(
        settings.roots,
        mount_points_exclude=settings.mount_points_exclude,
        fs_types_exclude=settings.fs_types_exclude,
    )


def _containers(settings: Settings) -> Collector:
    from exporters.collectors.containers import make

    return make(
        settings.docker_socket or "",
        settings.roots,
        services=settings.services,
        changed=settings.changed,
        wall=settings.wall,
        on_stop=settings.on_stop,
    )


def _has_containers(settings: Settings) -> bool:
    """A socket to ask, or a wish: then its absence is told."""
    socket = settings.docker_socket
    return socket is not None and (is_there(socket) or any(service.container for service in settings.services))


@dataclass(frozen=True, slots=True)
class Entry:
    """``wanted``: whether this node has it, by its board or its settings."""

    factory: Factory
    wanted: Callable[[Settings], bool] = field(default=lambda _: True)


def _of_board(name: str) -> Entry:
    """A collector of the board's own sensors; its sampling begins when it is made."""
    return Entry(
        lambda settings: settings.board.started(name, settings.on_stop),
        wanted=lambda settings: settings.board.has(name),
    )


TABLE: Mapping[str, Entry] = {
    "arp": Entry(_roots("protocols:Arp")),
    "conntrack": Entry(_roots("protocols:ConnTrack")),
    "containers": Entry(_containers, wanted=_has_containers),
    "cpu": Entry(_roots("cpu:CpuTimes")),
    "cpufreq": Entry(_roots("cpu:CpuFrequency")),
    "diskstats": Entry(_roots("disks:DiskStats")),
    "entropy": Entry(_roots("kernel:Entropy")),
    "events": Entry(
        lambda settings: _load("events:EventCounts")(settings.events),
        wanted=lambda settings: settings.events is not None,
    ),
    "exporter": Entry(lambda settings: _load("own:Own")(settings.identity)),
    "filefd": Entry(_roots("kernel:FileHandles")),
    "filesystem": Entry(_file_systems),
    "hwmon": Entry(_board_roots("hwmon:HardwareMonitors")),
    "kernel_log": Entry(
        lambda settings: _load("kernel_log:watched")(settings),
        wanted=lambda settings: is_there(settings.roots.root("dev/kmsg")),
    ),
    "loadavg": Entry(_roots("kernel:LoadAverage")),
    "meminfo": Entry(_roots("memory:MemoryInfo")),
    "mmc": Entry(_board_roots("disks:MmcWear")),
    "netclass": Entry(_roots("network:NetworkClass")),
    "netdev": Entry(_roots("network:NetworkTraffic")),
    "netstat": Entry(_roots("protocols:NetStat")),
    "ollama_log": Entry(
        lambda settings: _load("ollama_log:watched")(settings),
        wanted=lambda settings: (
            settings.docker_socket is not None
            and any(service.kind == "ollama" and service.container for service in settings.services)
        ),
    ),
    "os": Entry(_roots("system:OsRelease")),
    "ports": Entry(
        lambda settings: _load("ports:PortAudit")(settings.roots, settings.services, settings.ports),
        wanted=lambda settings: bool(settings.ports.network),
    ),
    "pressure": Entry(_roots("kernel:Pressure")),
    "process": Entry(lambda _: _load("own:Process")()),
    "processes": Entry(_roots("system:Processes")),
    "services": Entry(
        lambda settings: _load("services:Services")(settings),
        wanted=lambda settings: any(service.probe is not None for service in settings.services),
    ),
    "sockstat": Entry(_roots("protocols:SockStat")),
    "softnet": Entry(_roots("protocols:SoftNet")),
    "stat": Entry(_roots("kernel:KernelCounters")),
    "systemd": Entry(
        lambda settings: _load("systemd:watched")(settings),
        wanted=lambda settings: is_there(settings.roots.root("run/systemd/system")),
    ),
    "thermal_zone": Entry(_board_roots("thermal:ThermalZones")),
    "time": Entry(lambda settings: _load("clock:Time")(settings.roots, settings.wall)),
    "timex": Entry(lambda _: _load("clock:Timex")()),
    "udp_queues": Entry(_roots("protocols:UdpQueues")),
    "uname": Entry(lambda settings: _load("system:Uname")(settings.roots, os.uname().machine)),
    "vmstat": Entry(_roots("memory:VmStat")),
    **{name: _of_board(name) for name in BOARD_COLLECTORS},
    # Last: of two equal series the first one stands, and nobody else speaks for this node.
    "textfile": Entry(
        lambda settings: _load("textfile:TextFiles")(settings.textfile_directory),
        wanted=lambda settings: settings.textfile_directory is not None,
    ),
}


def build(
    settings: Settings, disabled: Collection[str] = (), table: Mapping[str, Entry] = TABLE
) -> dict[str, Collector]:
    """The collectors this node has, without the disabled ones, in the order of the table.

    Making them begins what samples in the background; ``settings.on_stop`` is given what ends it.
    """
    return {
        name: entry.factory(settings)
        for name, entry in table.items()
        if name not in disabled and entry.wanted(settings)
    }


def unknown(names: Collection[str], table: Mapping[str, Entry] = TABLE) -> list[str]:
    """Names that no collector has, sorted."""
    return sorted(set(names) - set(table))
