"""What the schema cannot say: references that lead somewhere, addresses and ports used once, sums that add up."""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from config.alerting import Alerting, Route
from config.cluster import Cluster, Flow, Node, Step
from config.matchers import parse_matcher
from config.problems import Problem
from config.secrets import Secret, expand, from_file
from config.units import format_duration
from config.yamlfile import Document, Key

_SHORTEST_INTERVAL = 1.0


def check_cluster(cluster: Cluster, document: Document) -> Iterator[Problem]:
    """Problems of an inventory whose shape is right."""
    if not cluster.nodes:
        yield document.problem(("nodes",), "nodes: expected at least one node")
    yield from _addresses(cluster, document)
    for name, node in cluster.nodes.items():
        if node.tier not in cluster.tiers:
            known = ", ".join(str(tier) for tier in cluster.tiers)
            yield document.problem(
                ("nodes", name, "tier"), f"nodes.{name}.tier: no tier {node.tier} in tiers ({known})"
            )
        yield from _ports(name, node, document)
    if cluster.exposed is not None:
        if cluster.exposed.node not in cluster.nodes:
            message = f"exposed.node: {_unknown(cluster.exposed.node, 'node', cluster.nodes)}"
            yield document.problem(("exposed", "node"), message)
        for port, reference in cluster.exposed.ports.items():
            yield from _reference(cluster, document, reference, ("exposed", "ports", port))
    for name, flow in cluster.flows.items():
        yield from _flow(cluster, document, name, flow)


def _addresses(cluster: Cluster, document: Document) -> Iterator[Problem]:
    network = ipaddress.ip_network(cluster.network.cidr)
    owners = {cluster.network.router.address: "the router"}
    places: list[tuple[Key, str]] = [(("network", "router", "address"), cluster.network.router.address)]
    for name, node in cluster.nodes.items():
        path: Key = ("nodes", name, "address")
        places.append((path, node.address))
        if node.address in owners:
            yield document.problem(
                path, f"{_dotted(path)}: {node.address} is the address of {owners[node.address]} too"
            )
        owners.setdefault(node.address, name)
    for path, address in places:
        if ipaddress.ip_address(address) not in network:
            yield document.problem(path, f"{_dotted(path)}: {address} is not in the network {cluster.network.cidr}")


def _ports(name: str, node: Node, document: Document) -> Iterator[Problem]:
    owners = {node.exporter_port: "the exporter (exporter_port)"}
    for label, service in node.services.items():
        path: Key = ("nodes", name, "services", label)
        for port in service.all_ports():
            if port in owners:
                yield document.problem(path, f"{_dotted(path)}: port {port} is used by {owners[port]} on this node too")
            owners.setdefault(port, label)
        if service.metrics is not None and service.metrics.port is None and service.port is None:
            message = f"{_dotted(path)}.metrics: which port? give the service a port, or metrics a port of its own"
            yield document.problem((*path, "metrics"), message)


def _flow(cluster: Cluster, document: Document, name: str, flow: Flow) -> Iterator[Problem]:
    for index, step in enumerate(flow.steps):
        path: Key = ("flows", name, "steps", index)
        if isinstance(step, str):
            yield from _reference(cluster, document, step, path)
            continue
        if bool(step.split) == (step.every is not None):
            yield document.problem(path, f"{_dotted(path)}: expected NODE/service, split or every: node")
        yield from _split(cluster, document, step, path)


def _split(cluster: Cluster, document: Document, step: Step, path: Key) -> Iterator[Problem]:
    total = sum(branch.percent for branch in step.split)
    if step.split and total != 100:
        yield document.problem((*path, "split"), f"{_dotted(path)}.split: the percentages add up to {total}, not 100")
    for number, branch in enumerate(step.split):
        for place, reference in enumerate(branch.steps):
            yield from _reference(cluster, document, reference, (*path, "split", number, "steps", place))


def _reference(cluster: Cluster, document: Document, reference: str, path: Key) -> Iterator[Problem]:
    node, slash, service = reference.partition("/")
    if not slash:
        yield document.problem(path, f'{_dotted(path)}: expected NODE/service, got "{reference}"')
    elif node not in cluster.nodes:
        yield document.problem(path, f"{_dotted(path)}: {_unknown(node, 'node', cluster.nodes)}")
    elif service not in cluster.nodes[node].services:
        words = _unknown(service, f"service on {node}", cluster.nodes[node].services)
        yield document.problem(path, f"{_dotted(path)}: {words}")


def check_alerting(alerting: Alerting, document: Document) -> Iterator[Problem]:
    """Problems of an alerting file whose shape is right."""
    timing = alerting.timing
    for name in ("scrape_interval", "scrape_timeout", "evaluation_interval"):
        value: float = getattr(timing, name)
        if value < _SHORTEST_INTERVAL:
            yield document.problem(
                ("timing", name), f"timing.{name}: expected at least 1s, got {format_duration(value)}"
            )
    if timing.scrape_timeout > timing.scrape_interval:
        message = "timing.scrape_timeout: expected at most scrape_interval"
        yield document.problem(
            ("timing", "scrape_timeout"),
            f"{message} ({format_duration(timing.scrape_interval)}), got {format_duration(timing.scrape_timeout)}",
        )
    names: set[str] = set()
    for index, receiver in enumerate(alerting.receivers):
        if receiver.name in names:
            path: Key = ("receivers", index, "name")
            yield document.problem(path, f'receivers: the name "{receiver.name}" is given twice')
        names.add(receiver.name)
    root = alerting.route
    if root.receiver is None:
        yield document.problem(("route",), 'route: "receiver" is missing; alerts that match no other route go there')
    if root.matchers or root.continue_:
        yield document.problem(("route",), "route: the root takes every alert, it cannot have matchers or continue")
    yield from _route(root, document, ("route",), names)
    for index, rule in enumerate(alerting.inhibit_rules):
        for key, texts in (("source_matchers", rule.source_matchers), ("target_matchers", rule.target_matchers)):
            yield from _matchers(texts, document, ("inhibit_rules", index, key))


def _route(route: Route, document: Document, path: Key, receivers: Iterable[str]) -> Iterator[Problem]:
    if route.receiver is not None and route.receiver not in receivers:
        message = f"{_dotted(path)}.receiver: {_unknown(route.receiver, 'receiver', receivers)}"
        yield document.problem((*path, "receiver"), message)
    yield from _matchers(route.matchers, document, (*path, "matchers"))
    for name in ("group_interval", "repeat_interval"):
        value: float | None = getattr(route, name)
        if value is not None and value < _SHORTEST_INTERVAL:
            yield document.problem((*path, name), f"{_dotted(path)}.{name}: expected at least 1s")
    for index, child in enumerate(route.routes):
        yield from _route(child, document, (*path, "routes", index), receivers)


def _matchers(texts: Iterable[str], document: Document, path: Key) -> Iterator[Problem]:
    for index, text in enumerate(texts):
        try:
            parse_matcher(text)
        except ValueError as error:
            yield document.problem((*path, index), f"{_dotted(path)}: {error}")


def receiver_urls(
    alerting: Alerting, document: Document, environ: Mapping[str, str], directory: Path, problems: list[Problem]
) -> dict[str, tuple[Secret, ...]]:
    """The Apprise URLs of each receiver, from text, environment and files. Empty ones are left out: a receiver
    without a URL is allowed (nobody is told; the page says so)."""
    urls: dict[str, tuple[Secret, ...]] = {}
    for index, receiver in enumerate(alerting.receivers):
        found = []
        for place, source in enumerate(receiver.apprise):
            path: Key = ("receivers", index, "apprise", place)
            if bool(source.url) == bool(source.url_file):
                problems.append(document.problem(path, f"{_dotted(path)}: expected either url or url_file"))
                continue
            try:
                if source.url_file:
                    found.append(from_file(directory / expand(source.url_file, environ)))
                elif text := expand(source.url, environ).strip():
                    found.append(Secret(text))
            except ValueError as error:
                problems.append(document.problem(path, f"{_dotted(path)}: {error}"))
        urls[receiver.name] = tuple(found)
    return urls


def _dotted(path: Key) -> str:
    return ".".join(str(part) for part in path)


def _unknown(name: str, noun: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f'did you mean "{close[0]}"?' if close else f"known: {', '.join(names) or 'none'}"
    return f'no {noun} "{name}"; {hint}'
