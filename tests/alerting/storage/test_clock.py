"""A clock that is set while the store runs: nothing is refused, nothing is deleted, every question is answered.

Boards without a clock chip start in 1970, or where they were last switched off, and learn the time later.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from alerting.model.labels import Labels
from alerting.model.series import is_stale
from alerting.storage.options import DAY_MS, HOUR_MS, MINUTE_MS
from alerting.storage.store import Store, StoreOptions
from tests.alerting.storage.test_store import FOREVER, LOAD, NOW, UP, name, put

STEP_MS = 10_000
YEAR_MS = 365 * DAY_MS
SHORT = StoreOptions(retention_ms=4 * HOUR_MS)
Restart = Callable[[Store, int], Store]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "samples.db"


def record(store: Store, start_ms: int, frames: int, value: float) -> int:
    """Frames of two sources, flushed each; the time of the last one."""
    time_ms = start_ms
    for number in range(frames):
        time_ms = start_ms + number * STEP_MS
        assert put(store.source("pi"), time_ms, {UP: value})
        assert put(store.source("rule"), time_ms + 500, {LOAD: value})
        assert store.flush(time_ms + 1000)
    return time_ms


def now(store: Store, time_ms: int) -> list[float]:
    """What a rule would see of both series."""
    values = []
    for metric in ("up", "load"):
        found = store.latest(name(metric), time_ms, 5 * MINUTE_MS)
        if found is not None:
            values += found.values.tolist()
        else:
            (data,) = store.select(name(metric), time_ms - 5 * MINUTE_MS + 1, time_ms)
            values.append(float(data.values[-1]))
    return values


def stay(store: Store, _: int) -> Store:
    return store


def reopen(store: Store, time_ms: int) -> Store:
    path = store._disk.path
    store.close()
    return Store.open(path, SHORT, time_ms)


@pytest.mark.parametrize("restart", [stay, reopen])
@pytest.mark.parametrize(
    ("first_ms", "then_ms"),
    [
        pytest.param(20_000, NOW, id="1970 and then today"),
        pytest.param(NOW + YEAR_MS, NOW, id="a year ahead and then back"),
        pytest.param(NOW + HOUR_MS, NOW, id="an hour back"),
        pytest.param(NOW, NOW + YEAR_MS, id="a year ahead"),
        pytest.param(NOW, 20_000, id="1970 again"),
    ],
)
@pytest.mark.parametrize("frames", [3, 300])
def test_what_comes_after_a_leap_is_taken_at_once_and_nothing_before_it_goes(
    path: Path, first_ms: int, then_ms: int, frames: int, restart: Restart
) -> None:
    store = Store.open(path, SHORT, first_ms)
    record(store, first_ms, frames, 1.0)
    store = restart(store, then_ms)
    last = record(store, then_ms, 1, 2.0)  # refuses nothing
    assert now(store, last + 500) == [2.0, 2.0]
    store = restart(store, last)
    last = record(store, last + STEP_MS, 100, 2.0)
    assert now(store, last + 500) == [2.0, 2.0]
    for metric in ("up", "load"):
        (data,) = store.select(name(metric), 0, FOREVER)
        assert [data.values.tolist().count(value) for value in (1.0, 2.0)] == [frames, 101]
        assert len(store.recent(name(metric), last - MINUTE_MS, last).times) >= 6  # type: ignore[union-attr]
    stats = store.stats()
    assert (stats.frames_refused, stats.rows_lost, stats.chunks_lost) == (0, 0, 0)
    store.close()


def test_of_an_hour_that_came_twice_the_second_counts(path: Path) -> None:
    store = Store.open(path, StoreOptions(), NOW)
    record(store, NOW, 720, 1.0)  # two hours
    back = NOW + HOUR_MS
    last = record(store, back, 180, 2.0)  # half an hour of the second one anew
    for _ in range(3):
        for low, high in ((0, FOREVER), (back - HOUR_MS, last + HOUR_MS), (back, last), (last - 5, last + 35_000)):
            (data,) = store.select(name("up"), low, high)
            expected = [
                (at, 2.0 if back <= at <= last else 1.0)
                for at in range(NOW, NOW + 2 * HOUR_MS, STEP_MS)
                if low <= at <= high
            ]
            assert list(zip(data.times.tolist(), data.values.tolist(), strict=True)) == expected
        store.close()
        store = Store.open(path, StoreOptions(), last)
        for step in range(8):
            store.flush(last + step * HOUR_MS)
    store.close()


def test_a_wrong_clock_deletes_nothing(path: Path) -> None:
    store = Store.open(path, SHORT, NOW)
    last = record(store, NOW, 1000, 1.0)
    for wrong in (last + YEAR_MS, last + 10 * YEAR_MS, 5000):
        record(store, wrong, 30, 2.0)
        for number in range(300):  # hours of flushes
            assert store.flush(wrong + HOUR_MS + number * MINUTE_MS)
        store = reopen(store, wrong)
        for _ in range(100):
            assert store.flush(wrong)
    end = record(store, last + STEP_MS, 10, 3.0)
    (data,) = store.select(name("up"), NOW, end)
    assert data.values.tolist() == [1.0] * 1000 + [3.0] * 10
    store.close()


def test_what_is_old_goes_although_the_clock_was_wrong_once(path: Path) -> None:
    store = Store.open(path, SHORT, NOW)
    record(store, NOW + YEAR_MS, 30, 2.0)
    record(store, 20_000, 30, 2.0)
    last = record(store, NOW, 3000, 1.0)
    (data,) = store.select(name("up"), 0, last)
    assert last - 7 * HOUR_MS < int(data.times[0]) <= last - 4 * HOUR_MS + MINUTE_MS
    store.close()


def test_a_series_that_is_gone_after_a_leap_ends_there(path: Path) -> None:
    store = Store.open(path, StoreOptions(), NOW)
    head = store.source("pi")
    put(head, NOW + HOUR_MS, {UP: 1, LOAD: 1})
    put(head, NOW, {UP: 1})
    (data,) = store.select(name("load"), NOW, NOW)
    assert is_stale(data.values).tolist() == [True]
    assert store.latest(name("load"), NOW, HOUR_MS) is not None
    head.close(NOW - HOUR_MS)
    (data,) = store.select(name("up"), NOW - HOUR_MS, NOW - HOUR_MS)
    assert is_stale(data.values).tolist() == [True]
    store.close()


def test_a_full_memory_drops_the_oldest_written_first(path: Path) -> None:
    store = Store.open(path, StoreOptions(max_head_rows=64), NOW)
    head = store.source("pi")
    for number in range(40):
        put(head, NOW + HOUR_MS + number, {UP: 1})
    for number in range(60):
        put(head, NOW + number, {UP: 2})
    (data,) = store.select(name("up"), 0, FOREVER)
    assert len(data.times) <= 64
    assert data.values.tolist()[:60] == [2.0] * 60
    assert store.stats().frames_dropped == 100 - len(data.times)
    store.close()


@pytest.mark.parametrize("seed", range(12))
def test_any_leaps_and_restarts(path: Path, seed: int) -> None:
    """Bit for bit what was there before a restart; the newest is found at any moment; nothing is refused."""
    generator = random.Random(seed)
    options = StoreOptions(
        retention_ms=HOUR_MS if seed % 2 else 4 * HOUR_MS,
        seal_after_ms=60_000,
        seal_after_rows=16,
        keep_ms=20_000,
        block_ms=300_000,
        long_block_ms=1_200_000,
        key_every=3,
    )
    series = [Labels.of({"__name__": "m", "n": str(number)}) for number in range(3)]
    time_ms = NOW
    store = Store.open(path, options, time_ms)
    for _ in range(150):
        leap = generator.choice(
            [5000] * 12 + [HOUR_MS, YEAR_MS, -2 * MINUTE_MS, -HOUR_MS, -YEAR_MS, 1_000_000 - time_ms]
        )
        time_ms = max(time_ms + leap, 1000)
        value = generator.random()
        for source in ("a", "b"):
            last = store.source(source).last_ms
            frame = {one: value for one in series if source == "a" or one is not series[0]}
            taken = put(store.source(source), time_ms, frame)
            assert taken == (last is None or time_ms > last or time_ms < last - MINUTE_MS)
        if taken:
            found = store.latest([], time_ms, 1)
            if found is None:
                assert [data.values[-1] for data in store.select([], time_ms, time_ms)] == [value] * 3
            else:
                assert found.values.tolist() == [value] * 3
        if generator.random() < 0.5:
            assert store.flush(time_ms)
        everything = [(d.labels, d.times.tolist(), d.values.tolist()) for d in store.select([], 0, FOREVER)]
        assert all(times == sorted(set(times)) for _, times, _ in everything)
        if generator.random() < 0.1:
            store.close()
            store = Store.open(path, options, time_ms)
            assert [(d.labels, d.times.tolist(), d.values.tolist()) for d in store.select([], 0, FOREVER)] == everything
    stats = store.stats()
    assert (stats.rows_lost, stats.chunks_lost, stats.flush_failures) == (0, 0, 0)
    store.close()
