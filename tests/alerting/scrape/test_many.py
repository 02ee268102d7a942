"""Hundreds of targets that are all new: their pages are read by few threads, or the event loop would have no turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest

from alerting.scrape import loop as loop_module
from alerting.scrape.exposition import Page, PageReader
from alerting.scrape.targets import Target
from tests.alerting.scrape.test_manager import Answer, Pages, running, target

# Long enough to be read by a thread.
PAGE = b"".join(b'series_%d{label="%s"} 1\n' % (number, b"x" * 3000) for number in range(20))
TARGETS = 12


class Readings:
    """Stands in for ``PageReader.read``: counts, and holds every reading until ``go``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = self.now = self.most = 0
        self.go = threading.Event()
        lock, read = threading.Lock(), PageReader.read

        def counted(reader: PageReader, body: bytes) -> Page:
            with lock:
                self.begun += 1
                self.now += 1
                self.most = max(self.most, self.now)
            try:
                assert self.go.wait(60)
                time.sleep(0.002)  # another one could begin
                return read(reader, body)
            finally:
                with lock:
                    self.now -= 1

        monkeypatch.setattr(PageReader, "read", counted)


def all_new(targets: Sequence[Target]) -> Pages:
    answers: dict[str, list[Answer]] = {one.url: [PAGE] for one in targets}
    return Pages(**answers)


async def test_few_threads_read_and_everything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = Readings(monkeypatch)
    readings.go.set()
    targets = [target(f"t{number}", interval=30) for number in range(TARGETS)]
    async with running(all_new(targets), *targets) as run:
        await run.until(lambda: len(run.reports) == TARGETS, seconds=60)
        assert all(report.ok for report in run.reports)
        assert run.manager.stats.parse_seconds > 0
    assert readings.begun == TARGETS
    assert readings.most <= loop_module._READ_AT_ONCE


async def test_a_stop_waits_for_no_page_that_is_not_being_read(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = Readings(monkeypatch)
    targets = [target(f"t{number}", interval=30) for number in range(TARGETS)]
    pages = all_new(targets)
    async with running(pages, *targets) as run:
        await run.until(lambda: len(pages.asked) == TARGETS and readings.begun == loop_module._READ_AT_ONCE, seconds=60)
        await run.manager.stop()
        readings.go.set()
    assert readings.begun == loop_module._READ_AT_ONCE
    assert run.reports == []
