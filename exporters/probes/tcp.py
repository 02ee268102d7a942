"""Any TCP service: does it take a connection. The connection is kept, so that its end is noticed at once."""

from __future__ import annotations

from exporters.catalog import services as catalog
from exporters.probes import certificate
from exporters.probes.probe import Probe
from exporters.probes.stream import Connection, Endpoint, connect
from exporters.probes.verdict import Figures, Reason, State, Verdict
from exporters.wanted import WantedProbe


class Tcp(Probe):
    """Connects anew at every check; with ``tls`` also does the handshake and reads the certificate."""

    def __init__(self, wanted: WantedProbe) -> None:
        super().__init__(wanted)
        self._endpoint = Endpoint(wanted.addresses, wanted.port, wanted.tls, wanted.host)
        self._connection: Connection | None = None

    async def check(self) -> Verdict:
        connection = await connect(self._endpoint)
        self.close()
        self._connection = connection
        figures = Figures(self.service)
        for phase, seconds in connection.phases.items():
            figures.add(catalog.HTTP_PHASES, seconds, phase)
        reason = certificate_trouble(connection, figures)
        return Verdict(State.DEGRADED if reason else State.UP, reason, figures.rows)

    async def lost(self) -> None:
        if self._connection is None:
            await super().lost()
        else:
            await self._connection.ended()
            self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.abort()
            self._connection = None


def certificate_trouble(connection: Connection, figures: Figures) -> Reason | None:
    """Tells when a certificate ends; a reason when it is not valid today. None without TLS."""
    der = connection.peer_certificate()
    if der is None:
        return None
    try:
        begins, ends = certificate.validity(der)
    except ValueError:
        return Reason.CERTIFICATE
    figures.add(catalog.CERTIFICATE_EXPIRY, ends)
    return None if begins <= certificate.now() < ends else Reason.CERTIFICATE
