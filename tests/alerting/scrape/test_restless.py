"""A page whose series never live long, through the real loop into a real store, for hours of simulated time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from alerting.model.labels import Labels
from alerting.model.matcher import Matcher
from alerting.scrape.loop import Surroundings, TargetLoop
from alerting.scrape.source import Body, ScrapeError
from alerting.scrape.targets import Target
from alerting.storage import head as heads
from alerting.storage.store import Store, StoreOptions
from config.alerting import Limits
from tests.alerting.storage.model import unsigned

START = 1_700_000_000_000
STEP_MS = 30_000
OPTIONS = StoreOptions(seal_after_ms=300_000, keep_ms=120_000, retention_ms=12 * 3_600_000, max_ended_series=1000)
NAMES = [f"container_series_{at}" for at in range(5)]


class Node:
    """A ``Clock`` and a ``PageSource``: ``running`` are the numbers of the containers that its page shows."""

    def __init__(self, folder: Path) -> None:
        self.now = START
        self.running = [0]
        self.answers = True
        self.store = Store.open(folder / "samples.db", OPTIONS, START)
        labels = Labels.of({"job": "node", "instance": "a"})
        target = Target("node/a", "a", labels, STEP_MS / 1000, 1.0, Limits())
        self.loop = TargetLoop(target, self.store.source("scrape/node/a"), Surroundings(self, self, lambda _: None))

    def now_ms(self) -> int:
        return self.now

    async def fetch(self, url: str, timeout: float, body_bytes: int, *, gzip: bool = True) -> Body:  # noqa: ASYNC109
        if not self.answers:
            raise ScrapeError("refused")
        lines = [f'{name}{{id="{n}"}} {n * 10 + at}\n' for n in self.running for at, name in enumerate(NAMES)]
        return Body("".join(["steady 1\n", *lines]).encode(), gzip=False)

    async def scrapes(self, count: int) -> None:
        for _ in range(count):
            self.now += STEP_MS
            await self.loop._guarded(self.now, early=False)
            assert self.store.flush(self.now)

    def values(self, name: str, number: int) -> set[float]:
        matchers = [Matcher("__name__", "=", name), Matcher("id", "=", str(number))]
        return {
            value
            for data in self.store.select(matchers, START, self.now)
            for value in data.values[~np.isnan(data.values)].tolist()
        }

    def current(self) -> set[tuple[str, str, float]]:
        found = self.store.latest([Matcher("id", "!=", "")], self.now, STEP_MS)
        assert found is not None
        return {
            (labels.metric_name, labels.get("id"), value)
            for labels, value in zip(found.labels, found.values.tolist(), strict=True)
        }

    def shown(self) -> set[tuple[str, str, float]]:
        return {(name, str(n), float(n * 10 + at)) for n in self.running for at, name in enumerate(NAMES)}

    def held(self) -> tuple[int, int, int, int]:
        """What is kept in memory for each series: columns, slots, series of the store, series of the page's reader."""
        return (
            self.store.source("scrape/node/a").width,
            self.store._newest._count,
            self.store.stats().series,
            len(self.loop._reader.labels),
        )


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with patch("alerting.scrape.loop.CONFIRM_AFTER_S", 0.0), patch.object(heads, "ENDED_COLUMNS", 4):
        found = Node(tmp_path)
        yield found
        found.store.close()


async def test_every_sample_is_its_own_series(node: Node) -> None:
    for number in range(60):
        node.running = [number, number + 1, 1000]
        await node.scrapes(2)
        assert node.loop.view.health == "up", node.loop.view.last_error
        assert node.current() == node.shown()
    for number in range(60):
        assert all(node.values(name, number) == {number * 10.0 + at} for at, name in enumerate(NAMES))
    assert all(len(node.values(name, 1000)) == 1 for name in NAMES)


async def test_what_comes_back_after_its_column_is_gone_has_one_again(node: Node) -> None:
    for number in (*range(30), *range(30), *range(29, 0, -1)):
        node.running = [number]
        await node.scrapes(1)
        assert node.current() == node.shown()
    assert node.held()[2] == 30 * len(NAMES) + 6
    up = node.store.select([Matcher("__name__", "=", "up")], START, node.now)
    assert [unsigned(data.values) for data in up] == [unsigned(np.ones(89))]


async def test_a_target_that_is_down_for_long_starts_again(node: Node) -> None:
    node.running = list(range(20))
    await node.scrapes(3)
    node.answers = False
    await node.scrapes(40)
    assert node.held()[:2] == (5, 106)  # what tells of the scrape itself
    node.answers = True
    await node.scrapes(2)
    assert node.loop.view.health == "up", node.loop.view.last_error
    assert node.current() == node.shown()
    assert node.held() == (106, 106, 106, 101)


async def test_a_new_container_each_minute_is_no_growth(node: Node) -> None:
    held = []
    for number in range(600):
        node.running = [number, number + 1, number + 2]
        await node.scrapes(2)
        held.append(node.held())
        assert node.loop.view.health == "up", node.loop.view.last_error
    assert node.current() == node.shown()
    early, late = np.max(held[250:400], axis=0), np.max(held[-150:], axis=0)
    assert (late <= early).all(), (early, late)
    assert late[0] < 200
    assert late[2] < 1300
