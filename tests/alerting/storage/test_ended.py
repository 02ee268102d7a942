"""Series that end by the thousand (containers, jobs) leave nothing in memory but their labels, and not for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from alerting.model.labels import Labels
from alerting.model.matcher import Matcher
from alerting.model.series import ABSENT, STALE_BITS, SeriesData
from alerting.storage import head as heads
from alerting.storage.backfill import Backfill
from alerting.storage.head import Head
from alerting.storage.ports import StorageError
from alerting.storage.store import Store, StoreOptions
from tests.alerting.storage.model import Model, answer, bits, points, unrolled

START = 1_700_000_000_000
STEP_MS = 5000
FOREVER = 2**60
OPTIONS = StoreOptions(seal_after_ms=100_000, keep_ms=50_000, key_every=3, block_ms=400_000, long_block_ms=1_600_000)
UP = Labels.of({"__name__": "up"})
JOBS = [Matcher("__name__", "=", "job")]


def job(number: int) -> Labels:
    return Labels.of({"__name__": "job", "id": str(number)})


class Node:
    """One source: ``up`` in each frame, and jobs."""

    def __init__(self, store: Store, now: int = START) -> None:
        self.store = store
        self.now = now
        self.head: Head = store.source("node")
        self.model = Model()

    def frame(self, *jobs: int) -> None:
        self.now += STEP_MS
        values = {UP: 1.0, **{job(number): float(number) for number in jobs}}
        columns = {self.head.column(labels): value for labels, value in values.items()}
        row = np.full(self.head.width, ABSENT)
        row[list(columns)] = list(columns.values())
        assert self.head.append(self.now, row)
        self.model.append("node", self.now, values)
        self.head.compact()

    def frames(self, count: int, *jobs: int) -> None:
        for _ in range(count):
            self.frame(*jobs)
            if self.now % (4 * STEP_MS) == 0:
                assert self.store.flush(self.now)

    def jobs(self, numbers: range, each: int = 4) -> None:
        """One after the other."""
        for number in numbers:
            self.frames(each, number)

    def all_is_there(self) -> None:
        found, wanted = answer(self.store.select([], 0, FOREVER)), self.model.select([], 0, FOREVER)
        assert list(found) == list(wanted)
        assert found == wanted

    def now_is_answered_from_memory(self) -> None:
        found = self.store.latest(JOBS, self.now, 30_000)
        assert found is not None
        assert points(found) == self.model.latest(JOBS, self.now, 30_000)
        runs = self.store.recent(JOBS, self.now - 30_000, self.now)
        assert runs is not None
        assert unrolled(runs) == self.model.select(JOBS, self.now - 30_000, self.now)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    with patch.object(heads, "ENDED_COLUMNS", 3):
        yield tmp_path / "samples.db"


def test_columns_and_slots_of_series_that_ended_are_used_again(path: Path) -> None:
    node = Node(Store.open(path, OPTIONS, START))
    for first in range(0, 120, 10):
        node.jobs(range(first, first + 10))
        node.now_is_answered_from_memory()
        assert node.head.width < 50
    assert node.store._newest._count < 50
    assert node.store.stats().series == 121
    node.all_is_there()
    node.store.close()


def test_a_series_that_comes_back_is_the_same_one(path: Path) -> None:
    node = Node(Store.open(path, OPTIONS, START))
    for _ in range(3):
        node.jobs(range(30))
    assert node.head.width < 31
    assert node.store.stats().series == 31
    node.all_is_there()
    node.store.close()
    node.store = Store.open(path, OPTIONS, node.now)
    node.head = node.store.source("node")
    node.jobs(range(30))
    assert node.store.stats().series == 31
    node.all_is_there()
    node.store.close()


def test_a_crash_at_any_moment_finds_every_row(path: Path, tmp_path: Path) -> None:
    node = Node(Store.open(path, OPTIONS, START))
    for number in range(45):
        node.jobs(range(number, number + 1))
        copy = tmp_path / f"copy{number}"
        copy.mkdir()
        for file in tmp_path.glob("samples.db*"):
            (copy / file.name).write_bytes(file.read_bytes())
        crashed = Store.open(copy / "samples.db", OPTIONS, node.now)
        assert answer(crashed.select([], 0, FOREVER)) == node.model.select([], 0, FOREVER)
        assert crashed.stats().rows_lost == 0
        crashed.close()
    assert node.head.width < 50
    node.store.close()


def test_nothing_moves_while_rows_of_another_time_are_in_memory(path: Path) -> None:
    node = Node(Store.open(path, OPTIONS, START))
    node.jobs(range(30))
    node.now -= 10_000_000  # the clock is set back
    node.jobs(range(100, 130))
    assert node.head.width < 50
    node.store.close()


def test_beyond_the_limit_what_ended_longest_ago_is_given_up(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = replace(OPTIONS, max_ended_series=100)
    node = Node(Store.open(path, options, START))
    node.jobs(range(80))
    node.jobs(range(5))  # the first ones are seen again, late
    node.jobs(range(80, 140))
    node.frames(40)
    known = {labels.get("id") for labels in node.store.series([JOBS], 0, FOREVER)}
    assert len(known) <= 100
    assert node.store.stats().series == len(known) + 1
    assert {str(number) for number in (*range(5), *range(100, 140))} <= known
    assert not known & {str(number) for number in range(5, 25)}
    assert "look for a label that changes all the time" in caplog.text
    found, wanted = answer(node.store.select(JOBS, 0, FOREVER)), node.model.select(JOBS, 0, FOREVER)
    assert found == {labels: samples for labels, samples in wanted.items() if labels.get("id") in known}
    node.store.close()

    store = Store.open(path, options, node.now)
    assert {labels.get("id") for labels in store.series([JOBS], 0, FOREVER)} == known
    assert answer(store.select(JOBS, 0, FOREVER)) == found
    head = store.source("node")
    row = np.full(head.width + 1, ABSENT)
    row[head.column(job(20))] = 3.0  # given up before: it starts anew
    assert head.append(node.now + STEP_MS, row)
    (again,) = store.select([Matcher("id", "=", "20")], 0, FOREVER)
    assert (again.times.tolist(), again.values.tolist()) == ([node.now + STEP_MS], [3.0])
    store.close()


def test_what_lives_and_what_was_imported_is_never_given_up(path: Path) -> None:
    options = replace(OPTIONS, max_ended_series=0)
    backfill = Backfill.open(path, options, START)
    times = START - 86_400_000 + STEP_MS * np.arange(3)
    backfill.write([SeriesData(Labels.of({"__name__": "old", "n": str(n)}), times, np.ones(3)) for n in range(20)])
    backfill.close()
    node = Node(Store.open(path, options, START))
    node.frames(100, *range(30))
    assert len(node.store.series([JOBS], 0, FOREVER)) == 30
    assert len(node.store.series([[Matcher("__name__", "=", "old")]], 0, FOREVER)) == 20
    node.frames(60)
    assert node.store.series([JOBS], 0, FOREVER) == []
    assert len(node.store.series([[Matcher("__name__", "=", "old")]], 0, FOREVER)) == 20
    node.store.close()


def test_the_limit_of_all_series_refuses_only_when_all_of_them_live(path: Path) -> None:
    node = Node(Store.open(path, replace(OPTIONS, max_series=160), START))
    node.jobs(range(300))
    assert node.store.stats().series <= 160
    for more in range(0, 120, 5):
        node.frames(4, *range(500, 500 + more))
    with pytest.raises(StorageError, match="more than 160 series"):
        node.frame(*range(600, 800))
    node.store.close()


def test_what_others_ask_meanwhile_is_never_of_another_series(path: Path) -> None:
    """One thread writes and gives columns up, one flushes, two ask: a value says whose it is."""
    node = Node(Store.open(path, OPTIONS, START))
    done, errors, flushes, moves = threading.Event(), list[BaseException](), [0], [0]

    def write() -> None:
        for number in range(200):
            width, before = node.head.width, flushes[0]
            for _ in range(6):
                node.frame(number, number + 1)
                moves[0] += node.head.width < width
                width = node.head.width
            while flushes[0] < before + 1 and not done.wait(0.001):
                pass

    def flush() -> None:
        while not done.is_set():
            assert node.store.flush(node.now)
            flushes[0] += 1

    def ask() -> None:
        while not done.is_set():
            now = node.now
            found = node.store.latest(JOBS, now, 60_000)
            for labels, value in zip(found.labels, found.values.tolist(), strict=True) if found else ():
                assert float(labels.get("id")) == value
            runs = node.store.recent(JOBS, now - 20_000, now)
            for labels, samples in unrolled(runs).items() if runs else ():
                assert {value for _, value in samples} <= {bits(float(labels.get("id"))), STALE_BITS}
            for data in node.store.select(JOBS, now - 200_000, now):
                assert set(data.values[~np.isnan(data.values)].tolist()) <= {float(data.labels.get("id"))}

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)
        finally:
            if work is write or errors:
                done.set()

    threads = [threading.Thread(target=guarded, args=(work,)) for work in (write, flush, ask, ask)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors
    assert moves[0] > 10
    node.all_is_there()
    node.store.close()
