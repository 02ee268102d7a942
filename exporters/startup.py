"""What an exporter must know once, when it starts: its node's entry in the inventory, and its own version.

Both are asked in a child process that ends at once. The libraries for YAML, schemas and package metadata and the parsed
inventory are about 4 MiB that would otherwise stay for months on boards with 1 GiB; the child leaves one line of JSON.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from exporters.wanted import WantedPorts, WantedProbe, WantedService

if TYPE_CHECKING:
    from config.cluster import Service


class NoEntry(Exception):
    """The inventory cannot be used or has no such node; the message tells the user why and what to do."""


@dataclass(frozen=True, slots=True)
class Facts:
    """A node's entry as far as an exporter needs it, and the installed version."""

    name: str
    address: str
    port: int
    tier: int
    board: str
    version: str
    services: tuple[WantedService, ...] = ()
    ports: WantedPorts = field(default_factory=WantedPorts)


def look_up(directory: Path | None, name: str | None) -> Facts:
    """The facts about a node. ``directory`` None: the default folder; ``name`` None: the node this host is.

    Raises NoEntry, with the names there are.
    """
    from config.load import default_directory, load_cluster
    from config.problems import ConfigError

    try:
        cluster = load_cluster(directory or default_directory())
    except ConfigError as error:
        raise NoEntry(str(error)) from error
    if name is None:
        name = own_name(cluster.nodes, os.environ.get("TIERWATCH_NODE", ""), socket.gethostname())
    node = cluster.nodes.get(name)
    if node is None:
        raise NoEntry(f"no node {name!r} in the inventory; there are {', '.join(cluster.nodes)}")
    from exporters.probe_plan import network_services, probe_of

    # Made absolute: a probe reads its password long after, wherever the process is then.
    folder = (directory or default_directory()).resolve()
    wanted = [_wanted(key, service, probe_of(key, service, node, folder)) for key, service in node.services.items()]
    services = (*wanted, *network_services(cluster, name))
    exposed = tuple(cluster.exposed.ports) if cluster.exposed and cluster.exposed.node == name else ()
    ports = WantedPorts((node.exporter_port, *cluster.network.also_listening), exposed, str(cluster.network.cidr))
    return Facts(name, str(node.address), node.exporter_port, node.tier, str(node.board), version(), services, ports)


def _wanted(name: str, service: Service, probe: WantedProbe | None) -> WantedService:
    expect = service.expect
    return WantedService(
        name,
        str(service.kind),
        service.port,
        dict(service.ports),
        service.container,
        service.unit,
        expect.models if expect else None,
        expect.present if expect else (),
        probe,
    )


def own_name(names: Iterable[str], told: str, host: str) -> str:
    """Which node this host is: ``told`` when there is something, else the node called as the host is.

    Upper and lower case are one, and ``pi41.lan`` is ``PI41``: inventories are written in capitals, host names are not.
    Raises NoEntry when no node is called so.
    """
    if told:
        return told
    names = list(names)
    for wanted in (host.casefold(), host.partition(".")[0].casefold()):
        for name in names:
            if name.casefold() == wanted:
                return name
    raise NoEntry(
        f"which node is this? No node of the inventory is called {host!r} as this host is; "
        f"say it with --node NAME or TIERWATCH_NODE=NAME (in /etc/tierwatch/environment); there are {', '.join(names)}"
    )


def version() -> str:
    """The installed version."""
    from importlib import metadata

    try:
        return metadata.version("tierwatch")
    except metadata.PackageNotFoundError:
        return "unknown"


def look_up_in_child(directory: Path | None, name: str | None) -> Facts:
    """As ``look_up``, in a forked child: to be called before there are threads."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _answer(writer, directory, name)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    if not answer:
        raise NoEntry("reading the inventory ended without an answer")
    found = json.loads(answer)
    if "error" in found:
        raise NoEntry(found["error"])
    services = tuple(WantedService.of(plain) for plain in found.pop("services"))
    ports = WantedPorts.of(found.pop("ports"))
    return Facts(**found, services=services, ports=ports)


def _answer(writer: int, directory: Path | None, name: str | None) -> None:
    """The child's whole life."""
    try:
        try:
            answer: dict[str, object] = asdict(look_up(directory, name))
        except NoEntry as error:
            answer = {"error": str(error)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(json.dumps(answer).encode())
    finally:
        os._exit(0)
