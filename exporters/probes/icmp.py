"""Echo requests (ping) through an unprivileged ICMP socket, which the kernel grants to the groups in
``net.ipv4.ping_group_range``; else through a raw one, which wants CAP_NET_RAW."""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from exporters.probes.verdict import Reason, unknown

_ECHO: Mapping[int, tuple[int, int, int]] = {
    socket.AF_INET: (8, 0, socket.IPPROTO_ICMP),
    socket.AF_INET6: (128, 129, socket.IPPROTO_ICMPV6),
}
_HEAD = struct.Struct("!BBHHH")


@dataclass(frozen=True, slots=True)
class Echoes:
    """``times``: seconds to the reply of each request that had one."""

    sent: int
    times: tuple[float, ...]

    @property
    def loss(self) -> float:
        return 1 - len(self.times) / self.sent

    @property
    def fastest(self) -> float | None:
        return min(self.times, default=None)


async def ping(address: str, count: int = 5, gap: float = 0.2, wait: float = 1.0) -> Echoes:
    """``count`` requests, ``gap`` seconds apart; ``wait`` seconds for the last replies. Raises Unwell where it is not
    permitted. Several, because one lost packet is Wi-Fi, not a failure."""
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock, raw = _open(family)
    token = secrets.token_bytes(8)
    sent: dict[int, float] = {}
    times: dict[int, float] = {}
    with sock:
        sock.setblocking(False)

        async def receive() -> None:
            while len(times) < count:
                data = await loop.sock_recv(sock, 2048)
                number = reply_number(data, family, raw=raw, token=token)
                if number in sent:
                    times.setdefault(number, time.monotonic() - sent[number])

        receiver = loop.create_task(receive())
        try:
            for number in range(count):
                sent[number] = time.monotonic()
                with suppress(OSError):  # no route at the moment: a request without a reply
                    await loop.sock_sendto(sock, request(number, family, token), (address, 0))
                if number < count - 1:
                    await asyncio.wait((receiver,), timeout=gap)
            await asyncio.wait((receiver,), timeout=wait)
        finally:
            receiver.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await receiver
    return Echoes(count, tuple(times.values()))


def _open(family: socket.AddressFamily) -> tuple[socket.socket, bool]:
    protocol = _ECHO[family][2]
    with suppress(PermissionError):
        return socket.socket(family, socket.SOCK_DGRAM, protocol), False
    try:
        return socket.socket(family, socket.SOCK_RAW, protocol), True
    except PermissionError as error:
        raise unknown(Reason.NOT_PERMITTED) from error


def request(number: int, family: int, token: bytes) -> bytes:
    """An echo request; the identifier of an unprivileged socket is the kernel's, so ``token`` tells ours."""
    kind = _ECHO[family][0]
    head = _HEAD.pack(kind, 0, 0, int.from_bytes(token[:2], "big"), number)
    return _HEAD.pack(kind, 0, checksum(head + token), int.from_bytes(token[:2], "big"), number) + token


def reply_number(data: bytes, family: int, *, raw: bool, token: bytes) -> int | None:
    """The number of the request that this packet answers; None when it is not an answer to ours."""
    if raw and family == socket.AF_INET and data:
        data = data[(data[0] & 0xF) * 4 :]  # a raw socket gives the IP header too
    if len(data) < _HEAD.size or data[_HEAD.size :] != token:
        return None
    answers = data[0] == _ECHO[family][1]
    return int.from_bytes(data[6:8], "big") if answers else None


def checksum(data: bytes) -> int:
    """RFC 1071."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
