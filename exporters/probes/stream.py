"""A TCP or TLS connection to a service: opened with times taken, read with limits, watched while idle, cut at once."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

# Most bytes held of one line or head of an answer.
LINE_LIMIT = 64 * 1024


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``addresses`` are tried in turn: a refused one may mean that the service listens on the other only.

    ``host``: the name for TLS and HTTP when it is not the address.
    """

    addresses: Sequence[str]
    port: int
    tls: bool = False
    host: str = ""


@cache
def unverified() -> ssl.SSLContext:
    """TLS without judging the certificate: whether the service answers is one question, its certificate another."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(slots=True)
class Connection:
    """``phases``: seconds to connect and for the TLS handshake."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    address: str
    phases: dict[str, float] = field(default_factory=dict)

    def abort(self) -> None:
        """Close without waiting for anything still to be sent."""
        self.writer.transport.abort()

    async def ended(self) -> None:
        """Waits until the peer ends the connection or says something unasked; either way it is of no more use."""
        try:
            await self.reader.read(1)
        except OSError:
            return

    def peer_certificate(self) -> bytes | None:
        """The server's certificate in DER, whatever its worth; None without TLS."""
        tls = self.writer.get_extra_info("ssl_object")
        return tls.getpeercert(True) if tls is not None else None


async def connect(endpoint: Endpoint) -> Connection:
    """Raises OSError (ConnectionRefusedError when no address takes the connection), ssl.SSLError."""
    refused: OSError = ConnectionRefusedError("no address to connect to")
    for address in endpoint.addresses:
        try:
            return await _connect(address, endpoint)
        except ConnectionRefusedError as error:
            refused = error
    raise refused


async def _connect(address: str, endpoint: Endpoint) -> Connection:
    loop = asyncio.get_running_loop()
    begun = time.monotonic()
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await loop.sock_connect(sock, (address, endpoint.port))
        if sock.getsockname() == sock.getpeername():
            # A port nobody listens on may be given to the caller itself, who then talks to himself.
            raise ConnectionRefusedError("connected to itself")
    except BaseException:
        sock.close()
        raise
    connected = time.monotonic()
    phases = {"connect": connected - begun}
    if not endpoint.tls:
        reader, writer = await asyncio.open_connection(sock=sock, limit=LINE_LIMIT)
        return Connection(reader, writer, address, phases)
    reader, writer = await asyncio.open_connection(
        sock=sock, limit=LINE_LIMIT, ssl=unverified(), server_hostname=endpoint.host or address
    )
    phases["tls"] = time.monotonic() - connected
    return Connection(reader, writer, address, phases)
