"""Reading ahead after a start: what it spares, and that it changes nothing else."""

from __future__ import annotations

import sqlite3
from math import inf
from pathlib import Path

import pytest

from alerting.storage.disk import chunk_key
from alerting.storage.options import HOUR_MS
from alerting.storage.store import Store, StoreOptions
from tests.alerting.storage.test_store import FOREVER, NOW, fill, name

FRAMES = 750  # an hour: some blocks
SMALL = 4000  # bytes of cache: a bundle and its times


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "samples.db"
    store = Store.open(path, StoreOptions(), NOW)
    fill(store, frames=FRAMES, flush_each=25)
    store.close()
    return path


def reopened(path: Path, cache_bytes: int = 1 << 20) -> Store:
    return Store.open(path, StoreOptions(cache_bytes=cache_bytes), NOW + 3 * HOUR_MS)


def answer(store: Store) -> list[tuple[object, list[int], list[float]]]:
    found = store.select([], 0, FOREVER)
    return [(data.labels, data.times.tolist(), data.values.tolist()) for data in found]


def kept(store: Store) -> int:
    return store._chunks._size


def test_what_was_read_ahead_is_not_read_again(path: Path) -> None:
    store = reopened(path)
    plain = answer(store)
    assert len(plain[0][1]) == FRAMES
    store.close()
    store = reopened(path)
    before = store.stats().cache_misses
    store.read_ahead(NOW, inf)
    assert answer(store) == plain
    assert store.stats().cache_misses == before
    store.close()


def test_nothing_goes_for_what_nobody_asked_for(path: Path) -> None:
    store = reopened(path, SMALL)
    up = store.select(name("up"), 0, FOREVER)
    assert up
    asked = list(store._chunks._kept)
    assert asked
    store.read_ahead(NOW, inf)
    assert kept(store) <= SMALL
    assert set(asked) <= set(store._chunks._kept)
    assert list(store._chunks._kept)[-len(asked) :] == asked, "what was asked for is the last to go"
    store.close()


def test_the_oldest_is_left_out_where_there_is_no_room(path: Path) -> None:
    store = reopened(path)
    oldest, *others = sorted(
        (block for source in store._sources.values() for block in source.blocks), key=lambda block: block.end_ms
    )
    assert others
    store.read_ahead(NOW + 3 * HOUR_MS, inf)
    whole = kept(store)
    assert chunk_key(oldest, 0) in store._chunks._kept
    store.close()
    store = reopened(path, whole - 1)
    store._chunks.forget_all()
    store.read_ahead(NOW + 3 * HOUR_MS, inf)
    assert kept(store) < whole
    assert chunk_key(oldest, 0) not in store._chunks._kept
    assert all(chunk_key(block, 0) in store._chunks._kept for block in others)
    store.close()


def test_a_deadline_that_has_passed_unpacks_nothing(path: Path) -> None:
    store = reopened(path)
    store._chunks.forget_all()
    store.read_ahead(NOW, -inf)
    assert kept(store) == 0
    store.close()


@pytest.mark.parametrize(
    "what", ["UPDATE chunks SET data = x'00'", "UPDATE blocks SET times = x'00'", "DELETE FROM chunks"]
)
def test_damage_is_told_when_somebody_asks(path: Path, what: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(what)
    connection.close()
    store = reopened(path)
    before = store.stats().chunks_lost
    store.read_ahead(NOW, inf)
    assert store.stats().chunks_lost == before
    ahead = answer(store)
    lost = store.stats().chunks_lost
    assert lost > before or before > 0
    store.close()
    store = reopened(path)
    assert answer(store) == ahead
    assert store.stats().chunks_lost == lost
    store.close()


def test_a_store_that_was_closed_meanwhile_ends_it(path: Path) -> None:
    store = reopened(path)
    store._chunks.forget_all()
    store.close()
    store.read_ahead(NOW, inf)
    assert kept(store) == 0
