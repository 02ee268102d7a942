"""Targets alive: frames, staleness, confirmation, early scrapes, reload."""

from __future__ import annotations

import asyncio
import gc
import gzip
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from alerting.clock import SystemClock
from alerting.model.labels import Labels
from alerting.model.series import FloatArray
from alerting.scrape import loop as loop_module
from alerting.scrape.http import HttpPages
from alerting.scrape.manager import ScrapeManager
from alerting.scrape.report import ScrapeReport
from alerting.scrape.schedule import TOLERANCE_MS, offset_ms
from alerting.scrape.source import Body, ScrapeError
from alerting.scrape.targets import Target
from alerting.storage.ports import StorageError
from config.alerting import Limits
from tests.support import hostile_server as hs
from tests.support.frames import MemoryFrames, MemoryWriter, stale

Answer = bytes | str


class Pages:
    """Pages as told: by URL, the next answer of its list, the last one for ever. A text is an error's."""

    def __init__(self, **answers: list[Answer]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, float]] = []

    async def fetch(self, url: str, timeout: float, body_bytes: int, *, gzip: bool = False) -> Body:  # noqa: ASYNC109
        self.asked.append((url, timeout))
        await asyncio.sleep(0)
        answers = self.answers[url]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, str):
            raise ScrapeError(answer)
        return Body(answer, gzip=False)


def target(name: str = "a", *, interval: float = 0.1, url: str = "", **labels: str) -> Target:
    own = Labels.of({"job": "node", "instance": name, **labels})
    return Target(f"node/{name}", url or name, own, interval, min(interval, 1.0), Limits(series=50))


class Running:
    def __init__(self, manager: ScrapeManager, frames: MemoryFrames) -> None:
        self.manager = manager
        self.frames = frames
        self.reports: list[ScrapeReport] = []
        self.asked: list[int] = []
        """For each report, how many pages had been asked for when it came."""

    def writer(self, name: str = "a") -> MemoryWriter:
        return self.frames.writers[f"scrape/node/{name}"]

    async def until(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def scraped(self, reports: int) -> None:
        """So many reports came; where one is missing it is asked for, so that no test hangs on an interval."""
        while len(self.reports) < reports:
            before = len(self.reports)
            if before:
                assert self.manager.scrape_now("node/a")
            await self.until(lambda: len(self.reports) > before)  # noqa: B023 - the loop waits for it


class Aligned:
    """A clock that is just past the planned time of a target with an interval of 30 s when a test begins: the next one
    is half a minute away, and what comes before was asked for."""

    def __init__(self) -> None:
        self._ahead_ms = 1_700_000_026_000 - time.monotonic_ns() // 1_000_000

    def now_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000 + self._ahead_ms


@asynccontextmanager
async def running(
    pages: Pages | HttpPages, *targets: Target, frames: MemoryFrames | None = None
) -> AsyncIterator[Running]:
    store = frames or MemoryFrames()

    def told(report: ScrapeReport) -> None:
        run.reports.append(report)
        run.asked.append(len(pages.asked) if isinstance(pages, Pages) else 0)

    manager = ScrapeManager(store.source, pages, Aligned(), told)
    run = Running(manager, store)
    manager.start(targets)
    try:
        yield run
    finally:
        await manager.stop()


@pytest.fixture(autouse=True)
def _quick_confirmation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "CONFIRM_AFTER_S", 0.02)
    monkeypatch.setattr(loop_module, "_CONFIRM_LEAST_S", 0.02)


async def test_a_frame_holds_the_page_and_the_report_of_the_scrape() -> None:
    async with running(Pages(a=[b'x{node="there"} 5\ny 6\ny 7\n']), target(node="N1")) as run:
        at_once = run.manager.first_round_done
        assert not at_once
        await run.until(lambda: len(run.reports) >= 2)
        assert run.manager.first_round_done
        writer = run.writer()
        assert writer.values(name="x", node="N1", exported_node="there")[:2] == [5, 5]
        assert writer.values(name="y", instance="a", job="node")[:2] == [6, 6]
        assert writer.values(name="up", node="N1")[:2] == [1, 1]
        assert writer.values(name="scrape_samples_scraped")[:2] == [3, 3]
        assert writer.values(name="scrape_samples_post_metric_relabeling")[:2] == [3, 3]
        assert writer.values(name="scrape_series_added")[:2] == [2, 0]
        assert 0 < writer.values(name="scrape_duration_seconds")[0] < 30
        times = {time for samples in writer.samples.values() for time, _ in samples}
        assert sorted(times) == writer.times
        first, second = run.reports[:2]
        assert (first.ok, first.up_changed, first.added, first.gone) == (True, True, 2, 0)
        assert (second.ok, second.up_changed, second.added, second.gone) == (True, False, 0, 0)
        assert run.manager.stats.duplicates >= 2


async def test_planned_frames_stand_on_the_targets_place_in_the_interval() -> None:
    async with running(Pages(a=[b"x 1\n"]), target(interval=1.0)) as run:
        place = offset_ms("node/a", 1000, places=1)

        def late() -> list[int]:
            return [(time - place) % 1000 for time in run.writer().times[1:]]

        # A machine that is busy wakes late now and then; what is on time is on the millisecond.
        await run.until(lambda: len(late()) >= 2 and 0 in late(), 60)
        assert all(value == 0 or value > TOLERANCE_MS for value in late())


async def test_a_series_that_leaves_ends_with_a_marker() -> None:
    async with running(Pages(a=[b"x 1\ny 2\n", b"x 1\n", b"x 1\ny 3\n"]), target()) as run:
        await run.until(lambda: len(run.reports) >= 3)
        first, marker, back = run.writer().values(name="y")[:3]
        assert (first, back) == (2, 3)
        assert stale(marker)
        assert [report.gone for report in run.reports[:3]] == [0, 1, 0]


async def test_a_target_that_fails_twice_is_down_and_its_series_end() -> None:
    async with running(Pages(a=[b"x 1\n", "broken", "still broken", b"x 2\n"]), target(interval=30)) as run:
        await run.scraped(3)
        writer = run.writer()
        assert writer.values(name="up")[:3] == [1, 0, 1]
        one, marker, two = writer.values(name="x")[:3]
        assert (one, two) == (1, 2)
        assert stale(marker)
        assert writer.values(name="scrape_samples_scraped")[:3] == [1, 0, 1]
        down = run.reports[1]
        assert (down.ok, down.error, down.up_changed, down.gone) == (False, "still broken", True, 1)
        assert run.reports[2].added == 1
        assert run.manager.stats.confirmations == 1
        assert run.manager.targets()[0].health == "up"


async def test_one_failure_leaves_no_trace_but_a_later_sample() -> None:
    async with running(Pages(a=[b"x 1\n", "hiccup", b"x 2\n"]), target(interval=30)) as run:
        await run.scraped(2)
        assert run.writer().values(name="up")[:2] == [1, 1]
        assert run.reports[1].ok
        assert run.manager.stats.failures == 0


async def test_a_bad_page_stores_nothing_of_itself() -> None:
    async with running(Pages(a=[b"x 1\ngarbage\n"]), target()) as run:
        await run.until(lambda: len(run.reports) >= 1)
        view = run.manager.targets()[0]
        assert (view.health, view.last_error) == (
            "down",
            'line 2: expected a value and nothing after it, got "garbage"',
        )
        assert {labels.metric_name for labels in run.writer().columns} == {
            "up",
            "scrape_duration_seconds",
            "scrape_samples_scraped",
            "scrape_samples_post_metric_relabeling",
            "scrape_series_added",
        }


async def test_scrape_now_does_not_wait_for_the_interval() -> None:
    async with running(Pages(a=[b"x 1\n"]), target(interval=30)) as run:
        await run.until(lambda: len(run.reports) == 1)
        assert run.manager.scrape_now("node/a")
        await run.until(lambda: len(run.reports) == 2)
        assert run.reports[1].early
        begun = time.monotonic()
        for _ in range(200):
            run.manager.scrape_now("node/a")
            await asyncio.sleep(0.002)
        await asyncio.sleep(0.1)
        # Ten at once, then one a second, beside the first of all.
        assert len(run.reports) <= 12 + (time.monotonic() - begun)
        assert not run.manager.scrape_now("node/unknown")


async def test_a_scrape_worth_a_look_names_what_changed() -> None:
    answers: list[Answer] = [b"x 1\ny 2\nz 3\n", b"x 1\ny 5\nz 3\n", b"x 1\nnew 5\nz 4\n", b"x 1\nnew 5\nz 4\n", "down"]
    async with running(Pages(a=answers), target(interval=30)) as run:
        for count in range(1, 6):
            await run.until(lambda count=count: len(run.reports) == count)  # type: ignore[misc]
            run.manager.scrape_now("node/a")
        assert [set(report.changed) for report in run.reports] == [
            {"x", "y", "z", "up"},
            {"y"},
            {"y", "z", "new"},
            set(),
            {"x", "new", "z", "up"},
        ]


async def test_reload_keeps_the_unchanged_and_ends_the_removed() -> None:
    pages = Pages(a=[b"x 1\n"], b=[b"x 1\n"], c=[b"x 1\n"])
    async with running(pages, target("a"), target("b")) as run:
        await run.until(lambda: len(run.reports) >= 4)
        added_before = run.writer("a").values(name="scrape_series_added")
        await run.manager.reload([target("a", interval=0.05), target("c")])
        assert run.writer("b").closed_ms is not None
        assert stale(run.writer("b").values(name="x")[-1])
        assert stale(run.writer("b").values(name="up")[-1])
        assert run.writer("a").closed_ms is None
        assert [view.target.name for view in run.manager.targets()] == ["node/a", "node/c"]
        assert run.manager.targets()[0].target.interval == 0.05
        assert run.manager.targets()[0].health == "up"
        assert run.manager.targets()[1].health == "unknown"
        done = len(run.writer("a").times)
        await run.until(lambda: len(run.writer("a").times) > done + 3 and len(run.writer("c").times) > 0)
        assert sum(run.writer("a").values(name="scrape_series_added")) == sum(added_before) == 1
        assert not any(stale(value) for value in run.writer("a").values(name="x"))
        asked = sum(url == "b" for url, _ in pages.asked)
        await asyncio.sleep(0.25)
        assert sum(url == "b" for url, _ in pages.asked) == asked


async def test_a_target_with_other_labels_is_another_target() -> None:
    async with running(Pages(a=[b"x 1\n"]), target("a", tier="1")) as run:
        await run.until(lambda: len(run.reports) >= 1)
        await run.manager.reload([target("a", tier="2")])
        await run.until(lambda: len(run.reports) >= 3)
        assert stale(run.writer().values(name="x", tier="1")[-1])
        assert run.writer().values(name="x", tier="2")[-1] == 1


class Refusing(MemoryWriter):
    """Refuses the second frame as too old; fails at the third; fine after."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def append(self, time_ms: int, row: FloatArray) -> bool:
        self.calls += 1
        if self.calls == 2:
            return False
        if self.calls == 3:
            raise StorageError("disk full")
        return super().append(time_ms, row)


async def test_the_store_may_refuse_or_fail_and_scraping_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    frames = MemoryFrames()
    frames.writers["scrape/node/a"] = Refusing()
    async with running(Pages(a=[b"x 1\n"]), target(interval=30), frames=frames) as run:
        await run.scraped(2)
        assert run.manager.targets()[0].last_error.startswith("not stored: the clock was set back")
        run.manager.scrape_now("node/a")
        await run.until(lambda: run.manager.stats.internal_errors == 1)
        assert run.manager.targets()[0].last_error == "not stored: disk full"
        await run.scraped(3)
        assert run.manager.targets()[0].last_error == ""
        assert run.manager.stats.refused_frames == 1
        assert run.manager.stats.internal_errors == 1
    assert "node/a: the scrape could not be stored: disk full" in caplog.text


class Full(MemoryWriter):
    """Takes no series but those of the scrape's own report; for a while not even those."""

    def __init__(self) -> None:
        super().__init__()
        self.refuse_all = True

    def column(self, labels: Labels) -> int:
        if self.refuse_all or not (labels.metric_name == "up" or labels.metric_name.startswith("scrape_")):
            raise StorageError("too many series")
        return super().column(labels)


async def test_a_full_store_makes_the_target_unknown_or_down_never_silently_fine() -> None:
    frames = MemoryFrames()
    writer = frames.writers["scrape/node/a"] = Full()
    async with running(Pages(a=[b"x 1\n"]), target(), frames=frames) as run:
        async with asyncio.timeout(30):
            await run.manager.wait_first_round()
        view = run.manager.targets()[0]
        assert (view.health, view.last_error) == ("unknown", "not stored: too many series")
        writer.refuse_all = False
        await run.until(lambda: bool(run.reports))
        view = run.manager.targets()[0]
        assert (view.health, view.last_error) == ("down", "not stored: too many series")
        assert writer.values(name="up")[-1] == 0


class Faulty(Pages):
    async def fetch(self, url: str, timeout: float, body_bytes: int, *, gzip: bool = False) -> Body:  # noqa: ASYNC109
        raise ZeroDivisionError


async def test_a_fault_of_ours_is_a_failed_scrape(caplog: pytest.LogCaptureFixture) -> None:
    async with running(Faulty(), target()) as run:
        await run.until(lambda: len(run.reports) >= 2)
        assert run.writer().values(name="up")[:2] == [0, 0]
        words = "unforeseen ZeroDivisionError while scraping, the log says more"
        assert run.manager.targets()[0].last_error == words
    assert "ZeroDivisionError" in caplog.text


async def test_a_failing_listener_harms_nothing() -> None:
    def listener(_: ScrapeReport) -> None:
        raise RuntimeError("boom")

    frames = MemoryFrames()
    manager = ScrapeManager(frames.source, Pages(a=[b"x 1\n"]), SystemClock(), listener)
    manager.start([target()])
    async with asyncio.timeout(30):
        while len(frames.writers["scrape/node/a"].times) < 2:  # noqa: ASYNC110 - the listener that is told fails
            await asyncio.sleep(0.005)
    await manager.stop()
    assert manager.stats.internal_errors == 0


async def test_without_targets_the_first_round_is_done_at_once() -> None:
    async with running(Pages()) as run:
        async with asyncio.timeout(30):
            await run.manager.wait_first_round()
        assert run.manager.first_round_done


@pytest.fixture
def _small_heap() -> Iterator[None]:
    """A collection walks everything the test runner ever made; what is measured must not wait for that."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("_small_heap")
@pytest.mark.parametrize("compressed", [False, True])
async def test_a_long_first_page_does_not_hold_up_the_loop(compressed: bool) -> None:
    page = b"".join(b'metric_number_%d{some="label",other="%d"} %d\n' % (n % 50, n, n) for n in range(20_000))
    assert len(page) > 800_000
    body = gzip.compress(page, compresslevel=1) if compressed else page
    headers = "Content-Encoding: gzip\r\n" if compressed else ""
    async with hs.hostile(hs.answer(body, headers=headers)) as server, HttpPages() as pages:
        big = Target("node/a", server.url, Labels.of({"job": "node", "instance": "a"}), 60, 60, Limits())
        longest = 0.0
        frames = CheapFrames()
        manager = ScrapeManager(frames.source, pages, SystemClock())
        manager.start([big])
        # Of the processor's time: what others take of the machine meanwhile holds up everybody.
        begun = before = time.process_time()
        while not manager.first_round_done:
            await asyncio.sleep(0.001)
            longest = max(longest, time.process_time() - before)
            before = time.process_time()
        view = manager.targets()[0]
        await manager.stop()
    assert (view.health, view.samples) == ("up", 20_000)
    assert longest < max(0.1, (before - begun) / 2)


class CheapWriter(MemoryWriter):
    """Without the linear search."""

    def column(self, labels: Labels) -> int:
        self.columns.append(labels)
        return len(self.columns) - 1

    def append(self, time_ms: int, row: FloatArray) -> bool:
        return True


class CheapFrames(MemoryFrames):
    def source(self, name: str) -> MemoryWriter:
        return self.writers.setdefault(name, CheapWriter(name))


async def test_over_http_a_server_that_breaks_and_heals() -> None:
    async with hs.hostile(hs.answer(b"x 1\n")) as server, HttpPages() as pages:
        # Small enough for a busy machine to bring what is too long within the timeout.
        short = replace(target("a", interval=0.3, url=server.url), limits=Limits(body_bytes=1 << 20))
        async with running(pages, short) as run:
            await run.until(lambda: run.manager.targets()[0].health == "up")
            for behaviour, words in (
                (hs.hang, "no complete answer"),
                (hs.answer(b"x 1\ny"), "line 2: the page is cut off"),
                (hs.answer(b"", status="503 Busy"), "HTTP status 503 Busy"),
                (hs.answer(hs.bomb(8 << 20), headers="Content-Encoding: gzip\r\n"), "larger than 1048576 bytes"),
                (hs.answer(b"x 1\n" * 1000, headers="Content-Encoding: gzip\r\n"), "compressed page is damaged"),
                (hs.answer(b"\x00\xff\xfe\n"), "line 1: expected a metric name"),
                (hs.endless(100 << 20, []), "larger than 1048576 bytes"),
            ):
                server.behaviour = behaviour
                await run.until(lambda: run.manager.targets()[0].health == "down")
                await run.until(lambda words=words: words in run.manager.targets()[0].last_error)  # type: ignore[misc]
                server.behaviour = hs.answer(b"x 1\n")
                await run.until(lambda: run.manager.targets()[0].health == "up")
