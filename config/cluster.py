"""The inventory: ``cluster.yaml`` as frozen structs. Everything else is derived from it.

Nobody types an address twice: scrape targets, thresholds, dashboards, the page and the units read these.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from config.probe import Probe

Name = Annotated[str, Meta(extra={"kind": "name"})]
UnitName = Annotated[str, Meta(extra={"kind": "unit"})]
ContainerName = Annotated[str, Meta(extra={"kind": "container"})]
Address = Annotated[str, Meta(extra={"kind": "address"})]
Bytes = Annotated[int, Meta(extra={"kind": "size"})]
Port = Annotated[int, Meta(ge=1, le=65535)]
Tier = Annotated[int, Meta(ge=1, le=99)]
Percent = Annotated[int, Meta(ge=1, le=100)]
Text = Annotated[str, Meta(min_length=1)]

Board = Literal[
    "raspberry-pi-3",
    "raspberry-pi-4",
    "raspberry-pi-5",
    "jetson-nano-2gb",
    "jetson-nano-4gb",
    "jetson-xavier-nx",
    "jetson-agx-xavier",
    "jetson-orin-nano-8gb",
    "jetson-orin-nx-16gb",
    "jetson-agx-orin-32gb",
    "jetson-agx-orin-64gb",
    "jetson-agx-thor",
    "generic",
]

Kind = Literal[
    "nginx",
    "kong",
    "prometheus",
    "grafana",
    "redis",
    "ollama",
    "comfyui",
    "sonarqube",
    "jupyterhub",
    "postgresql",
    "minio",
    "tierwatch",
    "log-collection",
    "edge-models",
    "edge-cache",
    "offline-fallback",
    "edge-processing",
    "configuration-management",
    "backup-coordination",
    "network-utilities",
    "http",
    "tcp",
    "tls",
    "dns",
    "ping",
    "process",
]

EXPORTER_PORT = 9191
AGGREGATOR_PORT = 9190


class Metrics(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A Prometheus endpoint that a service serves itself; the aggregator scrapes it as job ``<kind>``."""

    path: Text = "/metrics"
    port: Port | None = None
    scheme: Literal["http", "https"] = "http"


class Expect(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a healthy service holds: the number of models of an Ollama, and names that must be among them."""

    models: Annotated[int, Meta(ge=0)] | None = None
    present: tuple[Text, ...] = ()


class Service(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Something that runs on a node. ``port`` is its main one; ``ports`` names all when there are several. ``probe``:
    how it is asked how it is; false: not at all."""

    kind: Kind
    title: str = ""
    port: Port | None = None
    ports: dict[Name, Port] = {}
    container: ContainerName = ""
    unit: UnitName = ""
    stores: tuple[Text, ...] = ()
    expect: Expect | None = None
    metrics: Metrics | None = None
    probe: Probe | bool = True

    def asked(self) -> bool:
        """Whether its node's exporter asks it how it is: it may, and there is something to ask."""
        if self.probe is False or self.kind == "process":
            return False
        told = self.probe if isinstance(self.probe, Probe) else Probe()
        if self.kind == "dns":
            return bool(told.query)
        if self.kind in ("ping", "network-utilities"):
            return self.kind == "ping" or bool(told.hosts)
        return bool(told.port or told.files or told.drift or self.all_ports())

    def all_ports(self) -> tuple[int, ...]:
        """Every port it listens on, ascending, each once."""
        own = {self.port} if self.port else set()
        return tuple(sorted(own | set(self.ports.values())))


class Node(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One board. ``memory`` and ``disk`` in bytes."""

    address: Address
    tier: Tier
    board: Board
    role: str = ""
    memory: Bytes
    disk: Bytes
    cuda_cores: Annotated[int, Meta(ge=0)] = 0
    exporter_port: Port = EXPORTER_PORT
    services: dict[Name, Service] = {}


class Router(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The box everything hangs on. The hub's exporter asks whether it answers, whether it ``resolves`` this name, and
    whether the hosts in ``wan`` answer beyond it."""

    address: Address
    kind: Literal["openwrt", "generic"] = "generic"
    roles: tuple[Text, ...] = ()
    metrics: Metrics | None = None
    resolves: str = ""
    wan: tuple[Address, ...] = ()


class Network(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``also_listening``: ports, TCP and UDP, that may be open on any node beside its services' and the exporter's."""

    cidr: Annotated[str, Meta(extra={"kind": "network"})]
    router: Router
    also_listening: tuple[Port, ...] = (22,)


class Exposure(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the outside may reach: ports of one node, each leading to a service (``NODE/service``)."""

    node: Name
    ports: dict[Port, Text]


class Branch(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One way a request may go at a split, and the share of requests that go it."""

    percent: Percent
    steps: Annotated[tuple[Text, ...], Meta(min_length=1)]


class Step(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A step that is not a single service: a split into branches, or every node at once."""

    split: tuple[Branch, ...] = ()
    failover: bool = False
    every: Literal["node"] | None = None


class Flow(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The path a request takes. ``question`` is what a person asks: "can people chat?"."""

    title: Text
    question: str = ""
    steps: Annotated[tuple[str | Step, ...], Meta(min_length=1)]

    def services(self) -> Iterator[str]:
        """Every ``NODE/service`` on any path, in order, repeats included."""
        for step in self.steps:
            if isinstance(step, str):
                yield step
            else:
                for branch in step.split:
                    yield from branch.steps


class Cluster(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole inventory."""

    cluster: Name
    network: Network
    tiers: dict[Tier, Text]
    nodes: dict[Name, Node]
    exposed: Exposure | None = None
    flows: dict[Name, Flow] = {}

    def service(self, reference: str) -> Service | None:
        """The service of ``NODE/service``; None when either is not there."""
        node, _, name = reference.partition("/")
        return self.nodes[node].services.get(name) if node in self.nodes else None

    def in_tier(self, tier: int) -> dict[str, Node]:
        return {name: node for name, node in self.nodes.items() if node.tier == tier}

    def hub(self) -> str | None:
        """The node that runs the aggregator (its service of kind ``tierwatch``)."""
        for name, node in self.nodes.items():
            if any(service.kind == "tierwatch" for service in node.services.values()):
                return name
        return None

    def replace_nodes(self, nodes: dict[str, Node]) -> Cluster:
        return msgspec.structs.replace(self, nodes=nodes)
