"""What is scraped: every node's exporter, and every Prometheus endpoint the inventory names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

from alerting.model.labels import Labels
from config.alerting import Alerting, Limits
from config.cluster import Cluster, Metrics
from config.load import Config

NODE_JOB = "node"
# Seconds that an exporter may take to come back: a restart on the slowest board, an upgrade.
NODE_PATIENCE_S = 6.0
EXPORTED = "exported_"


@dataclass(frozen=True, slots=True)
class Target:
    """One page to fetch. ``labels`` are put on every series and hold ``job`` and ``instance``.

    ``interval``, ``timeout`` and ``patience`` in seconds. ``patience``: for how long a target that was up may fail
    before it is down. ``events``: URL of its stream of events, empty when it cannot have one. ``gzip``: whether its
    page may come compressed.
    """

    name: str
    url: str
    labels: Labels
    interval: float
    timeout: float
    limits: Limits
    patience: float = 0.0
    events: str = ""
    gzip: bool = False

    @property
    def job(self) -> str:
        return self.labels.get("job")

    @property
    def instance(self) -> str:
        return self.labels.get("instance")

    def attach(self, pairs: Sequence[tuple[str, str]]) -> Labels:
        """A series' labels. A label of the page that the target has too becomes ``exported_NAME``, as Prometheus
        does without honor_labels."""
        own = dict(self.labels)
        if not any(name in own for name, _ in pairs):
            # The usual case; the target's pairs are shared by all its series.
            return Labels(sorted([*(pair for pair in pairs if pair[1]), *self.labels]))
        given = dict(pairs)
        for name in [name for name, value in pairs if name in own and value]:
            free = EXPORTED + name
            while free in own or free in given:
                free = EXPORTED + free
            given[free] = given[name]
        return Labels.of({**given, **own})


def targets_of(config: Config) -> list[Target]:
    """Every target of the inventory, in its order. Names are unique: ``JOB/ADDRESS:PORT``."""
    targets: dict[str, Target] = {}
    for target in _targets(config.cluster, config.alerting):
        name = target.name
        if name in targets:
            # Two services of a kind behind one port differ in their path or service only.
            name = f"{name}/{target.labels.get('service') or len(targets)}"
            target = replace(target, name=name)  # noqa: PLW2901
        targets[name] = target
    return list(targets.values())


def _targets(cluster: Cluster, alerting: Alerting) -> Iterator[Target]:
    for name, node in cluster.nodes.items():
        labels = {"node": name, "tier": str(node.tier)}
        exporter = Metrics(port=node.exporter_port)
        yield _target(alerting, NODE_JOB, node.address, exporter, {**labels, "board": node.board})
        for service_name, service in node.services.items():
            if service.metrics is not None and (port := service.metrics.port or service.port):
                metrics = Metrics(path=service.metrics.path, port=port, scheme=service.metrics.scheme)
                yield _target(alerting, service.kind, node.address, metrics, {**labels, "service": service_name})
    router = cluster.network.router
    if router.metrics is not None:
        metrics = Metrics(path=router.metrics.path, port=router.metrics.port or 9100, scheme=router.metrics.scheme)
        yield _target(alerting, router.kind, router.address, metrics, {"node": "router"})


def _target(alerting: Alerting, job: str, address: str, metrics: Metrics, labels: dict[str, str]) -> Target:
    host = f"[{address}]" if ":" in address else address
    instance = f"{host}:{metrics.port}"
    path = metrics.path if metrics.path.startswith("/") else f"/{metrics.path}"
    return Target(
        name=f"{job}/{instance}",
        url=f"{metrics.scheme}://{instance}{path}",
        labels=Labels.of({**labels, "job": job, "instance": instance}),
        interval=alerting.timing.scrape_interval,
        timeout=alerting.timing.scrape_timeout,
        limits=alerting.limits,
        patience=NODE_PATIENCE_S if job == NODE_JOB else 0.0,
        events=f"{metrics.scheme}://{instance}/events" if job == NODE_JOB else "",
        gzip=_compressed(alerting.compression, address),
    )


def _compressed(wish: str, address: str) -> bool:
    """``auto``: in one's own network packing costs a board more than a page without it costs the line."""
    return wish == "always" or (wish == "auto" and not ip_address(address).is_private)
