from __future__ import annotations

import struct
from pathlib import Path

import pytest

from exporters.catalog import databases as catalog
from exporters.probes.pg_scram import Scram, ScramFailed
from exporters.probes.verdict import Reason, State, Verdict
from exporters.probes.watch import outcome
from tests.exporters.probes.servers import READY, STATISTICS, PgSpeaker, error, message, rows, running
from tests.exporters.probes.support import LONG, figure, probe

SASL = message(b"R", struct.pack("!I", 10) + b"SCRAM-SHA-256\0\0")


async def ask(speaker: PgSpeaker, **more: object) -> Verdict:
    async with running(speaker) as server:
        asked = probe("postgresql", server.port, **more)
        verdict = await outcome(asked, LONG)
        asked.close()
        assert await server.empty()
        return verdict


async def test_figures_have_the_names_of_postgres_exporter() -> None:
    speaker = PgSpeaker()
    verdict = await ask(speaker, user="monitor", database="app")
    assert verdict.state is State.UP
    assert figure(verdict, catalog.PG_UP) == 1.0
    assert figure(verdict, catalog.PG_STATIC, "15.18") == 1.0
    assert figure(verdict, catalog.PG_ACTIVITY, "idle") == 5.0
    assert figure(verdict, catalog.PG_MAX_CONNECTIONS) == 100.0
    assert figure(verdict, catalog.PG_DATABASE["blks_hit"], "16384", "app") == 4000.0
    assert figure(verdict, catalog.PG_SIZE, "app") == 8e6
    assert b"user\0monitor\0database\0app\0" in speaker.startup
    assert b"default_transaction_read_only\0on\0" in speaker.startup


@pytest.mark.parametrize(
    ("start", "state", "reason"),
    [
        # Recorded from 15.18. pg_isready calls the first three accepting.
        (SASL, State.UP, Reason.NO_CREDENTIALS),
        (error("28000", "no pg_hba.conf entry for host"), State.UP, Reason.NO_CREDENTIALS),
        (error("3D000", 'database "nosuchdb" does not exist'), State.UP, Reason.NO_CREDENTIALS),
        (error("57P03", "the database system is starting up"), State.DEGRADED, Reason.STARTING),
        (error("53300", "sorry, too many clients already"), State.DEGRADED, Reason.SATURATED),
        (error("57P01", "terminating connection"), State.DEGRADED, Reason.STOPPING),
        (error("XX000"), State.DEGRADED, Reason.UNEXPECTED),
        (message(b"?", b""), State.DOWN, Reason.GARBAGE),
        (message(b"R", b"\0"), State.DOWN, Reason.GARBAGE),
        (b"R\xff\xff\xff\xff", State.DOWN, Reason.GARBAGE),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", State.DOWN, Reason.GARBAGE),
    ],
)
async def test_beginnings_without_a_user(start: bytes, state: State, reason: Reason) -> None:
    verdict = await ask(PgSpeaker(start))
    assert (verdict.state, verdict.reason) == (state, reason)


async def test_a_wrong_password(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("wrong\n")
    for demand in (SASL, message(b"R", struct.pack("!I", 5) + b"salt")):
        verdict = await ask(PgSpeaker(demand), user="monitor", password_file=str(tmp_path / "password"))
        assert (verdict.state, verdict.reason) == (State.DEGRADED, Reason.CREDENTIALS_REFUSED)


async def test_a_password_is_not_sent_in_the_open(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("in the open\n")
    cleartext = message(b"R", struct.pack("!I", 3))
    verdict = await ask(PgSpeaker(cleartext), user="monitor", password_file=str(tmp_path / "password"))
    assert (verdict.state, verdict.reason) == (State.DEGRADED, Reason.CREDENTIALS_REFUSED)


def general(replica: str, lag: str | None, cut: str = "0") -> bytes:
    return rows((replica, lag, "1795430000.5", "20", "3", cut))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (general("0", "0") + rows(("active", "17", "1")), Reason.SATURATED),
        (general("0", "0") + rows(("active", "10", "1")), None),
        (general("1", "300") + rows(), Reason.REPLICA_LAG),
        (general("1", "3") + rows(), None),
        (general("1", "0", cut="1") + rows(), Reason.REPLICA_LINK),
        (general("1", None) + rows(), None),
    ],
)
async def test_what_the_figures_mean(answer: bytes, reason: Reason | None) -> None:
    verdict = await ask(PgSpeaker(statistics=answer + rows() + rows() + rows() + READY), user="monitor")
    assert verdict.reason is reason


async def test_a_query_that_fails_is_told_and_the_session_goes_on() -> None:
    speaker = PgSpeaker(statistics=error("42501") + READY)
    async with running(speaker) as server:
        asked = probe("postgresql", server.port, user="monitor")
        assert (await outcome(asked, LONG)).reason is Reason.UNEXPECTED
        speaker.statistics = STATISTICS
        assert (await outcome(asked, LONG)).state is State.UP
        asked.close()


def test_scram_agrees_with_the_example_of_rfc_7677() -> None:
    scram = Scram("pencil", nonce="rOprNGfwEbeRWgbNEkqO", name="user")
    assert scram.first() == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    challenge = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    assert scram.proof(challenge) == (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    scram.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
    with pytest.raises(ScramFailed):
        scram.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=")


@pytest.mark.parametrize(
    "challenge",
    [b"", b"r=other,s=AAAA,i=4096", b"r=mine1,s=!!,i=4096", b"r=mine1,s=AAAA,i=999999999", b"r=mine1,s=AAAA,i=x"],
)
def test_scram_refuses_a_challenge_that_is_none(challenge: bytes) -> None:
    with pytest.raises(ScramFailed):
        Scram("secret", nonce="mine").proof(challenge)
