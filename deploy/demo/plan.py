"""What the demo starts: the shipped inventory moved to loopback addresses, and one command for each program.

Pure, but for ``write_config``, which puts the two configuration files into the demo's folder: the
shipped ones, read as plain data and changed where the demo differs.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.cluster import AGGREGATOR_PORT, Cluster
from config.load import load_cluster
from config.problems import ConfigError, Problem
from config.yamlfile import dump, read

SHIPPED = Path(__file__).resolve().parents[2] / "config"
BOARDS = Path(__file__).resolve().parent / "boards"
REPLAY = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Program:
    """One process of the demo. ``url`` answers 200 when it is up; ``listen`` is the address it takes."""

    name: str
    command: tuple[str, ...]
    listen: tuple[str, int]
    url: str


@dataclass(frozen=True, slots=True)
class Plan:
    cluster: Cluster
    exporters: Mapping[str, Program]
    aggregator: Program
    receiver: tuple[str, int]

    @property
    def page(self) -> str:
        host, port = self.aggregator.listen
        return f"http://{host}:{port}/"


def demo_addresses(nodes: Mapping[str, Any]) -> dict[str, str]:
    """Node name -> its loopback address: 127.0.1.1, 127.0.1.2, ... in the inventory's order."""
    return {name: f"127.0.1.{number}" for number, name in enumerate(nodes, start=1)}


def demo_inventory(shipped: dict[str, Any]) -> dict[str, Any]:
    """The shipped cluster.yaml on loopback. Services do not run here, so their own endpoints are not scraped; only
    the aggregator's is, because that program is real."""
    addresses = demo_addresses(shipped["nodes"])
    nodes = {}
    for name, node in shipped["nodes"].items():
        services = {
            label: service if service["kind"] == "tierwatch" else _without(service, "metrics")
            for label, service in node.get("services", {}).items()
        }
        nodes[name] = {**node, "address": addresses[name], "services": services}
    router = {**_without(shipped["network"]["router"], "metrics"), "address": "127.0.1.254"}
    network = {"cidr": "127.0.0.0/8", "router": router}
    return {**shipped, "network": network, "nodes": nodes}


def demo_alerting(shipped: dict[str, Any], *, page: str, receiver: tuple[str, int]) -> dict[str, Any]:
    """The shipped alerting.yaml with every receiver that has a URL telling the demo's own.

    All seven nodes are this one machine: what is wrong with it (a clock without NTP, a full disk) is true seven times
    and is shown on the page only; the phone hears of nodes that go and come back.
    """
    host, port = receiver
    silent = [entry["name"] for entry in shipped["receivers"] if not entry.get("apprise")]
    route = {
        **shipped["route"],
        "receiver": silent[0],
        "routes": [
            {"receiver": shipped["route"]["receiver"], "matchers": ['alertname=~"NodeDown|ClusterUnreachable"']}
        ],
    }
    receivers = [
        {**entry, "apprise": [{"url": f"json://{host}:{port}/"}]} if entry.get("apprise") else entry
        for entry in shipped["receivers"]
    ]
    return {
        **shipped,
        "external_url": page.rstrip("/"),
        "route": route,
        "receivers": receivers,
        "rule_files": ["rules/*.yml"],
    }


def write_config(folder: Path, receiver: tuple[str, int]) -> Cluster:
    """Write the demo's configuration into ``folder`` and read it back. Raises ConfigError."""
    inventory = demo_inventory(_plain(SHIPPED / "cluster.yaml"))
    hub = _hub_address(inventory)
    alerting = demo_alerting(
        _plain(SHIPPED / "alerting.yaml"), page=f"http://{hub}:{AGGREGATOR_PORT}/", receiver=receiver
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cluster.yaml").write_text(dump(inventory))
    (folder / "alerting.yaml").write_text(dump(alerting))
    rules = folder / "rules"
    if not rules.is_symlink():
        rules.symlink_to(SHIPPED / "rules")
    return load_cluster(folder)


def make_plan(cluster: Cluster, folder: Path, receiver: tuple[str, int]) -> Plan:
    """Every program of the demo with its command line."""
    exporters = {
        name: Program(
            name=f"exporter {name}",
            command=_exporter_command(name, folder),
            listen=(node.address, node.exporter_port),
            url=f"http://{node.address}:{node.exporter_port}/-/healthy",
        )
        for name, node in cluster.nodes.items()
    }
    hub = cluster.nodes[cluster.hub() or next(iter(cluster.nodes))].address
    aggregator = Program(
        name="aggregator",
        command=(
            *_tierwatch("aggregator"),
            *("--config", str(folder / "config"), "--data", str(folder / "data")),
            *("--listen", f"{hub}:{AGGREGATOR_PORT}"),
        ),
        listen=(hub, AGGREGATOR_PORT),
        url=f"http://{hub}:{AGGREGATOR_PORT}/-/ready",
    )
    return Plan(cluster, exporters, aggregator, receiver)


def _exporter_command(name: str, folder: Path) -> tuple[str, ...]:
    board = BOARDS / name
    command = [*_tierwatch("exporter"), "--config", str(folder / "config"), "--node", name]
    # The services are not here: a probe would call them down. The page says that nothing watches them. Seven nodes
    # share this machine's ports: none of them listens on what its own node should. Its containers are no node's either.
    command += ["--collector.disable", "services,ports,containers"]
    if not board.is_dir():
        return tuple(command)
    command += ["--path.board", str(board)]
    python = [sys.executable, "-B"]
    if (board / "tegrastats.txt").exists():
        replay = [*python, str(REPLAY / "tegrastats_replay.py"), str(board / "tegrastats.txt")]
        command += ["--tegrastats", shlex.join(replay)]
    if (board / "vcgencmd.txt").exists():
        replay = [*python, str(REPLAY / "vcgencmd_replay.py"), str(board / "vcgencmd.txt")]
        command += ["--vcgencmd", shlex.join(replay)]
    return tuple(command)


def _tierwatch(verb: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "tierwatch", verb)


def _hub_address(inventory: dict[str, Any]) -> str:
    for node in inventory["nodes"].values():
        if any(service["kind"] == "tierwatch" for service in node["services"].values()):
            return str(node["address"])
    return "127.0.1.1"


def _plain(path: Path) -> dict[str, Any]:
    problems: list[Problem] = []
    document = read(path, problems)
    if document is None or problems:
        raise ConfigError(problems)
    data: dict[str, Any] = document.value
    return data


def _without(mapping: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if name != key}
