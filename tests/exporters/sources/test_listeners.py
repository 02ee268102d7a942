from __future__ import annotations

import os
import socket
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest

from exporters.sources.listeners import Listener, endpoint, listeners, peers

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def line(local: str, remote: str, state: str) -> str:
    return (
        f"   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000     0        0 1234 1 0 100 0 0 10 0\n"
    )


def hexed(address: str, port: int) -> str:
    """As the kernel of this machine prints it."""
    packed = ip_address(address).packed
    words = (int.from_bytes(packed[at : at + 4], sys.byteorder) for at in range(0, len(packed), 4))
    return "".join(f"{word:08X}" for word in words) + f":{port:04X}"


@pytest.mark.skipif(sys.byteorder != "little", reason="recorded on a little-endian machine")
def test_recorded_addresses() -> None:
    assert endpoint("0100007F:23E7") == (ip_address("127.0.0.1"), 9191)
    assert endpoint("9A01A8C0:1F90") == (ip_address("192.168.1.154"), 8080)
    assert endpoint("00000000000000000000000001000000:0016") == (ip_address("::1"), 22)


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.1.204", "::", "::1", "2001:4860:4860::8888", "fe80::1"])
def test_addresses_of_this_machine(address: str) -> None:
    assert endpoint(hexed(address, 65535)) == (ip_address(address), 65535)


def test_an_ipv4_address_in_ipv6_is_the_ipv4_address() -> None:
    assert endpoint(hexed("::ffff:8.8.8.8", 80)) == (ip_address("8.8.8.8"), 80)


@pytest.mark.parametrize("text", ["", ":", "0100007F", "0100007F:XX", "01:0016", "G100007F:0016"])
def test_no_address(text: str) -> None:
    with pytest.raises(ValueError):
        endpoint(text)


def test_who_listens_and_who_is_connected() -> None:
    text = HEAD
    text += line(hexed("0.0.0.0", 22), hexed("0.0.0.0", 0), "0A")
    text += line(hexed("192.168.1.204", 22), hexed("8.8.8.8", 40000), "01")
    text += line(hexed("192.168.1.204", 51000), hexed("9.9.9.9", 22), "01")  # ours, going out
    text += line(hexed("192.168.1.204", 22), hexed("9.9.9.9", 1), "06")  # TIME_WAIT: over
    assert list(listeners(text)) == [Listener(ip_address("0.0.0.0"), 22)]
    assert list(peers(text, {22})) == [(22, ip_address("8.8.8.8"))]
    assert list(peers(text, set())) == []


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="not on Linux")
@pytest.mark.parametrize(("family", "address", "name"), [(2, "127.0.0.1", "tcp"), (10, "::1", "tcp6")])
def test_real_sockets(family: int, address: str, name: str) -> None:
    if os.uname().sysname != "Linux":
        pytest.skip("not on Linux")
    with socket.socket(family, socket.SOCK_STREAM) as server, socket.socket(family, socket.SOCK_STREAM) as client:
        try:
            server.bind((address, 0))
        except OSError as error:
            pytest.skip(f"no {address} here: {error}")
        server.listen()
        port = server.getsockname()[1]
        client.connect((address, port))
        text = Path("/proc/net", name).read_text()
        assert Listener(ip_address(address), port) in list(listeners(text))
        # Somebody else may have a server at the same port of 127.0.0.2.
        assert (port, ip_address(address)) in list(peers(text, {port}))
