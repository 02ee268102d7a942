"""What the schema of the inventory cannot say: references that lead somewhere, addresses and ports used once,
sums that add up. Whatever is broken already is left alone: one mistake, one message."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from config.cluster import Cluster, Node, Service, Step
from config.crosscheck_probe import DOMAIN, check_probe
from config.problems import Problem
from config.references import unknown
from config.shape import dotted
from config.yamlfile import Document, Key


def check_cluster(cluster: Cluster, document: Document) -> Iterator[Problem]:
    """Problems across an inventory; parts that ``document`` knows as broken may be blank."""
    return _ClusterCheck(cluster, document).problems()


class _ClusterCheck:
    def __init__(self, cluster: Cluster, document: Document) -> None:
        self._cluster = cluster
        self._document = document

    def problems(self) -> Iterator[Problem]:
        cluster = self._cluster
        if not cluster.nodes and self._document.complete(("nodes",)):
            yield self._problem(("nodes",), "expected at least one node")
        yield from self._addresses()
        for name, node in cluster.nodes.items():
            path: Key = ("nodes", name, "tier")
            if self._document.intact(path) and node.tier not in cluster.tiers and self._document.complete(("tiers",)):
                known = ", ".join(str(tier) for tier in cluster.tiers)
                yield self._problem(path, f"no tier {node.tier} in tiers ({known or 'none'})")
            yield from self._services(name, node)
        yield from self._hubs()
        yield from self._exposed()
        for name, flow in cluster.flows.items():
            for index, step in enumerate(flow.steps):
                yield from self._step(step, ("flows", name, "steps", index))

    def _problem(self, path: Key, message: str) -> Problem:
        return self._document.problem(path, f"{dotted(path)}: {message}")

    def _addresses(self) -> Iterator[Problem]:
        cluster = self._cluster
        router: Key = ("network", "router", "address")
        places = [(router, "the router", cluster.network.router.address)]
        places += [(("nodes", name, "address"), name, node.address) for name, node in cluster.nodes.items()]
        sound = [place for place in places if self._document.intact(place[0])]
        owners: dict[str, str] = {}
        for path, owner, address in sound:
            if address in owners:
                yield self._problem(path, f"{address} is the address of {owners[address]} too")
            owners.setdefault(address, owner)
        resolves: Key = ("network", "router", "resolves")
        name = cluster.network.router.resolves
        if name and self._document.intact(resolves) and not DOMAIN.fullmatch(name):
            yield self._problem(resolves, "expected a domain name such as example.org")
        if not self._document.intact(("network", "cidr")):
            return
        network = ipaddress.ip_network(cluster.network.cidr)
        for path, _, address in sound:
            if ipaddress.ip_address(address) not in network:
                yield self._problem(path, f"{address} is not in the network {network}")

    def _services(self, name: str, node: Node) -> Iterator[Problem]:
        owners = {}
        if self._document.intact(("nodes", name, "exporter_port")):
            owners[node.exporter_port] = "the exporter (exporter_port)"
        for label, service in node.services.items():
            path: Key = ("nodes", name, "services", label)
            if not self._document.intact(path):
                continue
            for port in service.all_ports():
                if port in owners and port:
                    yield self._problem(path, f"port {port} is used by {owners[port]} on this node too")
                owners.setdefault(port, label)
            yield from self._service(service, path)

    def _service(self, service: Service, path: Key) -> Iterator[Problem]:
        yield from check_probe(service, path, self._document)
        ports_known = self._document.intact((*path, "port")) and self._document.intact((*path, "metrics", "port"))
        if service.metrics is not None and service.metrics.port is None and service.port is None and ports_known:
            yield self._problem((*path, "metrics"), "which port? give the service a port, or metrics a port of its own")
        expect = service.expect
        if expect is None or not self._document.intact((*path, "expect")):
            return
        if service.kind != "ollama" and self._document.intact((*path, "kind")):
            yield self._problem((*path, "expect"), "only a service of kind ollama has models to expect")
        models_known = self._document.intact((*path, "expect", "models"))
        if expect.models is not None and models_known and len(expect.present) > expect.models:
            message = f"expected at least {len(expect.present)}, as many as present names, got {expect.models}"
            yield self._problem((*path, "expect", "models"), message)

    def _hubs(self) -> Iterator[Problem]:
        first: Key | None = None
        for name, node in self._cluster.nodes.items():
            for label, service in node.services.items():
                path: Key = ("nodes", name, "services", label)
                if service.kind != "tierwatch" or not self._document.intact((*path, "kind")):
                    continue
                if first is not None:
                    message = f"a second service of kind tierwatch, {first[1]}/{first[3]} is one; expected one at most"
                    yield self._problem(path, message)
                first = first or path

    def _exposed(self) -> Iterator[Problem]:
        exposed = self._cluster.exposed
        if exposed is None:
            return
        nodes = self._cluster.nodes
        path: Key = ("exposed", "node")
        if self._document.intact(path) and exposed.node not in nodes and self._document.complete(("nodes",)):
            yield self._problem(path, unknown(exposed.node, "node", nodes))
        for port, reference in exposed.ports.items():
            yield from self._reference(reference, ("exposed", "ports", port))
        node = nodes.get(exposed.node)
        if node is None or not self._document.intact(path) or not self._ports_known(exposed.node):
            return
        listening = {port for service in node.services.values() for port in service.all_ports()}
        for port in exposed.ports:
            place: Key = ("exposed", "ports", port)
            if port not in listening and self._document.intact(place):
                yield self._problem(place, f"no service of {exposed.node} has port {port}")

    def _ports_known(self, node: str) -> bool:
        """Whether every port of a node is known: nothing of its services is broken."""
        path: Key = ("nodes", node, "services")
        inside = any(broken[: len(path)] == path for broken in self._document.broken)
        return self._document.intact(path) and not inside

    def _step(self, step: str | Step, path: Key) -> Iterator[Problem]:
        if isinstance(step, str):
            yield from self._reference(step, path)
            return
        if not self._document.intact(path):
            return
        split_known = self._document.intact((*path, "split"))
        if split_known and self._document.intact((*path, "every")) and bool(step.split) == (step.every is not None):
            yield self._problem(path, "expected NODE/service, split or every: node")
        percents = [(*path, "split", number, "percent") for number in range(len(step.split))]
        total = sum(branch.percent for branch in step.split)
        if step.split and total != 100 and split_known and all(self._document.intact(place) for place in percents):
            yield self._problem((*path, "split"), f"the percentages add up to {total}, not 100")
        if step.failover and not step.split and split_known:
            yield self._problem((*path, "failover"), "only a split can fail over")
        for number, branch in enumerate(step.split):
            for place, reference in enumerate(branch.steps):
                yield from self._reference(reference, (*path, "split", number, "steps", place))

    def _reference(self, reference: str, path: Key) -> Iterator[Problem]:
        if not self._document.intact(path):
            return
        nodes = self._cluster.nodes
        node, _, service = reference.partition("/")
        if not node or not service:
            yield self._problem(path, f'expected NODE/service, got "{reference}"')
        elif node not in nodes:
            if self._document.complete(("nodes",)):
                yield self._problem(path, unknown(node, "node", nodes))
        elif service not in nodes[node].services and self._document.complete(("nodes", node, "services")):
            yield self._problem(path, unknown(service, "service", nodes[node].services, f" on {node}"))
