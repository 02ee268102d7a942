"""Redis and Valkey: PING and INFO over one kept connection, in RESP
(https://redis.io/docs/latest/develop/reference/protocol-spec/).

A PING alone calls a full disk "down" (it is refused with MISCONF), so INFO decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from exporters.catalog import databases as catalog
from exporters.probes.probe import Probe
from exporters.probes.stream import Connection, Endpoint, connect
from exporters.probes.target import password
from exporters.probes.verdict import Figures, Reason, State, Unwell, Verdict, degraded, down
from exporters.wanted import WantedProbe

MAX_REPLY = 256 * 1024
MAX_DATABASES = 64
# Share of maxclients that is as good as all.
CROWDED = 0.98

# First word of an error reply -> what it means.
_ERRORS: Mapping[str, Reason] = {
    "WRONGPASS": Reason.CREDENTIALS_REFUSED,
    "NOPERM": Reason.NOT_PERMITTED,
    "DENIED": Reason.NOT_PERMITTED,
    "LOADING": Reason.LOADING,
    "MASTERDOWN": Reason.REPLICA_LINK,
    "MISCONF": Reason.PERSISTENCE,
    "OOM": Reason.MEMORY_FULL,
    "BUSY": Reason.SATURATED,
}


class ErrorReply(Exception):
    """``-CODE text``."""

    @property
    def code(self) -> str:
        return str(self).partition(" ")[0]


class Redis(Probe):
    up = catalog.REDIS_UP

    def __init__(self, wanted: WantedProbe) -> None:
        super().__init__(wanted)
        self._endpoint = Endpoint(wanted.addresses, wanted.port, wanted.tls, wanted.host)
        self._connection: Connection | None = None

    async def check(self) -> Verdict:
        kept = self._connection is not None
        try:
            return await self._ask()
        except (ConnectionError, EOFError):
            if not kept:
                raise
            # The server may have ended it while it was idle, which is no fault.
            self.close()
            return await self._ask()

    async def _ask(self) -> Verdict:
        if self._connection is None:
            self._connection = await connect(self._endpoint)
            await self._log_in(self._connection)
        connection = self._connection
        connection.writer.write(command("PING") + command("INFO"))
        await connection.writer.drain()
        ping, info = await reply(connection.reader), await reply(connection.reader)
        figures = Figures(self.service)
        figures.add(catalog.REDIS_UP, 1.0)
        if isinstance(info, str):
            fields = parse_info(info)
            tell(fields, figures)
            reason = trouble(fields)
        elif info.code == "NOPERM":
            reason = None  # a user that may only PING
        else:
            reason = meaning(info)
        if reason is None and ping != "PONG":
            reason = meaning(ping)
        if reason is None:
            return Verdict(State.UP, None, figures.rows)
        # Without a password given, one that is wanted is no fault of the service's.
        state = State.UP if reason is Reason.NO_CREDENTIALS else State.DEGRADED
        return Verdict(state, reason, figures.rows)

    async def _log_in(self, connection: Connection) -> None:
        secret = password(self.wanted)
        if not secret:
            return
        words = (self.wanted.user, secret) if self.wanted.user else (secret,)
        connection.writer.write(command("AUTH", *words))
        await connection.writer.drain()
        answer = await reply(connection.reader)
        # "ERR AUTH called without any password configured": it takes everybody, which is not ours to judge.
        if answer == "OK" or "without any password" in str(answer):
            return
        reason = meaning(answer)
        raise degraded(Reason.CREDENTIALS_REFUSED if reason is Reason.UNEXPECTED else reason)

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


def command(*words: str) -> bytes:
    """A command as an array of bulk strings."""
    parts = [word.encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


async def reply(reader: asyncio.StreamReader) -> str | ErrorReply:
    """One simple, bulk or error reply. Raises EOFError when the connection ends, Unwell for what is no reply."""
    try:
        line = await reader.readline()
    except ValueError as error:  # so asyncio calls a line without an end
        raise down(Reason.GARBAGE) from error
    if not line.endswith(b"\n"):
        raise EOFError("closed")
    if not line.endswith(b"\r\n"):
        raise down(Reason.GARBAGE)
    kind, rest = line[:1], line[1:-2]
    if kind == b"+":
        return rest.decode("utf-8", "replace")
    if kind == b"-":
        refusal = ErrorReply(rest.decode("utf-8", "replace"))
        if refusal.code == "ERR" and "max number of clients" in str(refusal):
            raise degraded(Reason.SATURATED)
        return refusal
    if kind == b"$" and rest.isdigit() and int(rest) <= MAX_REPLY:
        body = await reader.readexactly(int(rest) + 2)
        if body.endswith(b"\r\n"):
            return body[:-2].decode("utf-8", "replace")
    raise down(Reason.GARBAGE)


def meaning(answer: str | ErrorReply) -> Reason:
    """What a reply that was not hoped for says."""
    if not isinstance(answer, ErrorReply):
        return Reason.UNEXPECTED
    if answer.code == "NOAUTH":
        return Reason.NO_CREDENTIALS
    return _ERRORS.get(answer.code, Reason.UNEXPECTED)


def parse_info(text: str) -> dict[str, str]:
    """``field:value`` lines; headings and what has another form are left out. Raises Unwell when nothing is there."""
    pairs = (line.partition(":") for line in text.splitlines() if line and not line.startswith("#"))
    fields = {name: value for name, colon, value in pairs if colon}
    if "redis_version" not in fields and "uptime_in_seconds" not in fields:
        raise Unwell(State.DOWN, Reason.GARBAGE)
    return fields


def number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def tell(fields: Mapping[str, str], figures: Figures) -> None:
    for field, metric in catalog.REDIS_NUMBERS.items():
        figures.add(metric, number(fields.get(field)))
    for field, metric in catalog.REDIS_WORDS.items():
        if field in fields:
            figures.add(metric, 1.0 if fields[field] == "ok" else 0.0)
    labels = (fields.get(name, "") for name in ("role", "redis_version", "redis_mode"))
    figures.add(catalog.REDIS_INFO, 1.0, *labels)
    if "master_link_status" in fields:
        host, port = fields.get("master_host", ""), fields.get("master_port", "")
        figures.add(catalog.REDIS_LINK, 1.0 if fields["master_link_status"] == "up" else 0.0, host, port)
    databases = [name for name in fields if name.startswith("db") and name[2:].isdigit()]
    for name in databases[:MAX_DATABASES]:
        keys = fields[name].partition(",")[0].removeprefix("keys=")
        figures.add(catalog.REDIS_KEYS, number(keys), name)


def trouble(fields: Mapping[str, str]) -> Reason | None:
    """What INFO says is wrong."""
    if fields.get("loading") == "1":
        return Reason.LOADING
    if fields.get("rdb_last_bgsave_status", "ok") != "ok" or fields.get("aof_last_write_status", "ok") != "ok":
        return Reason.PERSISTENCE
    if fields.get("master_link_status", "up") != "up":
        return Reason.REPLICA_LINK
    used, most = number(fields.get("used_memory")), number(fields.get("maxmemory"))
    if used and most and used >= most and fields.get("maxmemory_policy") == "noeviction":
        return Reason.MEMORY_FULL
    clients, limit = number(fields.get("connected_clients")), number(fields.get("maxclients"))
    if clients and limit and clients >= CROWDED * limit:
        return Reason.SATURATED
    return None
