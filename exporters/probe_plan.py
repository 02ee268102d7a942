"""From the inventory to what each probe is told. Runs in the child that reads the inventory (``startup``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from config.cluster import Cluster, Node, Service
from config.probe import Probe
from exporters.wanted import WantedProbe, WantedService

LOOPBACK = "127.0.0.1"
# What a restart takes, in seconds. Whether a container or unit that the inventory names died or just restarts, its own
# watcher tells at once; the probe tells then what only it can see.
RESTART = 60.0
# Which of its named ports a service is asked at, where its main one is not it.
_PORTS: Final[Mapping[str, tuple[str, ...]]] = {"kong": ("status", "admin"), "nginx": ("http",)}
_PORT_OF: Final[Mapping[str, int]] = {"dns": 53}


def probe_of(name: str, service: Service, node: Node, directory: Path) -> WantedProbe | None:
    """What the probe of a service is told; None when it is not wanted or there is nothing to ask.

    A service is asked at its node's address, where others look for it, and at 127.0.0.1 when that refuses: what only
    this host needs (a status page, a database behind a gateway) often listens nowhere else.
    """
    if not service.asked():
        return None
    told = service.probe if isinstance(service.probe, Probe) else Probe()
    port = told.port or _port(service)
    expect = service.expect
    return WantedProbe(
        service=name,
        kind=str(service.kind),
        addresses=_addresses(told, node),
        port=port or 0,
        ports=dict(service.ports),
        path=told.path,
        host=told.host,
        tls=told.tls or service.kind == "tls",
        user=told.user,
        password_file=str(directory / told.password_file) if told.password_file else "",
        password_env=told.password_env,
        database=told.database,
        status=tuple(told.status),
        body=told.body,
        query=told.query,
        files=tuple(told.files),
        drift=told.drift,
        max_age=told.max_age,
        min_size=told.min_size or 0,
        hosts=dict(told.hosts),
        models=expect.models if expect else None,
        present=tuple(expect.present) if expect else (),
        gpu=node.cuda_cores > 0,
        interval=told.interval,
        timeout=told.timeout,
        grace=_grace(told, service),
    )


def _grace(told: Probe, service: Service) -> float | None:
    if told.grace is None and (service.container or service.unit):
        return RESTART
    return told.grace


def _addresses(told: Probe, node: Node) -> tuple[str, ...]:
    if told.address:
        return (str(told.address),)
    return tuple(dict.fromkeys((str(node.address), LOOPBACK)))


def _port(service: Service) -> int | None:
    for name in _PORTS.get(service.kind, ()):
        if name in service.ports:
            return service.ports[name]
    ports = service.all_ports()
    return service.port or (ports[0] if ports else None) or _PORT_OF.get(service.kind)


def network_services(cluster: Cluster, name: str) -> Iterator[WantedService]:
    """The router and the way out of the network, asked by the hub's exporter."""
    if name != cluster.hub():
        return
    taken = cluster.nodes[name].services
    router = cluster.network.router
    if "router" not in taken:
        address = (str(router.address),)
        yield _alone(WantedProbe("router", "router", addresses=address, query=router.resolves))
    if router.wan and "wan" not in taken:
        hosts = {str(address): str(address) for address in router.wan}
        yield _alone(WantedProbe("wan", "wan", hosts=hosts))


def _alone(probe: WantedProbe) -> WantedService:
    return WantedService(probe.service, probe.kind, probe=probe)
