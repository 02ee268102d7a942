from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator

import pytest

from exporters.collector import CollectorFailed, NoData
from exporters.runner import Busy, Runner
from tests.exporters.support import Constant, Hanging, Overlapping, Raising, samples

SUCCESS, DURATION = "node_scrape_collector_success", "node_scrape_collector_duration_seconds"


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    collector = Hanging()
    yield collector
    collector.release.set()


async def test_outcomes() -> None:
    runner = Runner(
        {
            "good": Constant(),
            "absent": Raising(NoData("no such sensor")),
            "broken": Raising(CollectorFailed("/sys/x: Input/output error")),
            "faulty": Raising(KeyError("x")),
        }
    )
    page = samples(await runner.collect())
    assert page["tierwatch_example", "a"] == 1
    assert page[SUCCESS, "good"] == 1
    assert page[SUCCESS, "broken"] == 0
    assert page[SUCCESS, "faulty"] == 0
    assert (SUCCESS, "absent") not in page
    assert (DURATION, "absent") not in page
    assert 0 <= page[DURATION, "good"] < 1


async def test_a_hanging_collector_costs_the_deadline_once_and_comes_back(hanging: Hanging) -> None:
    runner = Runner({"hanging": hanging, "good": Constant()}, deadline=0.8)
    begun = time.monotonic()
    page = samples(await runner.collect())
    assert 0.7 < time.monotonic() - begun < 2.0
    assert page[SUCCESS, "hanging"] == 0
    assert page["tierwatch_example", "a"] == 1

    begun = time.monotonic()
    page = samples(await runner.collect())
    assert time.monotonic() - begun < 0.6
    assert page[SUCCESS, "hanging"] == 0
    assert page[DURATION, "hanging"] >= 0.7
    assert hanging.entered == 1

    hanging.release.set()
    for _ in range(100):
        page = samples(await runner.collect())
        if page[SUCCESS, "hanging"] == 1:
            break
        await asyncio.sleep(0.02)
    assert page["tierwatch_example", "late"] == 1


async def test_the_scrapers_patience_is_honoured(hanging: Hanging) -> None:
    runner = Runner({"hanging": hanging}, deadline=20.0)
    begun = time.monotonic()
    await runner.collect(patience=1.5)
    assert time.monotonic() - begun < 1.5


async def test_a_failure_is_logged_when_it_begins_and_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    collector = Raising(CollectorFailed("broke"))
    runner = Runner({"sensor": collector})
    for _ in range(3):
        await runner.collect()
    collector.error = None
    for _ in range(3):
        await runner.collect()
    assert [record.getMessage() for record in caplog.records] == ["collector failed", "collector works again"]


async def test_requests_at_the_same_time_share_a_collection_begun_after_them() -> None:
    collector = Constant()
    runner = Runner({"good": collector})
    await asyncio.gather(*(runner.collect() for _ in range(20)))
    assert collector.calls == 2  # the first request's, and one for all that came meanwhile
    await runner.collect()
    assert collector.calls == 3
    assert runner._last == [], "nobody waits for it: it is not kept"


@pytest.mark.parametrize("leaves", ["before its turn", "in its turn"])
async def test_who_waits_behind_a_request_that_is_cancelled_gets_a_collection_of_its_own(leaves: str) -> None:
    collector = Overlapping()
    runner = Runner({"good": collector})
    first, second, third = (asyncio.ensure_future(runner.collect()) for _ in range(3))
    await first
    await asyncio.sleep(0.02 if leaves == "in its turn" else 0)
    second.cancel()
    page = samples(await third)
    assert (page["tierwatch_example", "a"], page[SUCCESS, "good"]) == (1, 1)
    assert second.cancelled()


async def test_collections_do_not_overlap_when_who_asked_for_them_leaves() -> None:
    collector = Overlapping()
    runner = Runner({"good": collector})
    for _ in range(5):
        leaves = asyncio.ensure_future(runner.collect())
        await asyncio.sleep(0.02)
        leaves.cancel()
        assert samples(await runner.collect())[SUCCESS, "good"] == 1
    assert (collector.calls, collector.at_once) == (10, 1)


async def test_a_request_behind_a_stuck_collection_gives_up_in_time(hanging: Hanging) -> None:
    runner = Runner({"hanging": hanging}, deadline=2.0)
    first = asyncio.ensure_future(runner.collect())
    await asyncio.sleep(0.05)
    begun = time.monotonic()
    with pytest.raises(Busy):
        await runner.collect(patience=0.2)
    assert time.monotonic() - begun < 0.5
    hanging.release.set()
    await first
