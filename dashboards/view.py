"""What the sections of a dashboard look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from config.cluster import Cluster, Node
from dashboards.limits import Limit, temperature_of
from dashboards.panels import House
from dashboards.queries import NODES, PAGES, Scope


@dataclass(frozen=True, slots=True)
class View:
    """``nodes``: those in view. ``exporters``: their exporters' series; ``pages``: the series of services' own pages.

    ``single``: one node that the viewer chooses, so names of series leave it out.
    """

    house: House
    cluster: Cluster
    nodes: Mapping[str, Node]
    exporters: Scope = NODES
    pages: Scope = PAGES
    single: bool = False

    def name(self, *labels: str) -> str:
        """The legend of a series told apart by node and these labels."""
        parts = [f"{{{{{label}}}}}" for label in labels]
        return " ".join(parts if self.single and parts else ["{{node}}", *parts])

    @property
    def places(self) -> Scope:
        """The nodes in view, whatever the job: alerts and states of services have a node's labels, no certain job."""
        return Scope(tuple(pair for pair in self.exporters.labels if pair[0] != "job"))

    @property
    def count(self) -> int:
        """How many nodes are shown at once."""
        return 1 if self.single else len(self.nodes)

    def services(self, kind: str) -> int:
        """How many services of a kind the nodes in view have; 1 at least, for what a picture is made for."""
        found = [service for node in self.nodes.values() for service in node.services.values() if service.kind == kind]
        return max(1, len(found) if not self.single else 1)

    def family(self, family: str) -> dict[str, Node]:
        """The nodes whose board's name starts so."""
        return {name: node for name, node in self.nodes.items() if node.board.startswith(family)}

    def temperature_limits(self) -> dict[str, Limit]:
        return {name: temperature_of(node.board) for name, node in self.nodes.items()}

    def common_temperature(self) -> Limit:
        """The limit that all boards in view share; none when they differ."""
        limits = set(self.temperature_limits().values())
        return limits.pop() if len(limits) == 1 else Limit()
