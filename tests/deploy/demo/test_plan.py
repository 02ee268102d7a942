from __future__ import annotations

import ipaddress
from pathlib import Path

from config.load import load, load_cluster
from deploy.demo.plan import SHIPPED, demo_addresses, make_plan, write_config


def test_every_node_of_the_shipped_cluster_gets_a_loopback_address_of_its_own(tmp_path: Path) -> None:
    cluster = write_config(tmp_path / "config", ("127.0.0.1", 1234))
    shipped = load_cluster(SHIPPED)
    assert list(cluster.nodes) == list(shipped.nodes)
    addresses = [node.address for node in cluster.nodes.values()]
    assert len(set(addresses)) == 7
    assert all(ipaddress.ip_address(address).is_loopback for address in addresses)


def test_no_program_of_the_demo_speaks_to_anything_but_loopback(tmp_path: Path) -> None:
    cluster = write_config(tmp_path / "config", ("127.0.0.1", 1234))
    config = load(tmp_path / "config", environ={})
    hosts = {node.address for node in cluster.nodes.values()} | {cluster.network.router.address}
    assert all(ipaddress.ip_address(host).is_loopback for host in hosts)
    assert [url.reveal() for url in config.urls["phone"]] == ["json://127.0.0.1:1234/"]
    services = [s for node in cluster.nodes.values() for s in node.services.values() if s.metrics]
    assert [service.kind for service in services] == ["tierwatch"]


def test_the_rules_flows_and_services_are_the_shipped_ones(tmp_path: Path) -> None:
    cluster = write_config(tmp_path / "config", ("127.0.0.1", 1234))
    shipped = load_cluster(SHIPPED)
    assert cluster.flows == shipped.flows
    assert {n: set(node.services) for n, node in cluster.nodes.items()} == {
        n: set(node.services) for n, node in shipped.nodes.items()
    }
    assert load(tmp_path / "config", environ={}).rule_paths()


def test_one_command_a_program_and_boards_are_replayed(tmp_path: Path) -> None:
    cluster = write_config(tmp_path / "config", ("127.0.0.1", 1234))
    plan = make_plan(cluster, tmp_path, ("127.0.0.1", 1234))
    assert set(plan.exporters) == set(cluster.nodes)
    agx = plan.exporters["AGX0"].command
    assert "--path.board" in agx
    assert "tegrastats_replay.py" in agx[agx.index("--tegrastats") + 1]
    assert "--tegrastats" not in plan.exporters["PI31"].command
    assert plan.page == f"http://{cluster.nodes['PI41'].address}:9190/"


def test_addresses_follow_the_order_of_the_inventory() -> None:
    assert demo_addresses({"B": {}, "A": {}}) == {"B": "127.0.1.1", "A": "127.0.1.2"}
