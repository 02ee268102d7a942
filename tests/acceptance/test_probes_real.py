"""Probes and the real thing: Redis, PostgreSQL, nginx, dnsmasq, JupyterHub."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporters.catalog import databases, services
from exporters.probes import dns
from exporters.probes.probe import Probe
from exporters.probes.verdict import Reason, State, Verdict
from exporters.probes.watch import Pace, Watch, outcome
from tests.exporters.probes.support import figure, probe
from tests.support import real_services
from tests.support.machine import PATIENCE, slack
from tests.support.real_services import Postgres

pytestmark = pytest.mark.acceptance
UP = (State.UP, None)


async def ask(asked: Probe, times: int = 1) -> Verdict:
    for _ in range(times):
        verdict = await outcome(asked, 5.0 * PATIENCE)
    return verdict


def summary(verdict: Verdict) -> tuple[State, Reason | None]:
    return verdict.state, verdict.reason


# Redis


async def test_redis(tmp_path: Path) -> None:
    with real_services.redis(tmp_path) as (port, _):
        asked = probe("redis", port)
        verdict = await ask(asked, 3)
        assert summary(verdict) == UP
        assert figure(verdict, databases.REDIS_NUMBERS["connected_clients"]) == 1.0, "one connection for three checks"
        assert (figure(verdict, databases.REDIS_NUMBERS["used_memory"]) or 0) > 100_000
        asked.close()


async def test_redis_with_a_password(tmp_path: Path) -> None:
    (tmp_path / "good").write_text("sesame\n")
    (tmp_path / "bad").write_text("friend\n")
    with real_services.redis(tmp_path, "--requirepass", "sesame") as (port, _):
        found = {}
        for name, more in {
            "good": {"password_file": str(tmp_path / "good")},
            "bad": {"password_file": str(tmp_path / "bad")},
            "none": {},
        }.items():
            asked = probe("redis", port, **more)
            found[name] = summary(await ask(asked))
            asked.close()
    assert found == {
        "good": UP,
        "bad": (State.DEGRADED, Reason.CREDENTIALS_REFUSED),
        "none": (State.UP, Reason.NO_CREDENTIALS),
    }


async def test_redis_that_cannot_save(tmp_path: Path) -> None:
    """Its folder is gone: writes and PING are refused from then on, yet it is not down."""
    data = tmp_path / "data"
    data.mkdir()
    with real_services.redis(tmp_path, "--dir", str(data), "--save", "3600 1") as (port, started):
        asked = probe("redis", port)
        assert summary(await ask(asked)) == UP
        data.rmdir()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"SET a b\r\nBGSAVE\r\n")
        await writer.drain()
        assert await reader.readline() == b"+OK\r\n"
        async with asyncio.timeout(10 * PATIENCE):
            while (verdict := await ask(asked)).state is State.UP:  # noqa: ASYNC110  # nothing tells it
                await asyncio.sleep(0.1)
        assert summary(verdict) == (State.DEGRADED, Reason.PERSISTENCE)
        assert figure(verdict, databases.REDIS_WORDS["rdb_last_bgsave_status"]) == 0.0
        writer.close()
        asked.close()
        started.kill()  # it would not end without saving


async def test_redis_that_is_full_and_crowded(tmp_path: Path) -> None:
    with real_services.redis(tmp_path, "--maxmemory", "100kb", "--maxclients", "3") as (port, _):
        asked = probe("redis", port)
        assert summary(await ask(asked)) == (State.DEGRADED, Reason.MEMORY_FULL)
        others = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        await asyncio.sleep(0.1)
        late = probe("redis", port)
        assert summary(await ask(late)) == (State.DEGRADED, Reason.SATURATED)
        for _, writer in others:
            writer.close()
        late.close()
        asked.close()


@pytest.mark.parametrize("way", ["terminate", "kill"])
async def test_redis_that_stops_is_told_at_once_and_so_is_its_return(tmp_path: Path, way: str) -> None:
    seen: dict[State, float] = {}
    with real_services.redis(tmp_path) as (port, started):
        watch: Watch

        def changed() -> None:
            assert watch.result is not None
            seen.setdefault(watch.result.verdict.state, time.monotonic())

        watch = Watch(probe("redis", port), Pace(30.0, 2.0, 0.0), changed)
        task = asyncio.get_running_loop().create_task(watch.run(0.0))
        await asyncio.sleep(1.0)
        assert watch.result is not None
        stopped = time.monotonic()
        getattr(started, way)()
        await reached(seen, State.DOWN)
        assert seen[State.DOWN] - stopped < 0.3 + slack()
        await asyncio.to_thread(started.wait, 5 * PATIENCE)
        with real_services.redis(tmp_path, port=port):
            await reached(seen, State.UP)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def reached(seen: dict[State, float], state: State) -> None:
    async with asyncio.timeout(10 * PATIENCE):
        while state not in seen:  # noqa: ASYNC110  # told from a callback
            await asyncio.sleep(0.01)


# PostgreSQL


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    cluster = Postgres(tmp_path_factory.mktemp("pg"))
    cluster.access(
        "host all scrammed 127.0.0.1/32 scram-sha-256",
        "host all hashed 127.0.0.1/32 md5",
        "host all open 127.0.0.1/32 password",
        "host all banned 127.0.0.1/32 reject",
        "host all monitor 127.0.0.1/32 trust",
        "host all postgres 127.0.0.1/32 scram-sha-256",
    )
    with cluster.running():
        cluster.psql("CREATE ROLE monitor LOGIN; GRANT pg_monitor TO monitor; CREATE ROLE banned LOGIN")
        cluster.psql("CREATE ROLE scrammed LOGIN PASSWORD 'sesame'; GRANT pg_monitor TO scrammed")
        cluster.psql("SET password_encryption = md5; CREATE ROLE hashed LOGIN PASSWORD 'sesame'")
        cluster.psql("CREATE ROLE open LOGIN PASSWORD 'sesame'")
    yield cluster


async def test_postgresql(postgres: Postgres, tmp_path: Path) -> None:
    (tmp_path / "good").write_text("sesame\n")
    (tmp_path / "bad").write_text("friend\n")
    refused = (State.DEGRADED, Reason.CREDENTIALS_REFUSED)
    cases: list[tuple[str, str, tuple[State, Reason | None]]] = [
        ("monitor", "", UP),
        ("scrammed", "good", UP),
        ("scrammed", "bad", refused),
        ("hashed", "good", UP),
        ("hashed", "bad", refused),
        ("open", "good", refused),  # a password is not sent in the open
        ("banned", "", refused),
        ("", "", (State.UP, Reason.NO_CREDENTIALS)),
    ]
    with postgres.running():
        found = []
        for user, name, _ in cases:
            file = {"password_file": str(tmp_path / name)} if name else {}
            asked = probe("postgresql", postgres.port, user=user, **file)
            found.append((user, name, summary(await ask(asked, 2))))
            asked.close()
        assert found == cases
        log = (postgres.folder / "output.log").read_text()
    assert "expected password response" not in log
    assert "sesame" not in log


async def test_postgresql_figures_and_saturation(postgres: Postgres) -> None:
    with postgres.running("max_connections=10", "superuser_reserved_connections=3"):
        asked = probe("postgresql", postgres.port, user="monitor")
        verdict = await ask(asked, 2)
        assert summary(verdict) == UP
        assert figure(verdict, databases.PG_MAX_CONNECTIONS) == 10.0
        assert figure(verdict, databases.PG_STATIC, postgres.psql("SHOW server_version").split()[0]) == 1.0
        assert (figure(verdict, databases.PG_SIZE, "postgres") or 0) > 1e6
        assert (figure(verdict, databases.PG_DATABASE["xact_commit"], "5", "postgres") or 0) > 0
        async with asyncio.timeout(10 * PATIENCE):
            while figure(await ask(asked), databases.PG_ACTIVITY, "idle"):  # noqa: ASYNC110  # psql has yet to end
                await asyncio.sleep(0.05)
        held = [probe("postgresql", postgres.port, user="monitor") for _ in range(6)]
        for one in held:
            assert summary(await ask(one)) in (UP, (State.DEGRADED, Reason.SATURATED))
        late = probe("postgresql", postgres.port, user="monitor")
        assert summary(await ask(late)) == (State.DEGRADED, Reason.SATURATED)
        # The connection that was kept still sees it.
        verdict = await ask(asked)
        assert figure(verdict, databases.PG_ACTIVITY, "idle") == 6.0
        for one in (*held, late, asked):
            one.close()


async def test_postgresql_that_stops(postgres: Postgres) -> None:
    with postgres.running() as started:
        asked = probe("postgresql", postgres.port, user="monitor")
        assert summary(await ask(asked)) == UP
        loop = asyncio.get_running_loop()
        begun = loop.time()
        ending = loop.create_task(asked.lost())
        started.send_signal(2)  # a fast shutdown
        async with asyncio.timeout(5 * PATIENCE):
            await ending
        assert loop.time() - begun < 0.8 + slack()
        await asyncio.to_thread(started.wait, 10 * PATIENCE)
        assert summary(await ask(asked)) == (State.DOWN, Reason.REFUSED)


async def test_postgresql_replica_that_loses_its_primary(postgres: Postgres) -> None:
    async def until(server: Postgres, question: str, answer: str) -> None:
        await asyncio.to_thread(real_services.within, 20, lambda: server.psql(question).strip() == answer, question)

    access = postgres.data / "pg_hba.conf"
    before = access.read_text()
    with postgres.running():
        standby = postgres.standby()
        with standby.running():
            asked = probe("postgresql", standby.port, user="monitor")
            await until(postgres, "SELECT count(replay_lsn) FROM pg_stat_replication", "1")
            verdict = await ask(asked)
            assert summary(verdict) == UP
            assert figure(verdict, databases.PG_IS_REPLICA) == 1.0
            primary = probe("postgresql", postgres.port, user="monitor")
            rows = (await ask(primary)).rows[databases.PG_STANDBY_LAG]
            assert [labels[1:] for labels, _ in rows] == [("walreceiver", "streaming")]
            primary.close()
            try:
                access.write_text("local all all trust\n")  # once it is away, it does not come back
                postgres.psql("SELECT pg_reload_conf()")
                await until(postgres, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_replication", "0")
                await until(standby, "SELECT count(*) FROM pg_stat_wal_receiver", "0")
            finally:
                access.write_text(before)
            verdict = await ask(asked)
            assert summary(verdict) == (State.DEGRADED, Reason.REPLICA_LINK)
            assert figure(verdict, databases.PG_LAG) == 0.0, "which is why the lag does not say it"
            asked.close()


# nginx


async def test_nginx(tmp_path: Path) -> None:
    pages = "location /status { stub_status; } location /gone { return 502; } location / { return 200 hello; }"
    with real_services.nginx(tmp_path, pages) as (port, started):
        asked = probe("nginx", port, path="/status")
        verdict = await ask(asked, 3)
        assert summary(verdict) == UP
        assert figure(verdict, services.NGINX_REQUESTS) == 3.0
        assert figure(verdict, services.NGINX_ACCEPTED) == 2.0, "the readiness check and one kept connection"
        plain = probe("nginx", port)
        assert summary(await ask(plain, 2)) == UP
        wrong = probe("nginx", port, path="/")
        assert summary(await ask(wrong)) == (State.DEGRADED, Reason.UNEXPECTED)
        behind = probe("http", port, path="/gone")
        assert summary(await ask(behind)) == (State.DOWN, Reason.HTTP_STATUS)
        loop = asyncio.get_running_loop()
        ending = loop.create_task(asked.lost())
        await asyncio.sleep(0)
        started.terminate()
        async with asyncio.timeout(5 * PATIENCE):
            await ending
        await asyncio.to_thread(started.wait, 10 * PATIENCE)
        assert summary(await ask(asked)) == (State.DOWN, Reason.REFUSED)
        for one in (asked, plain, wrong, behind):
            one.close()


# dnsmasq


async def test_dnsmasq(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Upstream is a port where nobody listens: what it does not know itself it cannot find out.
    dead = real_services.free_port()
    options = ("--address=/router.lan/192.0.2.1", f"--server=127.0.0.1#{dead}")
    with real_services.dnsmasq(tmp_path, *options) as port:
        known = await ask(probe("dns", port, query="router.lan"))
        assert summary(known) == UP
        assert figure(known, services.DNS_ANSWERS) == 1.0
        assert (await outcome(probe("dns", port, query="www.example.org"), 0.5)).state is not State.UP
        monkeypatch.setattr(dns, "PORT", port)
        verdict = await ask(probe("router", 0, query="router.lan"))
        assert verdict.state is State.UP
    verdict = await outcome(probe("dns", port, query="router.lan"), 2.0)
    assert summary(verdict) == (State.DOWN, Reason.REFUSED)


# JupyterHub


async def test_jupyterhub(tmp_path: Path) -> None:
    with real_services.jupyterhub(tmp_path) as (port, hub, proxy):
        asked = probe("jupyterhub", port)
        async with asyncio.timeout(30 * PATIENCE):
            while (verdict := await ask(asked)).state is not State.UP:  # noqa: ASYNC110  # its first routes
                await asyncio.sleep(0.2)
        assert verdict.reason in (None, Reason.SLOW)
        hub.kill()
        await asyncio.to_thread(hub.wait, 10 * PATIENCE)
        assert summary(await ask(asked)) == (State.DOWN, Reason.BACKEND), "the proxy still answers"
        os.kill(proxy, signal.SIGTERM)
        await asyncio.to_thread(real_services.within, 10, lambda: not real_services.accepts(port), "the proxy's end")
        assert summary(await ask(asked)) == (State.DOWN, Reason.REFUSED)
        asked.close()
