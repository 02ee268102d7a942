from __future__ import annotations

import socket
from pathlib import Path

import pytest

from exporters.collectors.ports import MAX_TOLD, PortAudit
from exporters.sources.files import Roots
from exporters.wanted import WantedPorts, WantedService
from tests.exporters.collectors.test_jetson import by_name
from tests.exporters.sources.test_listeners import HEAD, hexed, line
from tests.support.ports import free_port

SERVICES = (
    WantedService("redis", "redis", 6379),
    WantedService("nginx", "nginx", None, {"http": 80, "https": 443}),
    WantedService("logs", "log-collection"),
)
NETWORK = "192.168.1.0/24"
NONE = hexed("0.0.0.0", 0)


class Node:
    """A ``/proc`` whose sockets the test decides."""

    def __init__(self, root: Path, wanted: WantedPorts | None = None) -> None:
        self.root = root
        (root / "net").mkdir()
        self.lines: dict[str, str] = {"tcp": HEAD}
        wanted = wanted or WantedPorts((9191, 22), (), NETWORK)
        self.audit = PortAudit(Roots(procfs=str(root)), SERVICES, wanted, period=0)

    def listen(self, address: str, *ports: int) -> None:
        name = "tcp6" if ":" in address else "tcp"
        self.lines[name] = self.lines.get(name, HEAD)
        for port in ports:
            self.lines[name] += line(hexed(address, port), NONE, "0A")

    def receive(self, address: str, port: int, peer: str = "", peer_port: int = 0) -> None:
        name = "udp6" if ":" in address else "udp"
        state = "01" if peer else "07"
        remote = hexed(peer or ("::" if ":" in address else "0.0.0.0"), peer_port)
        self.lines[name] = self.lines.get(name, HEAD) + line(hexed(address, port), remote, state)

    def connect(self, port: int, peer: str) -> None:
        name, own = ("tcp6", "2001:4860:1:2::204") if ":" in peer else ("tcp", "192.168.1.204")
        self.lines[name] = self.lines.get(name, HEAD) + line(hexed(own, port), hexed(peer, 40000), "01")

    def addresses(self, *addresses: str) -> None:
        words = (f"{int.from_bytes(socket.inet_pton(10, one)):032x} 02 40 00 80 eth0\n" for one in addresses)
        (self.root / "net/if_inet6").write_text("".join(words))

    def read(self) -> dict[str, dict[tuple[str, ...], float]]:
        for name, text in self.lines.items():
            (self.root / "net" / name).write_text(text)
        return by_name(self.audit.collect())


def test_declared_ports_that_listen_and_that_do_not(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.listen("127.0.0.1", 6379)  # that it listens is enough: what may reach it is another question
    node.listen("::", 443)
    assert node.read() == {
        "tierwatch_declared_port_listening": {("redis", "6379"): 1, ("nginx", "80"): 0, ("nginx", "443"): 1},
        "tierwatch_undeclared_listeners": {(): 0},
    }


def test_what_the_inventory_does_not_name(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.listen("0.0.0.0", 22, 6379, 8443)
    node.listen("192.168.1.204", 9191, 5000)
    node.listen("127.0.0.1", 25)
    node.listen("::1", 631)
    found = node.read()
    assert found["tierwatch_undeclared_listener"] == {("5000",): 1, ("8443",): 1}
    assert found["tierwatch_undeclared_listeners"] == {(): 2}


def test_datagrams_that_the_inventory_does_not_name(tmp_path: Path) -> None:
    node = Node(tmp_path, WantedPorts((22, 51820), (), NETWORK))
    node.receive("0.0.0.0", 161)
    node.receive("::", 1900)
    node.receive("0.0.0.0", 51820)  # also_listening
    node.receive("127.0.0.53", 53)
    node.receive("0.0.0.0", 68)  # a client of the system's
    node.receive("0.0.0.0", 5353)
    node.receive("0.0.0.0", 40123)  # any client: it asked somebody
    node.receive("192.168.1.204", 700, "192.168.1.1", 53)
    found = node.read()
    assert found["tierwatch_undeclared_listener"] == {("161/udp",): 1, ("1900/udp",): 1}
    assert found["tierwatch_undeclared_listeners"] == {(): 2}


def test_however_many_listen_only_some_are_told_and_all_counted(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.listen("0.0.0.0", *range(10_000, 10_200))
    found = node.read()
    assert len(found["tierwatch_undeclared_listener"]) == MAX_TOLD
    assert found["tierwatch_undeclared_listeners"] == {(): 200}


def test_connections_from_outside(tmp_path: Path) -> None:
    node = Node(tmp_path, WantedPorts((22,), (443,), NETWORK))
    node.listen("0.0.0.0", 22, 443)
    for peer in ("192.168.1.5", "10.8.0.2", "172.17.0.2", "127.0.0.1", "169.254.1.1"):
        node.connect(22, peer)
    assert "tierwatch_outside_connections" not in node.read()
    for peer in ("8.8.8.8", "9.9.9.9"):
        node.connect(22, peer)
    node.connect(443, "8.8.8.8")
    node.connect(50_000, "8.8.8.8")  # nobody listens there: this node went out itself
    assert node.read()["tierwatch_outside_connections"] == {("22", "false"): 2, ("443", "true"): 1}


def test_a_cluster_in_public_addresses_is_inside_all_the_same(tmp_path: Path) -> None:
    node = Node(tmp_path, WantedPorts((22,), (), "8.8.8.0/24"))
    node.listen("0.0.0.0", 22)
    node.connect(22, "8.8.8.9")
    assert "tierwatch_outside_connections" not in node.read()


def test_devices_at_home_have_public_addresses_too(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.addresses("fe80::1", "2001:4860:1:2::204")
    node.listen("::", 22)
    for laptop in ("2001:4860:1:2:abcd::7", "fe80::2", "fd00::3"):
        node.connect(22, laptop)
    assert "tierwatch_outside_connections" not in node.read()
    node.connect(22, "2001:4860:1:3::7")
    assert node.read()["tierwatch_outside_connections"] == {("22", "false"): 1}


@pytest.mark.parametrize(
    ("own", "listening", "public"),
    [
        (["fe80::1", "fd00::1"], "::", False),  # no address the Internet knows
        (["2001:4860::1"], "::", True),
        (["2001:4860::1"], "0.0.0.0", False),
        (["fe80::1"], "2001:4860::1", True),
        ([], "8.8.8.8", True),
        ([], "192.168.1.204", False),
    ],
)
def test_public_addresses(tmp_path: Path, own: list[str], listening: str, public: bool) -> None:
    node = Node(tmp_path)
    node.addresses(*own)
    node.listen(listening, 22)
    told = node.read().get("tierwatch_public_listener")
    assert told == ({("22", "false"): 1} if public else None)


def test_a_look_is_good_for_a_while(tmp_path: Path) -> None:
    now = [100.0]
    (tmp_path / "net").mkdir()
    sockets = tmp_path / "net/tcp"
    sockets.write_text(HEAD)
    wanted = WantedPorts((), (), NETWORK)
    audit = PortAudit(Roots(procfs=str(tmp_path)), SERVICES[:1], wanted, period=30, clock=lambda: now[0])
    name = "tierwatch_declared_port_listening"
    assert by_name(audit.collect())[name] == {("redis", "6379"): 0}
    sockets.write_text(HEAD + line(hexed("0.0.0.0", 6379), NONE, "0A"))
    now[0] += 29
    assert by_name(audit.collect())[name] == {("redis", "6379"): 0}
    now[0] += 1
    assert by_name(audit.collect())[name] == {("redis", "6379"): 1}


def test_this_machine() -> None:
    port = free_port()  # one that nobody else is given when it is free again
    with socket.create_server(("127.0.0.1", port)):
        audit = PortAudit(Roots(), [WantedService("a", "tcp", port)], WantedPorts((), (), NETWORK), period=0)
        found = by_name(audit.collect())
    assert found["tierwatch_declared_port_listening"] == {("a", str(port)): 1}
    assert by_name(audit.collect())["tierwatch_declared_port_listening"] == {("a", str(port)): 0}
