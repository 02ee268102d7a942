"""The port audit: what listens against what the inventory says, and who comes from outside.

What listens on a loopback address alone is nobody's business but the node's. Of UDP only what the inventory does not
name is told: its sockets show neither who comes nor whether they are a server's, so ports that the kernel gives to
clients and those of the system's own helpers are left out. The kernel says that a port accepts connections, not which
firewall stands before it: a port at a public address is told as such, and a connection that really came from outside
is told apart from it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network

from exporters.catalog import ports as names
from exporters.catalog.metric import Metric
from exporters.collector import Family, NoData
from exporters.collectors.shape import Row, families
from exporters.sources.files import Roots, read
from exporters.sources.listeners import Address, Listener, listeners, peers, receivers
from exporters.wanted import WantedPorts, WantedService

MAX_TOLD = 64
# Clients of DHCP and NTP, DHCPv6, mDNS and LLMNR: on every system, and servers of nothing.
SYSTEM_UDP = frozenset({68, 123, 546, 5353, 5355})
FIRST_OF_CLIENTS = 32768
PERIOD_SECONDS = 30.0
"""How long a look is good for: the kernel goes through its whole table of connections for one, 5 ms for an empty one on
a machine with much memory."""


class PortAudit:
    """Looks at the first scrape after each ``period``; those in between are told the same."""

    def __init__(
        self,
        roots: Roots,
        services: Sequence[WantedService],
        wanted: WantedPorts,
        *,
        period: float = PERIOD_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``period`` in seconds of ``clock``."""
        self._roots = roots
        self._period = period
        self._clock = clock
        self._looked: float | None = None
        self._last: Sequence[Family] = ()
        self._declared = sorted({(s.name, port) for s in services for port in (s.port, *s.ports.values()) if port})
        self._known = {port for _, port in self._declared} | set(wanted.also)
        self._exposed = frozenset(wanted.exposed)
        self._inside = ip_network(wanted.network) if wanted.network else None

    def collect(self) -> Sequence[Family]:
        now = self._clock()
        if self._looked is None or now - self._looked >= self._period:
            self._last, self._looked = self._look(), now
        return self._last

    def _look(self) -> Sequence[Family]:
        texts = [read(self._roots.proc("net/tcp"))]
        with suppress(NoData):
            texts.append(read(self._roots.proc("net/tcp6")))
        found = [one for text in texts for one in listeners(text)]
        open_ports = {one.port for one in found if not one.address.is_loopback}
        rows: dict[Metric, list[Row]] = {metric: [] for metric in names.PORT_METRICS}
        heard = {one.port for one in found}
        rows[names.DECLARED_LISTENING] = [
            ((service, str(port)), float(port in heard)) for service, port in self._declared
        ]
        own = self._own_addresses()
        undeclared = [str(port) for port in sorted(open_ports - self._known)]
        undeclared += [f"{port}/udp" for port in sorted(self._udp() - self._known - SYSTEM_UDP)]
        rows[names.UNDECLARED_LISTENERS] = [((), float(len(undeclared)))]
        rows[names.UNDECLARED_LISTENER] = [((port,), 1.0) for port in undeclared[:MAX_TOLD]]
        rows[names.PUBLIC_LISTENER] = self._told(dict.fromkeys(self._public(found, own), 1.0))
        links = {ip_network((int(address) >> 64 << 64, 64)) for address in own}
        visits = Counter(port for text in texts for port, who in peers(text, open_ports) if self._visitor(who, links))
        rows[names.OUTSIDE_CONNECTIONS] = self._told({port: float(count) for port, count in visits.items()})
        return families(rows)

    def _udp(self) -> set[int]:
        """UDP ports of servers, as far as one can see."""
        found: set[int] = set()
        for name in ("net/udp", "net/udp6"):
            with suppress(NoData):
                here = receivers(read(self._roots.proc(name)))
                found |= {one.port for one in here if not one.address.is_loopback and one.port < FIRST_OF_CLIENTS}
        return found

    def _told(self, ports: dict[int, float]) -> list[Row]:
        return [
            ((str(port), str(port in self._exposed).lower()), value) for port, value in sorted(ports.items())[:MAX_TOLD]
        ]

    def _public(self, found: Iterable[Listener], own: Iterable[Address]) -> Iterable[int]:
        """Ports at a public address: their own, or any address on a node that has one."""
        everywhere = any(self._outside(address) for address in own)
        for one in found:
            wildcard = one.address.is_unspecified and isinstance(one.address, IPv6Address)
            if (wildcard and everywhere) or (not one.address.is_unspecified and self._outside(one.address)):
                yield one.port

    def _visitor(self, who: Address, links: Collection[IPv4Network | IPv6Network]) -> bool:
        """Whether a peer came from outside. At home every device has a public IPv6 address, all of one link in the same
        /64 network (RFC 4291): a laptop in it is no more outside than by its IPv4 address."""
        return self._outside(who) and not any(who in link for link in links if link.version == who.version)

    def _own_addresses(self) -> list[Address]:
        """This node's IPv6 addresses. IPv4 ones at home are private; the router's translation stands before them."""
        with suppress(NoData):
            text = read(self._roots.proc("net/if_inet6"))
            return [IPv6Address(int(line.split()[0], 16)) for line in text.splitlines() if line.strip()]
        return []

    def _outside(self, address: Address) -> bool:
        network: IPv4Network | IPv6Network | None = self._inside
        if network is not None and network.version == address.version and address in network:
            return False
        return address.is_global
