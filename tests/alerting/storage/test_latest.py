"""Queries about now are answered from memory, the same as reading everything would."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from alerting.model.labels import Labels
from alerting.model.matcher import Matcher
from alerting.model.series import ABSENT
from alerting.storage.ports import Instant, QuickQuerier
from alerting.storage.store import Store, StoreOptions
from tests.alerting.storage.model import Model, points, unrolled

START = 1_700_000_000_000
STEP_MS = 5000
LOOKBACK_MS = 300_000
OPTIONS = StoreOptions(seal_after_ms=700_000, keep_ms=360_000, key_every=3)
ALL = [Matcher("__name__", "=~", "m.*")]


class Life:
    """Two sources that lose and regain series at random; ``now`` is the time of the last frame."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "samples.db"
        self._rng = np.random.default_rng(7)
        self.now = START
        self.store = Store.open(self._path, OPTIONS, START)
        self.model = Model()

    def frames(self, count: int) -> None:
        for number in range(count):
            self.now += STEP_MS
            for source in "ab":
                names = [Labels.of({"__name__": f"m{n % 4}", "n": str(n), "source": source}) for n in range(12)]
                frame = {labels: float(self._rng.integers(100)) for labels in names if self._rng.random() < 0.8}
                self._append(source, frame)
            if number % 2:
                assert self.store.flush(self.now)

    def _append(self, source: str, frame: dict[Labels, float]) -> None:
        head = self.store.source(source)
        columns = {head.column(labels): value for labels, value in frame.items()}
        row = np.full(head.width, ABSENT)
        for column, value in columns.items():
            row[column] = value
        assert head.append(self.now, row)
        self.model.append(source, self.now, frame)

    def restart(self) -> None:
        self.store.close()
        self.store = Store.open(self._path, OPTIONS, self.now)

    def latest(self, back_ms: int = 0, lookback_ms: int = LOOKBACK_MS) -> Instant | None:
        return self.store.latest(ALL, self.now - back_ms, lookback_ms)

    def expected(self, back_ms: int = 0, lookback_ms: int = LOOKBACK_MS) -> list[tuple[Labels, int, int]]:
        return self.model.latest(ALL, self.now - back_ms, lookback_ms)


@pytest.fixture
def life(tmp_path: Path) -> Life:
    return Life(tmp_path)


def test_the_store_is_a_quick_querier(life: Life) -> None:
    assert isinstance(life.store, QuickQuerier)
    life.store.close()


def test_now_is_answered_through_seals_and_lookbacks(life: Life) -> None:
    for _ in range(30):
        life.frames(20)
        for back, lookback in ((0, LOOKBACK_MS), (-60_000, LOOKBACK_MS), (0, 1), (-4999, STEP_MS), (-STEP_MS, STEP_MS)):
            found = life.latest(back, lookback)
            assert found is not None
            assert points(found) == life.expected(back, lookback)
    assert life.store.stats().blocks
    life.store.close()


def test_the_last_minutes_are_answered_through_seals(life: Life) -> None:
    for _ in range(30):
        life.frames(20)
        for start, end in ((-LOOKBACK_MS + 1, 0), (-LOOKBACK_MS + 1, -60_000), (-60_000, 60_000), (1, 5)):
            found = life.store.recent(ALL, life.now + start, life.now + end)
            assert found is not None
            wanted = life.model.select(ALL, life.now + start, life.now + end)
            assert list(unrolled(found).items()) == list(wanted.items())
    assert life.store.stats().blocks
    assert life.store.recent(ALL, START, life.now) is None
    life.store.close()


def test_a_moment_ago_is_answered_and_the_past_is_left_to_select(life: Life) -> None:
    for _ in range(30):
        life.frames(20)
        for back, lookback in ((1, 1), (1, STEP_MS), (1, 60_000), (3 * STEP_MS, 60_000)):
            found = life.latest(back, lookback)
            assert found is not None
            assert points(found) == life.expected(back, lookback)
    assert life.store.stats().blocks
    assert life.latest(back_ms=2 * LOOKBACK_MS) is None
    life.store.close()


def test_after_a_restart_what_is_only_on_disk_is_left_to_select(life: Life) -> None:
    life.frames(200)
    life.restart()
    found = life.latest()
    assert found is None or points(found) == life.expected()
    life.frames(150)
    found = life.latest()
    assert found is not None
    assert points(found) == life.expected()
    life.store.close()


def test_two_series_with_the_same_labels_are_left_to_select(life: Life) -> None:
    labels = Labels.of({"__name__": "m1"})
    for source in "ab":
        head = life.store.source(source)
        head.column(labels)
        assert head.append(START + 1, np.ones(head.width))
    assert life.store.latest([Matcher("__name__", "=", "m1")], START + 1, LOOKBACK_MS) is None
    life.store.close()


def test_writers_on_many_threads_lose_nothing_and_tear_no_frame(tmp_path: Path) -> None:
    """Targets append on the event loop while rules append, and make series, on a worker thread."""
    store = Store.open(tmp_path / "samples.db", StoreOptions(), START)
    frames, width = 400, 30
    done = threading.Event()
    errors: list[BaseException] = []

    def write(source: str) -> None:
        head = store.source(source)
        for number in range(1, frames + 1):
            for column in range(min(width, number // 5 + 1)):
                head.column(Labels.of({"__name__": "m", "source": source, "n": str(column)}))
            assert head.append(START + number, np.full(head.width, float(number)))

    def read(source: str) -> None:
        matchers = [Matcher("__name__", "=", "m"), Matcher("source", "=", source)]
        while not done.is_set():
            found = store.latest(matchers, START + frames, LOOKBACK_MS)
            assert found is not None
            assert len(set(found.values.tolist())) <= 1, "a torn frame"
            assert (found.times - START == found.values).all()

    def guarded(work: object, source: str) -> None:
        try:
            assert callable(work)
            work(source)
        except BaseException as error:
            errors.append(error)

    writers = [threading.Thread(target=guarded, args=(write, source)) for source in "abcd"]
    readers = [threading.Thread(target=guarded, args=(read, source)) for source in "ad"]
    for thread in writers + readers:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    assert not errors, errors
    found = store.latest([Matcher("__name__", "=", "m")], START + frames, LOOKBACK_MS)
    assert found is not None
    assert (len(found.labels), set(found.values.tolist())) == (4 * width, {float(frames)})
    assert store.stats().samples_appended == 4 * sum(min(width, number // 5 + 1) for number in range(1, frames + 1))
    store.close()
