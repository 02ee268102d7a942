from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace

import pytest

from exporters.collector import CollectorFailed, NoData
from exporters.lanes import Stuck
from exporters.runner import LEAST_SHARE, SHARE, Busy, Reading, Runner
from tests.exporters.support import DEADLINES, FAR, Constant, Hanging, Raising, Stepped, samples

SUCCESS, DURATION = "node_scrape_collector_success", "node_scrape_collector_duration_seconds"


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    collector = Hanging()
    yield collector
    collector.release.set()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  # no event tells it
            await asyncio.sleep(0.005)


async def test_outcomes() -> None:
    runner = Runner(
        {
            "good": Constant(),
            "absent": Raising(NoData("no such sensor")),
            "broken": Raising(CollectorFailed("/sys/x: Input/output error")),
            "faulty": Raising(KeyError("x")),
        },
        deadline=FAR,
    )
    begun = time.perf_counter()
    page = samples(await runner.collect())
    took = time.perf_counter() - begun
    assert page["tierwatch_example", "a"] == 1
    assert page[SUCCESS, "good"] == 1
    assert page[SUCCESS, "broken"] == 0
    assert page[SUCCESS, "faulty"] == 0
    assert (SUCCESS, "absent") not in page
    assert (DURATION, "absent") not in page
    assert 0 <= page[DURATION, "good"] <= took


async def test_a_hanging_collector_costs_the_deadline_once_and_comes_back(hanging: Hanging) -> None:
    for deadline in DEADLINES:
        runner = Runner({"hanging": hanging, "good": Constant()}, deadline=deadline)
        begun = time.monotonic()
        page = samples(await runner.collect())
        assert deadline <= time.monotonic() - begun < deadline + FAR / 2, "no longer than the deadline"
        assert page[SUCCESS, "hanging"] == 0
        if hanging.entered:
            break

    runner._deadline = FAR
    begun = time.monotonic()
    page = samples(await runner.collect())
    took = time.monotonic() - begun
    assert took < FAR / 2, "what is known to hang is not waited for"
    assert page["tierwatch_example", "a"] == 1
    assert page[SUCCESS, "hanging"] == 0
    assert page[DURATION, "hanging"] > 0
    assert hanging.entered == 1

    hanging.release.set()
    async with asyncio.timeout(30):
        while page[SUCCESS, "hanging"] == 0:
            page = samples(await runner.collect())
    assert page["tierwatch_example", "late"] == 1


async def test_what_hangs_does_not_keep_the_others_from_their_turn(hanging: Hanging) -> None:
    good = Constant()
    runner = Runner({"hanging": hanging, "good": good}, deadline=FAR)
    asked = asyncio.ensure_future(runner.collect())
    await until(lambda: good.calls == 1)
    assert not asked.done()
    hanging.release.set()
    assert samples(await asked)["tierwatch_example", "a"] == 1


def deadlines(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that each collection from now on is given."""
    run, granted = runner._lanes.run, list[float]()

    def told(jobs: Mapping[str, Callable[[], Reading]], deadline: float) -> dict[str, Reading | Stuck | Exception]:
        granted.append(deadline)
        return run(jobs, deadline)

    monkeypatch.setattr(runner._lanes, "run", told)
    return granted


async def test_the_scrapers_patience_is_honoured(hanging: Hanging, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = Runner({"hanging": hanging}, deadline=FAR)
    granted = deadlines(runner, monkeypatch)
    begun = time.monotonic()
    await runner.collect(patience=1.0)
    assert time.monotonic() - begun < FAR / 2
    assert 0 < granted[0] <= SHARE * 1.0


async def test_who_waited_until_the_last_moment_still_has_time_for_the_collectors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    collector, now = Stepped(), [100.0]
    runner = Runner({"good": collector}, deadline=FAR)
    granted = deadlines(runner, monkeypatch)
    monkeypatch.setattr("exporters.runner.time", SimpleNamespace(monotonic=lambda: now[0], perf_counter=lambda: now[0]))
    first, second = (asyncio.ensure_future(runner.collect()) for _ in range(2))
    await until(lambda: collector.calls == 1)
    now[0] += FAR - 0.001
    collector.go.release(2)
    for asked in (first, second):
        assert samples(await asked)[SUCCESS, "good"] == 1
    assert granted == [FAR, LEAST_SHARE * FAR]


async def test_a_failure_is_logged_when_it_begins_and_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    collector = Raising(CollectorFailed("broke"))
    runner = Runner({"sensor": collector}, deadline=FAR)
    for _ in range(3):
        await runner.collect()
    collector.error = None
    for _ in range(3):
        await runner.collect()
    assert [record.getMessage() for record in caplog.records] == ["collector failed", "collector works again"]


async def test_requests_at_the_same_time_share_a_collection_begun_after_them() -> None:
    collector = Constant()
    runner = Runner({"good": collector}, deadline=FAR)
    await asyncio.gather(*(runner.collect() for _ in range(20)))
    assert collector.calls == 2  # the first request's, and one for all that came meanwhile
    await runner.collect()
    assert collector.calls == 3
    assert runner._last == [], "nobody waits for it: it is not kept"


@pytest.mark.parametrize("leaves", ["before its turn", "in its turn"])
async def test_who_waits_behind_a_request_that_is_cancelled_gets_a_collection_of_its_own(leaves: str) -> None:
    collector = Stepped()
    runner = Runner({"good": collector}, deadline=FAR)
    first, second, third = (asyncio.ensure_future(runner.collect()) for _ in range(3))
    await until(lambda: collector.calls == 1)
    if leaves == "before its turn":
        second.cancel()
    collector.go.release()
    await first
    await until(lambda: collector.calls == 2)
    second.cancel()
    collector.go.release(10)
    page = samples(await third)
    assert (page["tierwatch_example", "a"], page[SUCCESS, "good"]) == (1, 1)
    assert second.cancelled()
    assert (collector.calls, collector.at_once) == (2, 1)


async def test_collections_do_not_overlap_when_who_asked_for_them_leaves() -> None:
    collector = Stepped()
    runner = Runner({"good": collector}, deadline=FAR)
    for number in range(5):
        leaves = asyncio.ensure_future(runner.collect())
        await until(lambda number=number: collector.calls == 2 * number + 1)  # type: ignore[misc]
        leaves.cancel()
        stays = asyncio.ensure_future(runner.collect())
        await asyncio.wait([stays], timeout=0.05)
        assert not stays.done(), "the one before it goes on"
        collector.go.release(2)
        assert samples(await stays)[SUCCESS, "good"] == 1
        assert leaves.cancelled()
    assert (collector.calls, collector.at_once) == (10, 1)


async def test_a_request_behind_a_stuck_collection_gives_up_in_time(hanging: Hanging) -> None:
    runner = Runner({"hanging": hanging}, deadline=FAR)
    first = asyncio.ensure_future(runner.collect())
    await until(lambda: hanging.entered == 1)
    begun = time.monotonic()
    with pytest.raises(Busy):
        await runner.collect(patience=0.2)
    assert time.monotonic() - begun < FAR / 2
    hanging.release.set()
    await first
