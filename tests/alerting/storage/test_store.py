from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from alerting.model.labels import Labels
from alerting.model.matcher import Matcher
from alerting.model.series import ABSENT, STALE, is_stale
from alerting.storage.head import Head
from alerting.storage.options import HOUR_MS, MINUTE_MS
from alerting.storage.ports import Storage, StorageError
from alerting.storage.store import Store, StoreOptions
from tests.alerting.storage.model import Model, answer

NOW = 1_700_000_000_000 // (2 * HOUR_MS) * (2 * HOUR_MS)
FOREVER = 2**62
UP = Labels.of({"__name__": "up", "instance": "pi"})
LOAD = Labels.of({"__name__": "load", "instance": "pi"})
TEMPERATURE = Labels.of({"__name__": "temperature", "instance": "pi", "sensor": "cpu"})


def put(head: Head, time_ms: int, frame: dict[Labels, float]) -> bool:
    columns = {head.column(labels): value for labels, value in frame.items()}
    row = np.full(head.width, ABSENT)
    for column, value in columns.items():
        row[column] = value
    return head.append(time_ms, row)


def fill(store: Store, *, frames: int, step_ms: int = 5000, start_ms: int = NOW, flush_each: int = 2) -> int:
    """Frames of three series from one source, flushed as an application would; returns the last time."""
    head = store.source("pi")
    time_ms = start_ms
    for number in range(frames):
        time_ms = start_ms + number * step_ms
        put(head, time_ms, {UP: 1.0, LOAD: number % 7 / 100, TEMPERATURE: 40 + number % 5})
        if number % flush_each == flush_each - 1:
            assert store.flush(time_ms)
    return time_ms


def name(value: str) -> list[Matcher]:
    return [Matcher("__name__", "=", value)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "samples.db"


def test_it_is_a_storage(path: Path) -> None:
    store: Storage = Store.open(path, StoreOptions(), NOW)
    assert store.select([], 0, FOREVER) == []
    assert store.series([], 0, FOREVER) == []
    assert isinstance(store, Store)
    store.close()


def test_samples_are_found_by_matchers_sorted_and_in_the_window(path: Path) -> None:
    store = Store.open(path, StoreOptions(), NOW)
    head = store.source("pi")
    for number in range(5):
        put(head, NOW + number, {UP: number, LOAD: -number})
    found = store.select([], NOW + 1, NOW + 3)
    assert [data.labels for data in found] == [LOAD, UP]
    assert found[1].times.tolist() == [NOW + 1, NOW + 2, NOW + 3]
    assert found[1].values.tolist() == [1, 2, 3]
    assert [data.labels for data in store.select(name("up"), NOW, NOW)] == [UP]
    assert store.select([Matcher("__name__", "=~", "u.*"), Matcher("instance", "!=", "pi")], NOW, NOW + 5) == []
    assert store.select(name("up"), NOW + 5, NOW + 9) == []
    assert store.select(name("up"), NOW + 3, NOW + 1) == []
    store.close()


def test_a_series_that_vanishes_ends_with_one_marker(path: Path) -> None:
    store = Store.open(path, StoreOptions(), NOW)
    head = store.source("pi")
    put(head, NOW, {UP: 1, LOAD: 1})
    for number in range(1, 4):
        put(head, NOW + number, {UP: 1})
    put(head, NOW + 4, {UP: 1, LOAD: 2})
    (load,) = store.select(name("load"), NOW, FOREVER)
    assert load.times.tolist() == [NOW, NOW + 1, NOW + 4]
    assert is_stale(load.values).tolist() == [False, True, False]
    head.close(NOW + 5)
    head.close(NOW + 6)
    for data in store.select([], NOW, FOREVER):
        assert data.times[-1] == NOW + 5
        assert is_stale(data.values)[-1]
    store.close()


def test_a_marker_comes_also_after_a_restart(path: Path) -> None:
    store = Store.open(path, StoreOptions(), NOW)
    put(store.source("pi"), NOW, {UP: 1, LOAD: 1})
    store.close()
    store = Store.open(path, StoreOptions(), NOW + 10_000)
    head = store.source("pi")
    assert not put(head, NOW, {UP: 1})  # the last time is remembered too
    put(head, NOW + 10_000, {UP: 1})
    (load,) = store.select(name("load"), NOW, FOREVER)
    assert load.times.tolist() == [NOW, NOW + 10_000]
    assert is_stale(load.values).tolist() == [False, True]
    store.close()


def test_columns_are_the_same_again_after_a_restart(path: Path) -> None:
    store = Store.open(path, StoreOptions(), NOW)
    head = store.source("pi")
    put(head, NOW, {UP: 1, LOAD: 1, TEMPERATURE: 1})
    columns = [head.column(labels) for labels in (UP, LOAD, TEMPERATURE)]
    assert store.source("pi") is head
    store.close()
    store = Store.open(path, StoreOptions(), NOW)
    assert [store.source("pi").column(labels) for labels in (UP, LOAD, TEMPERATURE)] == columns == [0, 1, 2]
    store.close()


def test_times_that_do_not_ascend_are_refused(path: Path) -> None:
    store = Store.open(path, StoreOptions(), NOW)
    head = store.source("pi")
    assert put(head, NOW, {UP: 1})
    assert not put(head, NOW, {UP: 2})
    assert not put(head, NOW - 1, {UP: 2})
    assert not put(head, NOW - MINUTE_MS, {UP: 2})
    assert store.stats().frames_refused == 3
    assert put(head, NOW + 2 * HOUR_MS, {UP: 3})
    (up,) = store.select(name("up"), 0, FOREVER)
    assert up.values.tolist() == [1, 3]
    with pytest.raises(ValueError, match="a row of 1 float64"):
        head.append(FOREVER, np.zeros(2))
    store.close()


def test_two_sources_with_the_same_series_make_one(path: Path) -> None:
    store = Store.open(path, StoreOptions(), NOW)
    first, second = store.source("a"), store.source("b")
    put(first, NOW, {UP: 1})
    put(second, NOW, {UP: 10})
    put(second, NOW + 1, {UP: 11})
    first.close(NOW + 1)
    put(second, NOW + 2, {UP: 12})
    (up,) = store.select(name("up"), 0, FOREVER)
    assert up.times.tolist() == [NOW, NOW + 1, NOW + 2]
    assert up.values.tolist() == [1, 11, 12]
    assert store.series([], 0, FOREVER) == [UP]
    store.close()


def test_a_day_in_blocks_reads_as_it_was_written(path: Path) -> None:
    store = Store.open(path, StoreOptions(), NOW)
    last = fill(store, frames=3000, step_ms=10_000, flush_each=6)
    for _ in range(10):
        assert store.flush(last)
    stats = store.stats()
    blocks = store._sources[1].blocks
    assert [block.level for block in blocks].count(1) >= 3
    assert len(blocks) <= 4 + 9
    assert stats.head_rows < 200
    assert stats.samples_appended == 9000
    for _ in range(2):
        found = store.select([], 0, FOREVER)
        assert [len(data.times) for data in found] == [3000] * 3
        assert found[0].values.tolist() == [number % 7 / 100 for number in range(3000)]
        part = store.select(name("temperature"), NOW + 1_005_000, NOW + 9_995_000)[0]
        assert part.times.tolist() == list(range(NOW + 1_010_000, NOW + 9_990_001, 10_000))
        store.close()
        store = Store.open(path, StoreOptions(), last)
    store.close()


def test_a_dead_series_leaves_the_lists(path: Path) -> None:
    store = Store.open(path, StoreOptions(), NOW)
    dead = store.source("dead")
    gone = Labels.of({"__name__": "up", "instance": "gone"})
    for number in range(100):
        put(dead, NOW + number * 10_000, {gone: 1})
    dead.close(NOW + 1_000_000)
    last = fill(store, frames=2000, step_ms=10_000, flush_each=6)
    day = (0, FOREVER)
    assert store.series([], *day) == sorted([UP, gone, LOAD, TEMPERATURE])
    assert store.series([name("up")], *day) == sorted([UP, gone])
    assert store.series([name("up"), name("load")], last - HOUR_MS, last) == sorted([UP, LOAD])
    assert store.label_values("instance", [], *day) == ["gone", "pi"]
    assert store.label_values("instance", [], last - HOUR_MS, last) == ["pi"]
    assert store.label_values("__name__", [], last - HOUR_MS, last) == ["load", "temperature", "up"]
    assert store.label_names([name("temperature")], *day) == ["__name__", "instance", "sensor"]
    assert store.series([], NOW - 2, NOW - 1) == []
    assert store._sources[dead.source].head.count == 0  # nothing of it stays in memory
    store.close()


def test_old_data_goes_and_its_series_with_it(path: Path) -> None:
    options = StoreOptions(retention_ms=4 * HOUR_MS)
    store = Store.open(path, options, NOW)
    old = Labels.of({"__name__": "old"})
    head = store.source("pi")
    put(head, NOW - 1, {old: 1})
    last = fill(store, frames=6000, step_ms=10_000, flush_each=6)
    for _ in range(20):
        store.flush(last)
    oldest = store.stats().oldest_ms
    assert oldest is not None
    assert last - 7 * HOUR_MS < oldest <= last - 4 * HOUR_MS
    assert store.select([], 0, oldest - 1) == []
    store.close()
    store = Store.open(path, options, last)  # a column lives as long as its writer; at a restart it goes
    fill(store, frames=2500, step_ms=10_000, flush_each=6, start_ms=last + 10_000)
    assert old not in store.series([], 0, FOREVER)
    assert store.stats().series == 3
    store.close()


def test_size_is_bounded(path: Path) -> None:
    options = StoreOptions(max_bytes=600_000)
    store = Store.open(path, options, NOW)
    head = store.source("pi")
    generator = np.random.default_rng(3)
    series = [Labels.of({"__name__": f"m{number}"}) for number in range(40)]
    for labels in series:
        head.column(labels)
    for number in range(3000):
        head.append(NOW + number * 10_000, generator.random(40))
        if number % 6 == 5:
            store.flush(NOW + number * 10_000)
    stats = store.stats()
    assert stats.oldest_ms is not None
    assert stats.oldest_ms > NOW + HOUR_MS
    assert store._disk.used_bytes() < 700_000
    (last,) = store.select(name("m39"), NOW + 2_999 * 10_000, FOREVER)
    assert len(last.times) == 1
    store.close()


def test_a_disk_that_refuses_costs_nothing_until_memory_is_full(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = StoreOptions(max_head_rows=100)
    store = Store.open(path, options, NOW)
    head = store.source("pi")
    put(head, NOW, {UP: 0})
    assert store.flush(NOW)
    store._disk._database.pragma("max_page_count=1")  # as full as can be
    generator = np.random.default_rng(4)
    noise = [Labels.of({"__name__": f"m{number}"}) for number in range(100)]
    for number in range(1, 61):
        time_ms = NOW + number * 5000
        put(head, time_ms, {UP: number, **dict(zip(noise, generator.random(100).tolist(), strict=True))})
        store.flush(time_ms)
    assert store.stats().flush_failures > 30
    assert "stay in memory" in caplog.text
    assert len(store.select(name("up"), 0, FOREVER)[0].times) == 61
    store._disk._database.pragma("max_page_count=100000")
    assert store.flush(NOW + 400_000)
    assert "writing again" in caplog.text
    for number in range(61, 261):
        put(head, NOW + number * 5000, {UP: number})
    assert store.stats().frames_dropped > 100
    assert store.stats().head_rows <= 100
    store.close()
    store = Store.open(path, options, NOW + 2_000_000)
    (up,) = store.select(name("up"), 0, FOREVER)
    values = up.values.tolist()
    assert values == sorted(set(values))
    assert values[-1] == 260.0
    store.close()


def test_too_much_is_refused_in_words(path: Path) -> None:
    store = Store.open(path, StoreOptions(max_series=3, max_select_samples=10), NOW)
    head = store.source("pi")
    for number in range(4):
        put(head, NOW + number, {UP: 1, LOAD: 1, TEMPERATURE: 1})
    with pytest.raises(StorageError, match="would read 12 samples, at most 10"):
        store.select([], 0, FOREVER)
    with pytest.raises(StorageError, match=r"more than 3 series.*other"):
        head.column(Labels.of({"__name__": "other"}))
    assert head.width == 3
    store.close()


def test_opening_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"nowhere/samples\.db"):
        Store.open(tmp_path / "nowhere" / "samples.db", StoreOptions(), NOW)


def test_markers_and_odd_values_survive_everything(path: Path) -> None:
    store, model = Store.open(path, StoreOptions(), NOW), Model()
    head = store.source("pi")
    odd = [STALE, float("inf"), float("-inf"), float("nan"), -0.0, 5e-324, 2.0**63, 0.1, 1e22]
    for number in range(400):
        frame = {UP: odd[number % len(odd)], LOAD: float(number)} if number % 50 else {UP: 1.0}
        store.flush(NOW + number * 10_000)
        assert put(head, NOW + number * 10_000, frame)
        model.append("pi", NOW + number * 10_000, frame)
    for step in range(12):
        store.flush(NOW + 4_000_000 + step * HOUR_MS)
    assert store.stats().head_rows == 0
    found, wanted = answer(store.select([], 0, FOREVER)), model.select([], 0, FOREVER)
    assert list(found) == list(wanted)
    for labels, samples in wanted.items():
        assert found[labels] == samples
    store.close()


def test_an_old_writer_may_go_on_after_close(path: Path) -> None:
    store = Store.open(path, StoreOptions(), NOW)
    head = store.source("pi")
    put(head, NOW, {UP: 1})
    head.close(NOW + 1)
    store.flush(NOW + MINUTE_MS)
    put(store.source("pi"), NOW + MINUTE_MS, {UP: 2})
    (up,) = store.select(name("up"), 0, FOREVER)
    assert is_stale(up.values).tolist() == [False, True, False]
    store.close()


def test_nothing_is_left_open(path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    store = Store.open(path, StoreOptions(), NOW)
    fill(store, frames=10)
    store.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
