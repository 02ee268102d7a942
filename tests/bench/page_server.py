"""Serves many targets the living page of node_exporter: ``python -m tests.bench.page_server TARGETS STEP_SECONDS``.

Each target has a loopback address of its own; a list of (address, port) is written as JSON. Pages are made and
compressed before, so that serving costs little: the answers to one connection are one page after the other, as far as
a scrape is from the next, from the start again after ``PAGES``.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys

from tests.bench.motion import PEER_PAGE, LivingPage

PAGES = 64
APART_S = 15.0
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


class OnePage(asyncio.Protocol):
    """As much of HTTP as a scraper needs: every request for /metrics gets the next page, compressed when it may be,
    others 404."""

    def __init__(self, plain: list[bytes], packed: list[bytes]) -> None:
        self._plain = plain
        self._packed = packed
        self._at = 0
        self._seen = b""
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._seen += data
        while (end := self._seen.find(b"\r\n\r\n")) >= 0:
            wanted, self._seen = self._seen[:end], self._seen[end + 4 :]
            if not wanted.startswith(b"GET /metrics "):
                self._transport.write(NOT_FOUND)
                continue
            answers = self._packed if b"gzip" in wanted else self._plain
            self._transport.write(answers[self._at % len(answers)])
            self._at += 1


def answers(step_s: float) -> tuple[list[bytes], list[bytes]]:
    """The pages as they are, and compressed."""
    page = LivingPage(PEER_PAGE, apart_s=APART_S, step_s=step_s, seed=1)
    plain = [page.text(row) for row in page.next_values(PAGES)]
    return [_answer(body) for body in plain], [
        _answer(gzip.compress(body, 6), "Content-Encoding: gzip\r\n") for body in plain
    ]


def _answer(body: bytes, field: str = "") -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n{field}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def serve(targets: int, step_s: float) -> None:
    plain, packed = answers(step_s)
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(lambda: OnePage(plain, packed), f"127.10.{number // 250}.{number % 250 + 1}", 0)
        for number in range(targets)
    ]
    sys.stdout.write(json.dumps([server.sockets[0].getsockname() for server in servers]) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
