"""Servers that speak a service's protocol from recorded answers, and misbehave in the way they are told."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from tests.support.serving import Connections

RECORDED = Path(__file__).resolve().parents[2] / "fixtures" / "services"
Fault = Literal["", "hang", "close", "half", "slow", "garbage", "503", "truncated"]
# Reads one request, gives the answer; None ends the connection.
Exchange = Callable[[asyncio.StreamReader], Awaitable[bytes | None]]
GARBAGE = b"\x00\x07\xff\x00nonsense\r\n\r\nmore\r\n" * 3


class FakeServer:
    """``fault`` may be exchanged at any time; it begins at the ``after``-th answer. ``open``: connections held."""

    def __init__(self, speaker: Callable[[], Exchange]) -> None:
        self.speaker = speaker
        self.fault: Fault = ""
        self.after = 0
        self.port = 0
        self.accepted = 0
        self.answers = 0
        self.writers: set[asyncio.StreamWriter] = set()

    @property
    def open(self) -> int:
        return len(self.writers)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.writers.add(writer)
        exchange = self.speaker()
        try:
            while (answer := await exchange(reader)) is not None:
                self.answers += 1
                if not await self._send(answer, reader, writer):
                    return
        except (OSError, EOFError, asyncio.IncompleteReadError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()

    async def _send(self, answer: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection goes on."""
        fault = self.fault if self.answers > self.after else ""
        if fault == "hang":
            await reader.read()
            return False
        if fault == "close":
            return False
        if fault == "half":
            writer.write(answer[: len(answer) // 2])
            writer.write_eof()
            await reader.read()
            return False
        if fault == "garbage":
            answer = GARBAGE
        if fault == "slow":
            for place in range(len(answer)):
                writer.write(answer[place : place + 1])
                await writer.drain()
                await asyncio.sleep(0.05)
        else:
            writer.write(answer)
            await writer.drain()
        return True

    async def empty(self) -> bool:
        """Whether every connection ends soon: nobody holds one that he gave up."""
        for _ in range(1000):
            if not self.writers:
                return True
            await asyncio.sleep(0.01)
        return False

    def drop(self) -> None:
        """End every connection, as a service does that stops."""
        for writer in self.writers:
            writer.transport.abort()


@asynccontextmanager
async def running(speaker: Callable[[], Exchange]) -> AsyncIterator[FakeServer]:
    server = FakeServer(speaker)
    connections = Connections(server.serve)
    listener = await asyncio.start_server(connections, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        await connections.cut()
        await listener.wait_closed()


# HTTP


class Page:
    """An answer to a GET."""

    def __init__(self, body: bytes | str = b"", status: int = 200, **headers: str) -> None:
        self.body = body.encode() if isinstance(body, str) else body
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def page(value: object, status: int = 200) -> Page:
    return Page(json.dumps(value), status, Content_Type="application/json")


def recorded(name: str) -> Page:
    return Page((RECORDED / name).read_bytes())


class Web:
    """Pages by path. ``fault`` 503 and truncated are HTTP's own."""

    def __init__(self, pages: Mapping[str, Page]) -> None:
        self.pages = dict(pages)
        self.fault: Fault = ""
        self.asked: list[str] = []
        self.heads: list[str] = []
        # (user, password) in the form of the header, when it must be there.
        self.authorization = ""

    def __call__(self) -> Exchange:
        return self._exchange

    async def _exchange(self, reader: asyncio.StreamReader) -> bytes:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ")[1]
        self.asked.append(path)
        self.heads.append(head)
        found = self.pages.get(path.partition("?")[0], Page("not found", 404))
        if self.authorization and self.authorization not in head:
            found = Page("who are you?", 401)
        if self.fault == "503":
            found = Page("", 503)
        body = found.body[: len(found.body) // 2] if self.fault == "truncated" else found.body
        lines = [f"HTTP/1.1 {found.status} Whatever", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in found.headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


# Redis


class RedisSpeaker:
    """Replies by command; a command with arguments is looked up whole first."""

    def __init__(self, info: str, **replies: bytes) -> None:
        body = info.encode()
        self.replies: dict[str, bytes] = {
            "PING": b"+PONG\r\n",
            "INFO": b"$%d\r\n%b\r\n" % (len(body), body),
            "AUTH": b"-WRONGPASS invalid username-password pair or user is disabled.\r\n",
            **replies,
        }

    def __call__(self) -> Exchange:
        return self._exchange

    async def _exchange(self, reader: asyncio.StreamReader) -> bytes:
        count = int((await reader.readline())[1:])
        words = []
        for _ in range(count):
            size = int((await reader.readline())[1:])
            words.append((await reader.readexactly(size + 2))[:-2].decode())
        return self.replies.get(" ".join(words), self.replies.get(words[0], b"-ERR unknown command\r\n"))


def recorded_info(**changed: str) -> str:
    """INFO of a real server without its bulk header, fields replaced."""
    lines = (RECORDED / "redis_info_all_v6.0.9.txt").read_text().splitlines()[1:]
    fields = [(name, value) for name, _, value in (line.partition(":") for line in lines)]
    there = [f"{name}:{changed.get(name, value)}" for name, value in fields if name]
    there += [f"{name}:{value}" for name, value in changed.items() if name not in dict(fields)]
    return "\r\n".join(there)


# PostgreSQL


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def error(code: str, text: str = "said in words") -> bytes:
    fields = (b"SFATAL", b"VFATAL", b"C" + code.encode(), b"M" + text.encode())
    return message(b"E", b"\0".join(fields) + b"\0\0")


def rows(*values: tuple[str | None, ...]) -> bytes:
    """DataRows and CommandComplete of one statement."""
    out = b""
    for row in values:
        cells = b"".join(
            struct.pack("!i", -1) if cell is None else struct.pack("!i", len(cell)) + cell.encode() for cell in row
        )
        out += message(b"D", struct.pack("!H", len(row)) + cells)
    return out + message(b"C", b"SELECT\0")


READY = message(b"Z", b"I")
WELCOME = (
    message(b"R", struct.pack("!I", 0))
    + message(b"S", b"server_version\x0015.18 (Debian 15.18-0+deb12u1)\0")
    + message(b"S", b"in_hot_standby\0off\0")
    + message(b"K", b"\0" * 8)
    + READY
)
STATISTICS = (
    rows(("0", "0", "1795430000.5", "100", "3", "0"))
    + rows(("active", "2", "1.5"), ("idle", "5", None))
    + rows(("16384", "app", "7", "100", "2", "30", "4000", "0", "0", "12345"))
    + rows()
    + rows()
    + READY
)
SIZES = rows(("app", "8000000")) + READY


class PgSpeaker:
    """``start`` answers the startup message; queries are answered by what they ask for."""

    def __init__(self, start: bytes = WELCOME, statistics: bytes = STATISTICS) -> None:
        self.start = start
        self.statistics = statistics
        self.startup = b""

    def __call__(self) -> Exchange:
        begun = False

        async def exchange(reader: asyncio.StreamReader) -> bytes | None:
            nonlocal begun
            if not begun:
                begun = True
                (size,) = struct.unpack("!I", await reader.readexactly(4))
                self.startup = await reader.readexactly(size - 4)
                return self.start
            kind = await reader.readexactly(1)
            (size,) = struct.unpack("!I", await reader.readexactly(4))
            body = await reader.readexactly(size - 4)
            if kind == b"p":
                return error("28P01")
            if kind != b"Q":
                return None
            if b"pg_database_size" in body:
                return SIZES
            return self.statistics if b"pg_stat_activity" in body else rows(("1",)) + READY

        return exchange
