from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from exporters.collectors.services import tell, verdict_of
from exporters.exposition import Renderer
from exporters.probes.service import Probes, first_delay
from exporters.probes.verdict import Figures, Reason, State, Verdict
from exporters.probes.watch import Pace, Result, Watch
from exporters.registry import build
from exporters.wanted import WantedProbe, WantedService
from tests.exporters.probes.servers import PgSpeaker, RedisSpeaker, Web, error, recorded_info, running
from tests.exporters.probes.support import probe, wanted
from tests.exporters.support import FAR, NOW, samples, settings

PACE = Pace(5.0, 2.0, 0.0)


def watch(verdict: Verdict | None, at: float = 100.0) -> Watch:
    made = Watch(probe("redis", 1), PACE, lambda: None)
    made.result = Result(verdict, at, 0.25, 7, 2) if verdict else None
    return made


def told(one: Watch, now: float = 101.0) -> dict[tuple[str, ...], float]:
    return samples(tell([one], now, lambda: NOW))


def test_exactly_one_state_is_set() -> None:
    found = told(watch(Verdict(State.DEGRADED, Reason.LOADING)))
    states = {labels[3]: value for labels, value in found.items() if labels[0] == "tierwatch_service_state"}
    assert states == {"up": 0.0, "degraded": 1.0, "down": 0.0, "unknown": 0.0}
    assert found["tierwatch_service_problem", "it", "redis", "loading its data"] == 1.0
    assert found["probe_success", "it"] == 1.0
    assert found["probe_duration_seconds", "it"] == 0.25
    assert found["tierwatch_service_checks_total", "it"] == 7.0
    assert found["tierwatch_service_last_check_timestamp_seconds", "it", "redis"] == NOW - 1.0


def test_a_service_that_is_down_is_a_zero_where_its_exporter_has_one() -> None:
    found = told(watch(Verdict(State.DOWN, Reason.REFUSED)))
    assert found["redis_up", "it"] == 0.0
    assert found["probe_success", "it"] == 0.0


def test_before_the_first_check_it_is_unknown_not_down() -> None:
    found = told(watch(None))
    assert found["tierwatch_service_state", "it", "redis", "unknown"] == 1.0
    assert ("probe_success", "it") not in found
    assert ("redis_up", "it") not in found


def test_a_reading_does_not_live_for_ever() -> None:
    one = watch(Verdict(State.UP), at=100.0)
    assert verdict_of(one, 116.0).state is State.UP
    assert verdict_of(one, 118.0) == Verdict(State.UNKNOWN, Reason.NO_READING)
    figures = Figures("it")
    assert ("redis_up", "it") not in told(watch(Verdict(State.UP, None, figures.rows)), now=200.0)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "probes"]


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + FAR
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


async def test_a_node_with_services_begins_and_ends(tmp_path: Path) -> None:
    cleanups: list[Callable[[], None]] = []
    changes: list[str] = []
    async with running(RedisSpeaker(recorded_info())) as server:
        there = WantedProbe("it", "redis", ("127.0.0.1",), server.port, timeout=FAR)
        gone = WantedProbe("gone", "redis", ("127.0.0.1",), 1, grace=0.0)
        base = settings("vm")
        services = tuple(WantedService(one.service, one.kind, one.port, probe=one) for one in (there, gone))
        made = build(replace(base, services=services, on_stop=cleanups.append, changed=changes.append))
        collector = made["services"]

        def state(service: str, name: str) -> bool:
            return samples(collector.collect())["tierwatch_service_state", service, "redis", name] == 1.0

        await asyncio.to_thread(wait_for, lambda: state("it", "up") and state("gone", "down"))
        assert set(changes) == {"service"}
        assert threads() == ["probes"]
        for cleanup in cleanups:
            await asyncio.to_thread(cleanup)
        assert threads() == []
        assert await server.empty()


def test_a_node_without_services_has_no_thread() -> None:
    assert "services" not in build(settings("vm"))
    assert threads() == []


def test_first_checks_are_spread() -> None:
    delays = {first_delay(Watch(probe("redis", 1, service=name), PACE, lambda: None)) for name in "abcdefgh"}
    assert len(delays) == 8
    assert all(0 <= delay <= 2.0 for delay in delays)


@pytest.mark.parametrize("good", [True, False])
async def test_no_password_leaves(
    tmp_path: Path, good: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither on the page, nor in a log, nor in what a probe is told, whether it is taken or refused."""
    caplog.set_level(logging.DEBUG)
    secret = "correct-horse-battery"
    (tmp_path / "password").write_text(f"{secret}\n")
    monkeypatch.setenv("ITS_PASSWORD", secret)
    refused = f"-WRONGPASS {secret} is wrong\r\n".encode()
    redis = RedisSpeaker(recorded_info(), AUTH=b"+OK\r\n" if good else refused)
    postgres = PgSpeaker() if good else PgSpeaker(error("28P01", f"password {secret} refused"))
    web = Web({})
    web.authorization = "nothing like it"
    async with running(redis) as one, running(postgres) as two, running(web) as three:
        login = {"user": "me", "password_file": str(tmp_path / "password")}
        from_env = {"user": "me", "password_env": "ITS_PASSWORD"}
        told_to = [
            wanted("redis", one.port, service="a", timeout=FAR, **login),
            wanted("redis", one.port, service="b", timeout=FAR, **from_env),
            wanted("postgresql", two.port, service="c", timeout=FAR, **login),
            wanted("http", three.port, service="d", timeout=FAR, **login),
            wanted("sonarqube", three.port, service="e", timeout=FAR, password_file=str(tmp_path / "password")),
        ]
        probes = Probes(told_to, lambda: None)
        probes.start()
        await asyncio.to_thread(wait_for, lambda: all(watch.result for watch in probes.watches))
        page = Renderer().render(tell(probes.watches, time.monotonic(), lambda: NOW)).decode()
        await asyncio.to_thread(probes.stop)
    assert "tierwatch_service_state" in page
    expected = State.UP if good else State.DEGRADED
    assert {
        watch.probe.service: watch.result.verdict.state for watch in probes.watches[:3] if watch.result
    } == dict.fromkeys("abc", expected)
    logged = "".join(str(vars(record)) for record in caplog.records)
    for output in (page, caplog.text, logged, repr(told_to), repr(probes.watches[0].probe.__dict__)):
        assert secret not in output
