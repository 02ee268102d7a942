"""PostgreSQL: one connection that is kept, so that the probe still sees a server that is full; without a user only
whether it accepts connections, as pg_isready asks."""

from __future__ import annotations

import time

from exporters.catalog import databases as catalog
from exporters.probes import pg_queries
from exporters.probes.pg_wire import ServerError, Session, open_session
from exporters.probes.probe import Probe
from exporters.probes.stream import Endpoint
from exporters.probes.target import password
from exporters.probes.verdict import Figures, Reason, State, Verdict, degraded
from exporters.wanted import WantedProbe

# Whoever is asked to log in with these is accepting connections (pg_isready's rule).
_ACCEPTING = ("28000", "28P01", "3D000")
_OPTIONS = {
    "application_name": "tierwatch",
    "statement_timeout": "2000",
    "lock_timeout": "500",
    "default_transaction_read_only": "on",
}
# Share of the slots for ordinary users that is as good as all.
CROWDED = 0.95
LAG_SECONDS = 60.0
# Sizes make the server walk its folders.
SIZES_EVERY = 300.0


class PostgreSql(Probe):
    up = catalog.PG_UP

    def __init__(self, wanted: WantedProbe) -> None:
        super().__init__(wanted)
        self._endpoint = Endpoint(wanted.addresses, wanted.port, wanted.tls, wanted.host)
        self._session: Session | None = None
        self._sized = float("-inf")
        self._sizes: list[tuple[str, float]] = []

    async def check(self) -> Verdict:
        kept = self._session is not None
        try:
            return await self._ask()
        except (ConnectionError, EOFError):
            if not kept:
                raise
            # The server may have ended it while it was idle (idle_session_timeout), which is no fault.
            self.close()
            return await self._ask()

    async def _ask(self) -> Verdict:
        figures = Figures(self.service)
        try:
            session = await self._open()
            figures.add(catalog.PG_UP, 1.0)
            if session is None:
                return Verdict(State.UP, Reason.NO_CREDENTIALS, figures.rows)
            version = session.parameters.get("server_version", "")
            figures.add(catalog.PG_STATIC, 1.0, version.partition(" ")[0])
            reason = await self._read(session, figures)
        except ServerError as error:
            self.close()
            reason = meaning(error.code, self.wanted.user)
            figures.add(catalog.PG_UP, 1.0 if reason in (None, Reason.NO_CREDENTIALS) else 0.0)
            if reason is Reason.NO_CREDENTIALS:
                return Verdict(State.UP, reason, figures.rows)
        return Verdict(State.DEGRADED if reason else State.UP, reason, figures.rows)

    async def _open(self) -> Session | None:
        """The session; None when the server wants a password that nobody gave us."""
        if self._session is not None:
            return self._session
        secret = password(self.wanted)
        session = await open_session(self._endpoint)
        self._session = session
        user = self.wanted.user or "postgres"
        options = _OPTIONS if self.wanted.user else {"application_name": "tierwatch"}
        await session.start(user, self.wanted.database or "postgres", secret, options)
        if session.ready:
            return session
        self.close()
        if self.wanted.user and (self.wanted.password_file or self.wanted.password_env):
            raise degraded(Reason.CREDENTIALS_REFUSED)
        return None

    async def _read(self, session: Session, figures: Figures) -> Reason | None:
        if not self.wanted.user:
            await session.query("SELECT 1")
            return None
        answers = await session.query(pg_queries.EVERY_TIME)
        reading = pg_queries.Reading.of(answers)
        reading.tell(figures)
        now = time.monotonic()
        if now - self._sized > SIZES_EVERY:
            self._sized = now
            try:
                self._sizes = pg_queries.sizes((await session.query(pg_queries.SIZES))[0])
            except ServerError:
                self._sizes = []  # a role without the right to look; the rest is worth having
        for name, size in self._sizes:
            figures.add(catalog.PG_SIZE, size, name)
        if reading.slots and reading.used >= CROWDED * reading.slots:
            return Reason.SATURATED
        if reading.cut:
            return Reason.REPLICA_LINK
        if reading.replica and reading.lag is not None and reading.lag > LAG_SECONDS:
            return Reason.REPLICA_LAG
        return None

    async def lost(self) -> None:
        if self._session is None:
            await super().lost()
        else:
            await self._session.connection.ended()
            self.close()

    def close(self) -> None:
        if self._session is not None:
            self._session.finish()
            self._session = None


def meaning(code: str, user: str) -> Reason | None:
    """What a SQLSTATE says of the server; None: nothing is wrong with it."""
    if code in _ACCEPTING:
        if not user:
            return Reason.NO_CREDENTIALS
        return Reason.UNEXPECTED if code == "3D000" else Reason.CREDENTIALS_REFUSED
    if code.startswith("53"):  # insufficient resources
        return Reason.SATURATED
    if code == "57P03":
        return Reason.STARTING
    if code.startswith("57P"):
        return Reason.STOPPING
    return Reason.UNEXPECTED
