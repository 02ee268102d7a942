from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from exporters.probes import watch as module
from exporters.probes.probe import Probe
from exporters.probes.verdict import Reason, State, Unwell, Verdict, degraded
from exporters.probes.watch import Judge, Pace, Watch, meaning
from tests.exporters.probes.servers import RedisSpeaker, recorded_info, running
from tests.exporters.probes.support import LONG, probe, wanted

UP = Verdict(State.UP)
AWAY = Verdict(State.DOWN, Reason.REFUSED)
SILENT = Verdict(State.DOWN, Reason.TIMEOUT)
FAST = Pace(interval=0.05, timeout=1.0, grace=0.0)


def states(judge: Judge, *outcomes: tuple[float, Verdict]) -> list[State]:
    return [judge.judge(verdict, now).state for now, verdict in outcomes]


def test_a_refused_connection_is_down_at_once() -> None:
    assert states(Judge(2, 0.0), (0, UP), (5, AWAY), (6, UP)) == [State.UP, State.DOWN, State.UP]


def test_one_check_without_an_answer_may_be_a_stall() -> None:
    judge = Judge(2, 0.0)
    assert states(judge, (0, SILENT), (5, UP), (10, SILENT), (12, SILENT)) == [
        State.DEGRADED,
        State.UP,
        State.DEGRADED,
        State.DOWN,
    ]


def test_a_service_may_be_away_for_its_grace() -> None:
    found = states(Judge(1, 30.0), (0, AWAY), (29, AWAY), (30, AWAY), (31, UP), (32, AWAY))
    assert found == [State.DEGRADED, State.DEGRADED, State.DOWN, State.UP, State.DEGRADED]


def test_a_service_that_was_never_there_may_still_come() -> None:
    """A node that boots."""
    judge = Judge(1, 0.0, first=60.0)
    assert states(judge, (0, AWAY), (59, AWAY), (60, AWAY)) == [State.UNKNOWN, State.UNKNOWN, State.DOWN]
    judge = Judge(1, 0.0, first=60.0)
    assert states(judge, (0, AWAY), (20, UP), (25, AWAY)) == [State.UNKNOWN, State.UP, State.DOWN]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TimeoutError(), (State.DOWN, Reason.TIMEOUT)),
        (ConnectionRefusedError(), (State.DOWN, Reason.REFUSED)),
        (ConnectionResetError(), (State.DOWN, Reason.CLOSED)),
        (asyncio.IncompleteReadError(b"", 3), (State.DOWN, Reason.CLOSED)),
        (ssl.SSLError(), (State.DOWN, Reason.TLS)),
        (OSError(113, "No route to host"), (State.DOWN, Reason.UNREACHABLE)),
        (PermissionError(), (State.UNKNOWN, Reason.NOT_PERMITTED)),
        (degraded(Reason.LOADING), (State.DEGRADED, Reason.LOADING)),
        (KeyError("a fault of ours"), (State.UNKNOWN, Reason.FAULT)),
    ],
)
def test_exceptions_as_states(error: Exception, expected: tuple[State, Reason]) -> None:
    assert meaning(error) == expected


class Scripted(Probe):
    """Gives one outcome after the other, the last for ever; ``endings``: the idle connection ends so often."""

    def __init__(self, *outcomes: Verdict | Exception, endings: int = 0) -> None:
        super().__init__(wanted("tcp", 1))
        self.outcomes = list(outcomes)
        self.endings = endings
        self.checks = 0
        self.closed = 0

    async def check(self) -> Verdict:
        self.checks += 1
        found = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(found, Exception):
            raise found
        return found

    async def lost(self) -> None:
        if self.endings:
            self.endings -= 1
            return
        await super().lost()

    def close(self) -> None:
        self.closed += 1


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONG):
        while not condition():  # noqa: ASYNC110  # no event tells it
            await asyncio.sleep(0.005)


async def run_for(watch: Watch, condition: Callable[[], bool]) -> None:
    task = asyncio.get_running_loop().create_task(watch.run(0.0))
    try:
        await until(condition)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_changes_of_state_are_told_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    told: list[State] = []
    scripted = Scripted(UP, UP, AWAY, AWAY, Unwell(State.DEGRADED, Reason.LOADING), UP)

    def changed() -> None:
        assert watch.result is not None
        told.append(watch.result.verdict.state)

    watch = Watch(scripted, FAST, changed)
    await run_for(watch, lambda: scripted.checks >= 8)
    assert told == [State.DOWN, State.DEGRADED, State.UP]
    assert watch.result is not None
    assert watch.result.changes == 3
    assert scripted.closed >= 1


LOADING = Verdict(State.DEGRADED, Reason.LOADING)


@pytest.mark.parametrize(
    ("outcomes", "changes"),
    [
        pytest.param([(0, UP), (5, AWAY), (20, UP), (40, AWAY), (60, UP)], 0, id="restarts in time"),
        pytest.param([(0, UP), (5, AWAY), (7, LOADING), (9, SILENT), (20, UP)], 0, id="one that loads at its start"),
        pytest.param([(0, AWAY), (20, UP)], 0, id="away when the exporter starts"),
        pytest.param([(0, UP), (5, AWAY), (35, AWAY), (40, UP)], 2, id="away longer than its grace"),
        pytest.param([(0, UP), (5, AWAY), (7, LOADING), (40, LOADING), (42, UP)], 2, id="loads longer than its grace"),
        pytest.param([(0, UP), (5, AWAY), (7, LOADING), (40, AWAY), (42, UP)], 2, id="ends again while it loads"),
        pytest.param([(0, UP), (5, SILENT), (10, UP)], 2, id="answers late"),
        pytest.param([(0, UP), (5, LOADING), (10, UP)], 2, id="does part of its work without having been away"),
    ],
)
async def test_a_restart_within_the_grace_is_no_change(
    outcomes: list[tuple[float, Verdict]], changes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(Scripted(*(verdict for _, verdict in outcomes)), Pace(5.0, 1.0, grace=30.0), lambda: None)
    for at, _ in outcomes:
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda at=at: at))
        await watch.once()
    assert watch.result is not None
    assert watch.result.changes == changes


async def test_a_service_that_is_down_from_the_first_is_told() -> None:
    told: list[str] = []
    watch = Watch(Scripted(AWAY), FAST, lambda: told.append("x"))
    await run_for(watch, lambda: watch.result is not None and watch.result.checks > 2)
    assert told == ["x"]


async def test_a_fault_of_the_probe_is_unknown_and_the_watch_goes_on() -> None:
    scripted = Scripted(ZeroDivisionError(), UP)
    watch = Watch(scripted, FAST, lambda: None)
    assert (await watch.once()).reason is Reason.FAULT
    assert scripted.closed == 1
    assert (await watch.once()).state is State.UP


async def test_a_fault_while_waiting_does_not_end_the_watch() -> None:
    class Broken(Scripted):
        async def lost(self) -> None:
            raise ZeroDivisionError

    scripted = Broken(UP)
    watch = Watch(scripted, Pace(0.6, 1.0, 0.0), lambda: None)
    await run_for(watch, lambda: scripted.checks == 2)


async def test_why_a_password_cannot_be_read_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with running(RedisSpeaker(recorded_info())) as server:
        watch = Watch(probe("redis", server.port, password_env="NOT_SET_ANYWHERE"), FAST, lambda: None)
        assert (await watch.once()).reason is Reason.CREDENTIALS_UNREADABLE
    assert "NOT_SET_ANYWHERE is not set" in "".join(str(vars(record)) for record in caplog.records)


async def test_the_end_of_an_idle_connection_makes_for_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHORTEST_GAP", 0.01)
    scripted = Scripted(UP, endings=2)
    watch = Watch(scripted, Pace(60.0, 1.0, 0.0), lambda: None)
    await run_for(watch, lambda: scripted.checks == 3)


async def test_a_service_that_ends_connections_by_habit_is_not_asked_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SHORTEST_GAP", 0.001)
    scripted = Scripted(UP, endings=10_000)
    watch = Watch(scripted, Pace(0.2, 1.0, 0.0), lambda: None)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    task = loop.create_task(watch.run(0.0))
    await asyncio.sleep(0.5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    intervals = (loop.time() - begun) / 0.2 + 1
    assert scripted.checks <= intervals * (module.HABIT + 1)


async def test_a_redis_that_stops_is_down_long_before_the_next_check() -> None:
    seen: list[tuple[State, float]] = []
    loop = asyncio.get_running_loop()
    async with running(RedisSpeaker(recorded_info())) as server:
        asked = probe("redis", server.port)

        def changed() -> None:
            assert watch.result is not None
            seen.append((watch.result.verdict.state, loop.time()))

        watch = Watch(asked, Pace(60.0, 1.0, 0.0), changed)
        task = loop.create_task(watch.run(0.0))
        await until(lambda: watch.result is not None)
        await asyncio.sleep(module.SHORTEST_GAP + 0.1)
        server.fault, server.after = "close", 0
        stopped = loop.time()
        server.drop()
        await until(lambda: bool(seen))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert seen[0][0] is State.DOWN
    assert seen[0][1] - stopped < 30, "the next check would be a minute after the last"
