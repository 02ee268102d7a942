"""Hosts by ping: one host (``ping``), the way out of the network (``wan``), the router, and who is present on the
network (``network-utilities``)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from exporters.catalog import services as catalog
from exporters.probes import dns
from exporters.probes.icmp import Echoes, ping
from exporters.probes.probe import Probe
from exporters.probes.verdict import Figures, Reason, State, Unwell, Verdict

# Share of lost echoes that people notice.
LOSSY = 0.25


async def ping_all(targets: Mapping[str, str], count: int = 5) -> dict[str, Echoes]:
    """Each target's echoes, all at the same time. Raises Unwell where pings are not permitted."""
    loop = asyncio.get_running_loop()
    tasks = {name: loop.create_task(ping(address, count)) for name, address in targets.items()}
    try:
        await asyncio.wait(tasks.values())
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
    return {name: task.result() for name, task in tasks.items()}


def tell(echoes: Mapping[str, Echoes], figures: Figures) -> None:
    for name, echo in echoes.items():
        figures.add(catalog.ICMP_LOSS, echo.loss, name)
        figures.add(catalog.ICMP_RTT, echo.fastest, "rtt", name)


class Ping(Probe):
    """``hosts`` by name, or the service's own address. Up while one answers: several ways out are not one."""

    async def check(self) -> Verdict:
        wanted = self.wanted
        figures = Figures(self.service)
        echoes = await ping_all(wanted.hosts or {wanted.addresses[0]: wanted.addresses[0]})
        tell(echoes, figures)
        lowest, highest = min(e.loss for e in echoes.values()), max(e.loss for e in echoes.values())
        if lowest == 1:
            return Verdict(State.DOWN, Reason.TIMEOUT, figures.rows)
        if highest > LOSSY:
            return Verdict(State.DEGRADED, Reason.LOSS, figures.rows)
        return Verdict(State.UP, None, figures.rows)


class Router(Probe):
    """Echo and, with ``query``, a name: a router that answers echoes and resolves nothing is of little use."""

    async def check(self) -> Verdict:
        wanted = self.wanted
        figures = Figures(self.service)
        address = wanted.addresses[0]
        silent: Unwell | None = None
        echo: Echoes | None = None
        try:
            echo = (await ping_all({address: address}))[address]
            tell({address: echo}, figures)
        except Unwell as unwell:
            silent = unwell
        resolved = await self._resolves(address, figures) if wanted.query else None
        if silent is not None and resolved is None:
            raise silent
        if echo is not None and echo.loss == 1 and not resolved:
            return Verdict(State.DOWN, Reason.TIMEOUT, figures.rows)
        if resolved is False:
            return Verdict(State.DEGRADED, Reason.DNS_FAILED, figures.rows)
        if echo is not None and LOSSY < echo.loss < 1:
            return Verdict(State.DEGRADED, Reason.LOSS, figures.rows)
        return Verdict(State.UP, None, figures.rows)

    async def _resolves(self, address: str, figures: Figures) -> bool:
        try:
            async with asyncio.timeout(1.5):
                answer = await dns.resolve(address, dns.PORT, self.wanted.query)
        except (OSError, EOFError, TimeoutError, Unwell):
            figures.add(catalog.DNS_SUCCEEDED, 0.0)
            return False
        return dns.tell(answer, figures)


class Presence(Probe):
    """Who is on the network: each of ``hosts`` is a series; none of them is this service's fault."""

    async def check(self) -> Verdict:
        figures = Figures(self.service)
        echoes = await ping_all(self.wanted.hosts, count=3)
        for name, echo in echoes.items():
            figures.add(catalog.HOST_PRESENT, 0.0 if echo.loss == 1 else 1.0, name)
        return Verdict(State.UP, None, figures.rows)
