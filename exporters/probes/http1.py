"""A small HTTP/1.1 client (RFC 9112): one kept connection, answers of bounded size, the time of each phase.

Own, because a probe wants what a general client hides: the phases, the moment an idle connection ends, and the first
bytes of an answer without the rest.
"""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from exporters.probes.stream import Connection, Endpoint, connect
from exporters.probes.verdict import Reason, degraded, down

MAX_BODY = 1024 * 1024
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)(?: [^\r\n]*)?$")
_AGENT = "Tierwatch-probe"


@dataclass(frozen=True, slots=True)
class Response:
    """``headers`` by lower-case name. ``body`` may be cut at the ``prefix`` asked for."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    phases: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Request:
    """``prefix``: this many bytes of the body are enough; ``most``: more than so many are refused."""

    path: str
    headers: Mapping[str, str]
    prefix: int | None
    most: int


class HttpClient:
    """GET requests to one service over one connection. Raises OSError, EOFError, and Unwell for what is no HTTP."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._connection: Connection | None = None

    @property
    def connection(self) -> Connection | None:
        return self._connection

    async def get(
        self, path: str, *, headers: Mapping[str, str] | None = None, prefix: int | None = None, most: int = MAX_BODY
    ) -> Response:
        """The answer to a GET. ``prefix``: this many bytes of the body are enough, the rest is not read."""
        request = _Request(path, headers or {}, prefix, most)
        if self._connection is not None:
            # The server may have ended it while it was idle, which is no fault.
            try:
                return await self._exchange(self._connection, {}, request)
            except _NothingCame:
                self.close()
        self._connection = connection = await connect(self._endpoint)
        return await self._exchange(connection, connection.phases, request)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.abort()
            self._connection = None

    async def _exchange(self, connection: Connection, phases: Mapping[str, float], request: _Request) -> Response:
        done = False
        try:
            begun = time.monotonic()
            status, fields = await self._ask(connection, request)
            answered = time.monotonic()
            body, whole = await _body(connection, status, fields, request)
            done = whole and "close" not in fields.get("connection", "").lower()
            spent = {**phases, "processing": answered - begun, "transfer": time.monotonic() - answered}
            return Response(status, fields, body, spent)
        finally:
            if not done and self._connection is connection:
                self.close()

    async def _ask(self, connection: Connection, request: _Request) -> tuple[int, dict[str, str]]:
        """Send the head, read the answer's head; provisional answers (1xx) are passed over."""
        host = self._endpoint.host or connection.address
        host = f"[{host}]" if ":" in host else host
        lines = [f"GET {request.path} HTTP/1.1", f"Host: {host}:{self._endpoint.port}", f"User-Agent: {_AGENT}"]
        lines.append("Accept: */*")
        lines += [f"{name}: {value}" for name, value in request.headers.items()]
        try:
            connection.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
            await connection.writer.drain()
            first = await connection.reader.read(1)
        except ConnectionError as error:
            raise _NothingCame(str(error)) from error
        if not first:
            raise _NothingCame("closed without an answer")
        for _ in range(5):
            try:
                head = first + await connection.reader.readuntil(b"\r\n\r\n")
            except asyncio.LimitOverrunError as error:
                raise down(Reason.GARBAGE) from error
            status, fields = _head(head)
            if status >= 200:
                return status, fields
            first = b""
        raise down(Reason.GARBAGE)


class _NothingCame(ConnectionResetError):
    """The connection ended before a byte of the answer."""


def _head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *rest = head[:-4].split(b"\r\n")
    match = _STATUS.match(first)
    if match is None:
        raise down(Reason.GARBAGE)
    fields = {}
    for line in rest:
        name, colon, value = line.partition(b":")
        if not colon:
            raise down(Reason.GARBAGE)
        fields[name.strip().lower().decode("latin-1")] = value.strip().decode("latin-1")
    return int(match[1]), fields


async def _body(
    connection: Connection, status: int, fields: Mapping[str, str], request: _Request
) -> tuple[bytes, bool]:
    """The body, and whether all of it was read, so that the connection can be used again."""
    prefix, most = request.prefix, request.most
    if status in (204, 304):
        return b"", True
    if "chunked" in fields.get("transfer-encoding", "").lower():
        return await _chunked(connection, prefix, most)
    reader = connection.reader
    length = fields.get("content-length")
    if length is None:
        wanted = most + 1 if prefix is None else prefix
        body = b""
        while len(body) < wanted and (piece := await reader.read(min(65536, wanted - len(body)))):
            body += piece
        if prefix is None and len(body) > most:
            raise degraded(Reason.TOO_LARGE)
        return body, False
    if not length.isdecimal() or len(length) > 18:
        raise down(Reason.GARBAGE)
    size = int(length)
    if prefix is not None and size > prefix:
        return await reader.readexactly(prefix), False
    if size > most:
        raise degraded(Reason.TOO_LARGE)
    return await reader.readexactly(size), True


async def _chunked(connection: Connection, prefix: int | None, most: int) -> tuple[bytes, bool]:
    reader = connection.reader
    body = b""
    while True:
        line = await _line(connection)
        try:
            size = int(line.partition(b";")[0].strip(), 16)
        except ValueError as error:
            raise down(Reason.GARBAGE) from error
        if size < 0:
            raise down(Reason.GARBAGE)
        if size == 0:
            while await _line(connection) != b"":
                pass
            return body, True
        if prefix is not None and len(body) + size >= prefix:
            return body + await reader.readexactly(prefix - len(body)), False
        if len(body) + size > most:
            raise degraded(Reason.TOO_LARGE)
        body += await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise down(Reason.GARBAGE)


async def _line(connection: Connection) -> bytes:
    try:
        line = await connection.reader.readline()
    except ValueError as error:  # so it calls a line without an end
        raise down(Reason.GARBAGE) from error
    if not line.endswith(b"\n"):
        raise EOFError("ended within a chunked body")
    return line.rstrip(b"\r\n")


def basic(user: str, password: str) -> dict[str, str]:
    """The header of HTTP basic authentication (RFC 7617); none without a user."""
    if not user:
        return {}
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {token}"}
