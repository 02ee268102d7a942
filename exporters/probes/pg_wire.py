"""PostgreSQL's frontend/backend protocol 3.0, as much as a probe needs
(https://www.postgresql.org/docs/current/protocol-message-formats.html): start, log in, simple queries."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping

from exporters.probes.pg_scram import Scram, ScramFailed
from exporters.probes.stream import Connection, Endpoint, connect
from exporters.probes.verdict import Reason, degraded, down

PROTOCOL = 196608
MAX_MESSAGE = 1024 * 1024
MAX_ROWS = 2000
_OK, _CLEARTEXT, _MD5, _SASL, _SASL_CONTINUE, _SASL_FINAL = 0, 3, 5, 10, 11, 12

Row = tuple[str | None, ...]


class ServerError(Exception):
    """An ErrorResponse; ``code`` is its SQLSTATE. The text is the server's and may name users: it is not shown."""

    def __init__(self, code: str) -> None:
        super().__init__(f"SQLSTATE {code}")
        self.code = code


class Session:
    """A connection that has begun. ``parameters``: what the server says of itself (server_version, in_hot_standby)."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.parameters: dict[str, str] = {}
        self.ready = False

    async def start(self, user: str, database: str, password: str, options: Mapping[str, str]) -> None:
        """Log in. Without a password the server's demand for one ends it with ``ready`` False: it takes connections.

        Raises ServerError, Unwell.
        """
        words = {"user": user, "database": database, **options}
        body = b"".join(_text(name) + _text(value) for name, value in words.items())
        await self._send(b"", struct.pack("!I", PROTOCOL) + body + b"\0")
        scram: Scram | None = None
        while True:
            kind, body = await self._message()
            if kind == b"Z":
                self.ready = True
                return
            if kind == b"S":
                name, _, value = body.rstrip(b"\0").partition(b"\0")
                if len(self.parameters) < 64:
                    self.parameters[name.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
            elif kind == b"R":
                demand = _demand(body)
                if demand != _OK and not password:
                    return
                scram = await self._answer(demand, body[4:], scram, user, password)
            elif kind not in (b"K", b"N"):
                raise down(Reason.GARBAGE)

    async def _answer(self, demand: int, data: bytes, scram: Scram | None, user: str, password: str) -> Scram | None:
        try:
            if demand == _MD5 and len(data) == 4:
                inner = hashlib.md5(password.encode() + user.encode(), usedforsecurity=False).hexdigest()
                outer = hashlib.md5(inner.encode() + data, usedforsecurity=False).hexdigest()
                await self._send(b"p", _text(f"md5{outer}"))
            elif demand == _SASL and b"SCRAM-SHA-256\0" in data:
                scram = Scram(password)
                first = scram.first()
                await self._send(b"p", _text("SCRAM-SHA-256") + struct.pack("!I", len(first)) + first)
            elif demand == _SASL_CONTINUE and scram is not None:
                await self._send(b"p", scram.proof(data))
            elif demand == _SASL_FINAL and scram is not None:
                scram.verify(data)
            elif demand == _CLEARTEXT:
                # A password is not sent in the open.
                raise degraded(Reason.CREDENTIALS_REFUSED)
            elif demand != _OK:
                raise down(Reason.GARBAGE)
        except ScramFailed as error:
            raise degraded(Reason.CREDENTIALS_REFUSED) from error
        return scram

    async def query(self, statements: str) -> list[list[Row]]:
        """The rows of each statement, as text. Raises ServerError after the server is ready for the next."""
        await self._send(b"Q", _text(statements))
        answers: list[list[Row]] = [[]]
        count = 0
        failure: ServerError | None = None
        while True:
            kind, body = await self._message(errors=False)
            if kind == b"D":
                count += 1
                if count <= MAX_ROWS:
                    answers[-1].append(_row(body))
            elif kind == b"C":
                answers.append([])
            elif kind == b"E":
                failure = _error(body)
            elif kind == b"Z":
                if failure is not None:
                    raise failure
                return answers[:-1]
            elif kind not in (b"T", b"S", b"N", b"I"):
                raise down(Reason.GARBAGE)

    async def _send(self, kind: bytes, body: bytes) -> None:
        self.connection.writer.write(kind + struct.pack("!I", len(body) + 4) + body)
        await self.connection.writer.drain()

    async def _message(self, *, errors: bool = True) -> tuple[bytes, bytes]:
        """(type, body). With ``errors`` an ErrorResponse is raised."""
        reader = self.connection.reader
        kind = await reader.readexactly(1)
        if kind not in b"RSKZENTDCI":
            raise down(Reason.GARBAGE)
        (length,) = struct.unpack("!I", await reader.readexactly(4))
        if not 4 <= length <= MAX_MESSAGE:
            raise down(Reason.GARBAGE)
        body = await reader.readexactly(length - 4)
        if kind == b"E" and errors:
            raise _error(body)
        return kind, body

    def finish(self) -> None:
        """Close; a session that had begun says goodbye, so that the server logs nothing."""
        transport = self.connection.writer.transport
        if self.ready and not transport.is_closing() and transport.get_write_buffer_size() == 0:
            self.connection.writer.write(b"X\0\0\0\4")
        transport.abort()


async def open_session(endpoint: Endpoint) -> Session:
    """Connect. Raises OSError."""
    return Session(await connect(endpoint))


def _text(value: str) -> bytes:
    return value.encode().replace(b"\0", b"") + b"\0"


def _demand(body: bytes) -> int:
    if len(body) < 4:
        raise down(Reason.GARBAGE)
    return int.from_bytes(body[:4], "big")


def _error(body: bytes) -> ServerError:
    fields = [field for field in body.split(b"\0") if field]
    code = next((field[1:] for field in fields if field[:1] == b"C"), b"")
    return ServerError(code.decode("ascii", "replace")[:5])


def _row(body: bytes) -> Row:
    try:
        (count,) = struct.unpack_from("!H", body)
        place = 2
        row: list[str | None] = []
        for _ in range(count):
            (length,) = struct.unpack_from("!i", body, place)
            place += 4
            if length < 0:
                row.append(None)
            else:
                row.append(body[place : place + length].decode("utf-8", "replace"))
                place += length
    except struct.error as error:
        raise down(Reason.GARBAGE) from error
    return tuple(row)
