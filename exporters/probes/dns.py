"""A DNS server: one question for the address of a name, over UDP, again over TCP when the answer was cut (RFC 1035)."""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
import time
from dataclasses import dataclass

from exporters.catalog import services as catalog
from exporters.probes.probe import Probe
from exporters.probes.stream import Endpoint, connect
from exporters.probes.verdict import Figures, Reason, State, Verdict, down

PORT = 53
_A, _IN = 1, 1
_RESPONSE, _TRUNCATED, _RECURSE = 0x8000, 0x0200, 0x0100
# Seconds until a question is sent once more: UDP loses packets.
AGAIN = 0.8


@dataclass(frozen=True, slots=True)
class Answer:
    """``rcode``: 0 is no error, 2 the server failed, 3 no such name, 5 refused. ``seconds``: how long it took."""

    rcode: int
    count: int
    seconds: float


class Dns(Probe):
    """``query``: the name to ask for."""

    async def check(self) -> Verdict:
        figures = Figures(self.service)
        answer = await self._ask()
        good = tell(answer, figures)
        return Verdict(State.UP if good else State.DEGRADED, None if good else Reason.DNS_FAILED, figures.rows)

    async def _ask(self) -> Answer:
        refused: OSError = ConnectionRefusedError("no address to ask")
        for address in self.wanted.addresses:
            try:
                return await resolve(address, self.wanted.port or PORT, self.wanted.query)
            except ConnectionRefusedError as error:
                refused = error
        raise refused


def tell(answer: Answer, figures: Figures) -> bool:
    """Whether the name was resolved."""
    good = answer.rcode == 0 and answer.count > 0
    figures.add(catalog.DNS_LOOKUP, answer.seconds)
    figures.add(catalog.DNS_ANSWERS, answer.count)
    figures.add(catalog.DNS_SUCCEEDED, 1.0 if answer.rcode == 0 else 0.0)
    return good


async def resolve(server: str, port: int, name: str) -> Answer:
    """The server's answer. Raises OSError, EOFError, Unwell; waits as long as it is let."""
    number = secrets.randbelow(65536)
    question = query(number, name)
    begun = time.monotonic()
    flags, count = await _over_udp(server, port, number, question)
    if flags & _TRUNCATED:
        flags, count = await _over_tcp(server, port, number, question)
    return Answer(flags & 0xF, count, time.monotonic() - begun)


def query(number: int, name: str) -> bytes:
    """A question for a name's IPv4 address, recursion desired. Raises ValueError for what is no name."""
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".")]
    if not all(0 < len(label) < 64 for label in labels):
        raise ValueError(f"no domain name: {name!r}")
    path = b"".join(bytes([len(label)]) + label for label in labels)
    return struct.pack("!6H", number, _RECURSE, 1, 0, 0, 0) + path + b"\0" + struct.pack("!2H", _A, _IN)


def header(data: bytes, number: int) -> tuple[int, int] | None:
    """(flags, answers) of a response to a question; None for what is none."""
    if len(data) < 12:
        return None
    given, flags, _, answers, _, _ = struct.unpack_from("!6H", data)
    return (flags, answers) if given == number and flags & _RESPONSE else None


async def _over_udp(server: str, port: int, number: int, question: bytes) -> tuple[int, int]:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect((server, port))
        while True:
            await loop.sock_sendall(sock, question)
            try:
                async with asyncio.timeout(AGAIN):
                    while True:
                        found = header(await loop.sock_recv(sock, 4096), number)
                        if found is not None:
                            return found
            except TimeoutError:
                continue


async def _over_tcp(server: str, port: int, number: int, question: bytes) -> tuple[int, int]:
    connection = await connect(Endpoint((server,), port))
    try:
        connection.writer.write(struct.pack("!H", len(question)) + question)
        await connection.writer.drain()
        (size,) = struct.unpack("!H", await connection.reader.readexactly(2))
        found = header(await connection.reader.readexactly(size), number)
    finally:
        connection.abort()
    if found is None:
        raise down(Reason.GARBAGE)
    return found
