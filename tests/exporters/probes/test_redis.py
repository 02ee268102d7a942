from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from exporters.catalog import databases as catalog
from exporters.probes.redis import command, parse_info, trouble
from exporters.probes.verdict import Reason, State, Unwell, Verdict
from exporters.probes.watch import outcome
from tests.exporters.probes.servers import RedisSpeaker, recorded_info, running
from tests.exporters.probes.support import LONG, figure, probe

UP = (State.UP, None)


async def ask(speaker: RedisSpeaker, **more: object) -> Verdict:
    async with running(speaker) as server:
        asked = probe("redis", server.port, **more)
        verdict = await outcome(asked, LONG)
        asked.close()
        return verdict


async def test_figures_have_the_names_of_redis_exporter() -> None:
    verdict = await ask(RedisSpeaker(recorded_info(maxclients="10000")))
    told = {metric.name: found for metric, found in verdict.rows.items()}
    assert told["redis_memory_used_bytes"] == [(("it",), 867160.0)]
    assert told["redis_max_clients"] == [(("it",), 10000.0)]
    assert told["redis_rdb_last_bgsave_status"] == [(("it",), 1.0)]
    assert told["redis_instance_info"] == [(("it", "master", "6.0.9", "standalone"), 1.0)]
    assert {"redis_up", "redis_connected_clients", "redis_commands_processed_total"} <= set(told)


@pytest.mark.parametrize(
    ("replies", "state", "reason"),
    [
        ({"PING": b"-NOAUTH Authentication required.\r\n"}, State.UP, Reason.NO_CREDENTIALS),
        ({"PING": b"-LOADING Redis is loading the dataset in memory\r\n"}, State.DEGRADED, Reason.LOADING),
        ({"PING": b"-MISCONF Redis is configured to save RDB snapshots\r\n"}, State.DEGRADED, Reason.PERSISTENCE),
        ({"PING": b"-MASTERDOWN Link with MASTER is down\r\n"}, State.DEGRADED, Reason.REPLICA_LINK),
        ({"PING": b"-ERR max number of clients reached\r\n"}, State.DEGRADED, Reason.SATURATED),
        ({"PING": b"-DENIED Redis is running in protected mode\r\n"}, State.DEGRADED, Reason.NOT_PERMITTED),
        ({"INFO": b"-NOPERM this user has no permissions to run the 'info' command\r\n"}, *UP),
        ({"PING": b"-NOPERM no permissions to run the 'ping' command\r\n"}, State.DEGRADED, Reason.NOT_PERMITTED),
        ({"PING": b"+SURPRISE\r\n"}, State.DEGRADED, Reason.UNEXPECTED),
        ({"INFO": b"$5\r\nhello\r\n"}, State.DOWN, Reason.GARBAGE),
        ({"INFO": b"$999999999\r\n"}, State.DOWN, Reason.GARBAGE),
        ({"INFO": b"*2\r\n"}, State.DOWN, Reason.GARBAGE),
    ],
)
async def test_replies(replies: dict[str, bytes], state: State, reason: Reason | None) -> None:
    speaker = RedisSpeaker(recorded_info(), **replies)
    if b"NOAUTH" in replies.get("PING", b""):
        speaker.replies["INFO"] = replies["PING"]
    verdict = await ask(speaker)
    assert (verdict.state, verdict.reason) == (state, reason)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"loading": "1"}, Reason.LOADING),
        ({"rdb_last_bgsave_status": "err"}, Reason.PERSISTENCE),
        ({"aof_last_write_status": "err"}, Reason.PERSISTENCE),
        ({"master_link_status": "down"}, Reason.REPLICA_LINK),
        ({"maxmemory": "867160", "maxmemory_policy": "noeviction"}, Reason.MEMORY_FULL),
        ({"maxmemory": "867160", "maxmemory_policy": "allkeys-lru"}, None),
        ({"maxclients": "100", "connected_clients": "99"}, Reason.SATURATED),
        ({"maxclients": "100", "connected_clients": "50"}, None),
        ({"connected_clients": "many"}, None),
    ],
)
def test_what_info_says_is_wrong(fields: dict[str, str], reason: Reason | None) -> None:
    assert trouble(parse_info(recorded_info(**fields))) is reason


async def test_a_disk_that_is_full_is_not_a_redis_that_is_down() -> None:
    """A PING alone would say so."""
    misconf = b"-MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.\r\n"
    verdict = await ask(RedisSpeaker(recorded_info(rdb_last_bgsave_status="err"), PING=misconf))
    assert (verdict.state, verdict.reason) == (State.DEGRADED, Reason.PERSISTENCE)
    assert figure(verdict, catalog.REDIS_UP) == 1.0


async def test_passwords(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "good").write_text("open sesame\n")
    (tmp_path / "bad").write_text("friend\n")
    speaker = RedisSpeaker(recorded_info(), **{"AUTH monitor open sesame": b"+OK\r\n"})
    states = {
        name: (verdict.state, verdict.reason)
        for name in ("good", "bad", "none")
        for verdict in [await ask(speaker, user="monitor", password_file=str(tmp_path / name))]
    }
    assert states == {
        "good": UP,
        "bad": (State.DEGRADED, Reason.CREDENTIALS_REFUSED),
        "none": (State.UNKNOWN, Reason.CREDENTIALS_UNREADABLE),
    }
    monkeypatch.setenv("REDIS_PASSWORD", "open sesame")
    verdict = await ask(speaker, user="monitor", password_env="REDIS_PASSWORD")
    assert verdict.state is State.UP
    verdict = await ask(speaker, user="monitor", password_env="NOT_SET")
    assert (verdict.state, verdict.reason) == (State.UNKNOWN, Reason.CREDENTIALS_UNREADABLE)


async def test_a_server_without_a_password_takes_one_that_nobody_asked_for(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("x\n")
    refusal = b"-ERR AUTH <password> called without any password configured for the default user.\r\n"
    verdict = await ask(RedisSpeaker(recorded_info(), AUTH=refusal), password_file=str(tmp_path / "password"))
    assert verdict.state is State.UP


def test_commands_are_arrays_of_bulk_strings() -> None:
    assert command("AUTH", "ä b") == b"*2\r\n$4\r\nAUTH\r\n$4\r\n\xc3\xa4 b\r\n"


def test_info_of_something_else() -> None:
    with pytest.raises(Unwell):
        parse_info("hello:world\r\n")


async def test_a_connection_on_which_something_came_unasked_is_not_used_again() -> None:
    async with running(RedisSpeaker(recorded_info())) as server:
        asked = probe("redis", server.port)
        assert (await outcome(asked, LONG)).state is State.UP
        for writer in server.writers:
            writer.write(b"-ERR something about this connection\r\n")
        async with asyncio.timeout(LONG):
            await asked.lost()
        verdict = await outcome(asked, LONG)
        assert (verdict.state, verdict.reason) == UP
        asked.close()
