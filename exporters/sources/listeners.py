"""Sockets of ``/proc/net/tcp``, ``udp`` and their ``6``: who may be reached, and who has been.

Format: Documentation/networking/proc_net_tcp.rst of the kernel. An address is printed as 32-bit words in the byte order
of the machine, so an IPv6 address is four of them.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

LISTEN, ESTABLISHED, UNCONNECTED = "0A", "01", "07"
MAX_LINES = 50_000

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Listener:
    """A port that accepts connections at an address; the unspecified address is every address of the host."""

    address: Address
    port: int


def listeners(text: str) -> Iterator[Listener]:
    """The listening sockets of a file."""
    for words in _sockets(text, LISTEN):
        address, port = endpoint(words[1])
        yield Listener(address, port)


def receivers(text: str) -> Iterator[Listener]:
    """The UDP sockets of a file that take datagrams from anybody."""
    for words in _sockets(text, UNCONNECTED):
        if words[2].endswith(":0000"):
            address, port = endpoint(words[1])
            yield Listener(address, port)


def peers(text: str, ports: Collection[int]) -> Iterator[tuple[int, Address]]:
    """(our port, their address) of the connections to these ports of ours."""
    wanted = {f"{port:04X}" for port in ports}
    for words in _sockets(text, ESTABLISHED):
        if words[1].rpartition(":")[2] in wanted:
            yield int(words[1].rpartition(":")[2], 16), endpoint(words[2])[0]


def endpoint(text: str) -> tuple[Address, int]:
    """``0100007F:23E7`` is 127.0.0.1 port 9191 on a little-endian machine. Raises ValueError."""
    address, _, port = text.rpartition(":")
    if len(address) not in (8, 32):
        raise ValueError(f"expected an address and a port in hexadecimal, found {text[:60]!r}")
    words = (int(address[at : at + 8], 16) for at in range(0, len(address), 8))
    raw = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    found = ip_address(raw)
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return found, int(port, 16)


def _sockets(text: str, state: str) -> Iterator[list[str]]:
    for number, line in enumerate(text.splitlines()):
        if number > MAX_LINES:
            return
        words = line.split(None, 4)
        if number and len(words) >= 4 and words[3] == state:
            yield words
