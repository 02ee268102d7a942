"""How long a node may fail before it is down, what cuts that short, and how often it may be asked."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.scrape import loop as loop_module
from alerting.scrape.schedule import Bucket
from alerting.scrape.source import Body, ScrapeError
from tests.alerting.scrape.test_manager import Pages, Running, running, target


class Slow(Pages):
    """The second page and all after it never come."""

    async def fetch(self, url: str, timeout: float, body_bytes: int, *, gzip: bool = False) -> Body:  # noqa: ASYNC109
        if len(self.asked) >= 1:
            self.asked.append((url, timeout))
            await asyncio.sleep(timeout)
            raise ScrapeError("late")
        return await super().fetch(url, timeout, body_bytes, gzip=gzip)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "CONFIRM_AFTER_S", 0.05)
    monkeypatch.setattr(loop_module, "_CONFIRM_LEAST_S", 0.02)


def loop_of(run: Running) -> loop_module.TargetLoop:
    return run.manager._running["node/a"].loop


async def test_an_exporter_that_restarts_within_its_patience_leaves_no_trace() -> None:
    pages = Pages(a=[b"x 1\n", *["refused"] * 5, b"x 2\n"])
    async with running(pages, replace(target(interval=30), patience=31.0)) as run:
        await run.until(lambda: len(run.reports) == 1)
        run.manager.scrape_now("node/a")
        await run.until(lambda: len(run.reports) == 2)
        assert run.reports[1].ok
        assert run.writer().values(name="up") == [1, 1]
        assert (run.manager.stats.confirmations, run.manager.stats.failures) == (5, 0)


async def test_a_node_that_fails_for_longer_is_down_and_then_has_no_patience_left() -> None:
    pages = Pages(a=[b"x 1\n", "refused"])
    async with running(pages, replace(target(interval=0.3), patience=0.6)) as run:
        await run.until(lambda: len(run.reports) == 1)
        begun = time.monotonic()
        run.manager.scrape_now("node/a")
        await run.until(lambda: len(run.reports) >= 2)
        assert time.monotonic() - begun > 0.4
        assert (run.reports[1].ok, run.reports[1].up_changed) == (False, True)
        assert run.asked[1] - run.asked[0] <= 12  # one each 0.05 s
        await run.until(lambda: len(run.reports) >= 3)
        assert run.asked[2] - run.asked[1] == 2  # the scrape and its one confirmation


async def test_a_node_that_was_never_up_has_no_patience() -> None:
    async with running(Pages(a=["refused"]), replace(target(interval=30), patience=31.0)) as run:
        await run.until(lambda: len(run.reports) == 1)
        assert run.manager.stats.confirmations == 1


async def test_gone_ends_the_scrape_that_is_under_way() -> None:
    pages = Slow(a=[b"x 1\n"])
    async with running(pages, replace(target(interval=30), timeout=20.0, patience=31.0)) as run:
        await run.until(lambda: len(run.reports) == 1)
        run.manager.scrape_now("node/a")
        await run.until(lambda: len(pages.asked) == 2)
        begun = time.monotonic()
        loop_of(run).gone("no route to host")
        await run.until(lambda: len(run.reports) == 2)
        assert time.monotonic() - begun < 10  # of the 20 s that the page may take
        assert (run.reports[1].ok, run.reports[1].error) == (False, "no route to host")
        assert "up" in run.reports[1].changed
        assert run.writer().values(name="up") == [1, 0]


async def test_gone_ends_the_waiting_for_another_try_and_the_waiting_for_the_next_scrape() -> None:
    pages = Pages(a=[b"x 1\n", "refused"])
    async with running(pages, replace(target(interval=30), patience=31.0)) as run:
        await run.until(lambda: len(run.reports) == 1)
        loop_of(run).gone("first")
        await run.until(lambda: len(run.reports) == 2)
        assert (run.reports[1].error, len(pages.asked)) == ("first", 1)
        pages.answers["a"] = [b"x 1\n", "refused"]
        run.manager.scrape_now("node/a")
        await run.until(lambda: len(run.reports) == 3)
        assert run.reports[2].ok
        run.manager.scrape_now("node/a")
        # While it waits: a try that ends by itself at that moment has its own reason.
        await run.until(lambda: run.manager.stats.confirmations >= 2 and loop_of(run)._sleep is not None)
        loop_of(run).gone("second")
        await run.until(lambda: len(run.reports) == 4)
        assert run.reports[3].error == "second"


async def test_a_thousand_events_in_a_second_are_few_scrapes_and_the_last_one_sees_the_end() -> None:
    class Counting(Pages):
        async def fetch(self, url: str, timeout: float, body_bytes: int, *, gzip: bool = False) -> Body:  # noqa: ASYNC109
            self.asked.append((url, timeout))
            return Body(f"x {state}\n".encode(), gzip=False)

    state = 0
    async with running(Counting(), target(interval=30)) as run:
        await run.until(lambda: len(run.reports) == 1)
        begun = time.monotonic()
        for _ in range(1000):
            state += 1
            run.manager.scrape_now("node/a")
            await asyncio.sleep(0.001)
        await run.until(lambda: run.writer().values(name="x")[-1] == 1000)
        assert len(run.reports) <= 13 + (time.monotonic() - begun)


@given(st.lists(st.floats(0, 2), max_size=60))
def test_a_bucket_never_gives_more_than_its_rate(pauses: list[float]) -> None:
    bucket, now, given_at = Bucket(10, 1.0, 0.05), 100.0, []
    for pause in pauses:
        now += pause
        wait = bucket.take(now)
        assert 0 <= wait <= 1.0
        now += wait
        given_at.append(now)
    for at, first in enumerate(given_at):
        assert sum(1 for when in given_at[at:] if when <= first + 5) <= 10 + 5 + 1
    assert all(later - before >= 0.05 - 1e-9 for before, later in pairwise(given_at))
