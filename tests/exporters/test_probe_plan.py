"""What the inventory says becomes what a probe is told, through the child and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.load import load_cluster
from exporters.probe_plan import network_services, probe_of
from exporters.probes.table import TABLE, make
from exporters.startup import look_up_in_child
from exporters.wanted import WantedProbe
from tests.config.support import SHIPPED

CLUSTER = """\
cluster: small
network:
  cidr: 10.0.0.0/24
  router: {address: 10.0.0.1, kind: openwrt, resolves: example.org, wan: [9.9.9.9]}
tiers: {1: All}
nodes:
  SOLO:
    address: 10.0.0.2
    tier: 1
    board: jetson-orin-nano-8gb
    memory: 8GiB
    disk: 1TB
    cuda_cores: 1024
    services:
      hub: {kind: tierwatch, port: 9190}
      redis: {kind: redis, port: 6379, probe: {user: monitor, password_file: redis.password, grace: 10s}}
      kong: {kind: kong, port: 8000, ports: {admin: 8001, status: 8100}}
      nginx: {kind: nginx, ports: {http: 80, https: 443}, probe: {path: /status, address: 127.0.0.1}}
      quiet: {kind: redis, port: 6380, probe: false}
      logs: {kind: log-collection}
      daemon: {kind: process, port: 99}
      fallback: {kind: offline-fallback, port: 8088, probe: {path: /health}}
      plain: {kind: edge-cache, port: 11211}
      boxed: {kind: http, port: 8089, container: boxed}
      hasty: {kind: http, port: 8090, unit: hasty.service, probe: {grace: 0s}}
      backup: {kind: backup-coordination, probe: {files: [/srv/backup/*.gz], max_age: 36h, min_size: 1MiB}}
      names: {kind: dns, probe: {query: example.org}}
      lan: {kind: network-utilities, probe: {hosts: {printer: 10.0.0.9}}}
      idle: {kind: network-utilities}
"""


@pytest.fixture
def probes(tmp_path: Path) -> dict[str, WantedProbe]:
    (tmp_path / "cluster.yaml").write_text(CLUSTER)
    facts = look_up_in_child(tmp_path, "SOLO")
    return {service.name: service.probe for service in facts.services if service.probe is not None}


def test_what_is_asked(probes: dict[str, WantedProbe], tmp_path: Path) -> None:
    asked = {
        "hub",
        "redis",
        "kong",
        "nginx",
        "fallback",
        "plain",
        "backup",
        "names",
        "lan",
        "router",
        "wan",
        "boxed",
        "hasty",
    }
    assert set(probes) == asked
    redis = probes["redis"]
    assert redis.addresses == ("10.0.0.2", "127.0.0.1")
    assert (redis.user, redis.password_file, redis.grace) == ("monitor", str(tmp_path / "redis.password"), 10.0)
    assert redis.gpu
    assert probes["kong"].port == 8100
    assert probes["kong"].ports["admin"] == 8001
    assert (probes["nginx"].port, probes["nginx"].addresses) == (80, ("127.0.0.1",))
    assert (probes["backup"].files, probes["backup"].max_age) == (("/srv/backup/*.gz",), 129600.0)
    assert probes["backup"].min_size == 1024 * 1024
    assert probes["names"].port == 53
    assert [probes[name].grace for name in ("boxed", "hasty", "plain")] == [60.0, 0.0, None]
    assert probes["router"].query == "example.org"
    assert probes["wan"].hosts == {"9.9.9.9": "9.9.9.9"}


def test_every_probe_can_be_made(probes: dict[str, WantedProbe]) -> None:
    made = {name: type(make(wanted)).__name__ for name, wanted in probes.items()}
    assert made["fallback"] == "Http"
    assert made["plain"] == "Tcp"
    for kind in TABLE:
        make(WantedProbe("it", kind, ("127.0.0.1",), 1))


def test_the_shipped_cluster() -> None:
    cluster = load_cluster(SHIPPED)
    asked = {
        f"{name}/{key}"
        for name, node in cluster.nodes.items()
        for key, service in node.services.items()
        if probe_of(key, service, node, SHIPPED)
    }
    assert {"PI51/redis", "PI51/kong", "AGX0/ollama", "PI52/postgresql", "PI41/tierwatch"} <= asked
    assert not asked & {"PI41/logs", "PI31/backup", "NANO/fallback"}, "the inventory does not say where these are"
    assert [service.name for service in network_services(cluster, "PI41")] == ["router"]
    assert list(network_services(cluster, "PI51")) == []
