"""Targets follow from the inventory."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from alerting.model.labels import Labels
from alerting.scrape.targets import Target, targets_of
from config.alerting import Limits
from config.cluster import Metrics
from config.load import Config, load

CONFIG = Path(__file__).parents[3] / "config"


def shipped() -> Config:
    return load(CONFIG, environ={})


def test_the_shipped_cluster() -> None:
    targets = {target.name: target for target in targets_of(shipped())}
    nodes = [target for target in targets.values() if target.job == "node"]
    assert len(nodes) == 7
    agx = targets["node/192.168.1.154:9191"]
    assert agx.url == "http://192.168.1.154:9191/metrics"
    assert agx.labels.as_dict() == {
        "job": "node",
        "instance": "192.168.1.154:9191",
        "node": "AGX0",
        "tier": "2",
        "board": "jetson-agx-orin-64gb",
    }
    assert (agx.interval, agx.timeout) == (5.0, 4.0)
    grafana = targets["grafana/192.168.1.147:3000"]
    assert grafana.labels.as_dict() == {
        "job": "grafana",
        "instance": "192.168.1.147:3000",
        "node": "PI51",
        "tier": "1",
        "service": "grafana",
    }
    assert {target.job for target in targets.values()} == {"node", "grafana", "prometheus", "tierwatch"}


def test_router_ports_paths_and_ipv6() -> None:
    config = shipped()
    cluster = config.cluster
    kong = cluster.nodes["PI51"].services["kong"]
    kong = msgspec.structs.replace(kong, metrics=Metrics(port=8100, path="status", scheme="https"))
    services = {**cluster.nodes["PI51"].services, "kong": kong}
    node = msgspec.structs.replace(cluster.nodes["PI51"], services=services, address="fd00::7")
    router = msgspec.structs.replace(cluster.network.router, metrics=Metrics(port=9100))
    network = msgspec.structs.replace(cluster.network, router=router)
    cluster = msgspec.structs.replace(cluster, nodes={"PI51": node}, network=network)
    targets = {target.name: target for target in targets_of(Config(config.directory, cluster, config.alerting, {}))}
    assert targets["kong/[fd00::7]:8100"].url == "https://[fd00::7]:8100/status"
    assert targets["openwrt/192.168.1.1:9100"].labels.as_dict() == {
        "job": "openwrt",
        "instance": "192.168.1.1:9100",
        "node": "router",
    }


def test_two_services_behind_one_port_are_two_targets() -> None:
    config = shipped()
    cluster = config.cluster
    services = {
        name: msgspec.structs.replace(cluster.nodes["PI52"].services["minio"], metrics=Metrics(path=path))
        for name, path in (("minio", "/a"), ("minio-node", "/b"))
    }
    node = msgspec.structs.replace(cluster.nodes["PI52"], services=services)
    cluster = msgspec.structs.replace(cluster, nodes={"PI52": node})
    targets = targets_of(Config(config.directory, cluster, config.alerting, {}))
    assert [target.name for target in targets] == [
        "node/192.168.1.247:9191",
        "minio/192.168.1.247:9000",
        "minio/192.168.1.247:9000/minio-node",
    ]


def test_labels_of_the_page_never_hide_those_of_the_target() -> None:
    target = Target("j/i", "http://i/", Labels.of({"job": "j", "instance": "i", "node": "N"}), 5, 4, Limits())
    pairs = [("__name__", "up"), ("node", "x"), ("instance", ""), ("exported_job", "1"), ("job", "2"), ("a", "b")]
    assert target.attach(pairs).as_dict() == {
        "__name__": "up",
        "a": "b",
        "exported_exported_job": "2",
        "exported_job": "1",
        "exported_node": "x",
        "instance": "i",
        "job": "j",
        "node": "N",
    }


@pytest.mark.parametrize(
    ("compression", "address", "expected"),
    [
        ("auto", "192.168.1.154", False),
        ("auto", "127.0.0.1", False),
        ("auto", "fd00::7", False),
        ("auto", "203.0.114.7", True),
        ("auto", "100.64.0.7", True),
        ("always", "192.168.1.154", True),
        ("never", "203.0.114.7", False),
    ],
)
def test_pages_come_compressed_from_afar_or_as_wished(compression: str, address: str, *, expected: bool) -> None:
    config = shipped()
    node = msgspec.structs.replace(config.cluster.nodes["PI51"], address=address, services={})
    cluster = msgspec.structs.replace(config.cluster, nodes={"PI51": node})
    alerting = msgspec.structs.replace(config.alerting, compression=compression)
    found = [target for target in targets_of(Config(config.directory, cluster, alerting, {})) if target.job == "node"]
    assert [target.gzip for target in found] == [expected]
