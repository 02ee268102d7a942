"""Blocks of hours become blocks of half a day, a piece each flush, and nothing of it is ever seen."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from alerting.model.labels import Labels
from alerting.model.series import ABSENT
from alerting.storage import blocks, merging
from alerting.storage.codec import encode
from alerting.storage.disk import Block, NewBlock
from alerting.storage.options import HOUR_MS, MINUTE_MS
from alerting.storage.ports import StorageError
from alerting.storage.store import Store, StoreOptions
from tests.alerting.storage.model import Answer, Model, answer

STEP_MS = 2 * MINUTE_MS
START = 1_700_000_000_000 // (12 * HOUR_MS) * (12 * HOUR_MS)
OPTIONS = StoreOptions()
FOREVER = 1 << 60
SERIES = [Labels.of({"__name__": f"m{n % 5}", "n": str(n)}) for n in range(20)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "samples.db"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A metric name a bundle, and one a flush: merges take many."""
    monkeypatch.setattr(blocks, "BUNDLE_CELLS", 1500)
    monkeypatch.setattr(merging, "CELLS_AT_ONCE", 1500)


class Recorder:
    """A store and what it ought to answer; series come and go."""

    def __init__(self, path: Path, options: StoreOptions = OPTIONS, now_ms: int = START) -> None:
        self.store = Store.open(path, options, now_ms)
        self.model = Model()
        self.now_ms = now_ms
        self._options = options
        self._random = np.random.default_rng(3)

    def record(self, hours: float, *, sources: str = "ab", flush: bool = True) -> None:
        for number in range(round(hours * HOUR_MS / STEP_MS)):
            for source in sources:
                alive = SERIES[: 10 + number // 30 % 10] if source == "a" else SERIES[5:9]
                frame = {one: float(self._random.integers(0, 100)) / (3 if one is SERIES[3] else 4) for one in alive}
                head = self.store.source(source)
                columns = {head.column(one): value for one, value in frame.items()}
                row = np.full(head.width, ABSENT)
                row[list(columns)] = list(columns.values())
                assert head.append(self.now_ms, row)
                self.model.append(source, self.now_ms, frame)
            if flush and number % 10 == 9:
                assert self.store.flush(self.now_ms)
            self.now_ms += STEP_MS

    def settle(self) -> None:
        """All that is due is merged, and what it replaced is gone."""
        for _ in range(100):
            assert self.store.flush(self.now_ms)

    def expected(self) -> Answer:
        return self.model.select([], 0, FOREVER)

    def found(self) -> Answer:
        return answer(self.store.select([], 0, FOREVER))

    def blocks(self, source: str = "a") -> tuple[Block, ...]:
        return self.store._by_name[source].blocks

    def levels(self, source: str = "a") -> list[int]:
        return [block.level for block in self.blocks(source)]

    def reopen(self) -> None:
        path = self.store._disk.path
        self.store.close()
        self.store = Store.open(path, self._options, self.now_ms)


def test_half_a_day_becomes_one_block_and_reads_as_it_was_written(path: Path) -> None:
    recorder = Recorder(path)
    recorder.record(29)
    recorder.settle()
    levels = recorder.levels()
    assert levels[:4] == [2, 2, 1, 1]
    assert {*levels[4:]} == {0}
    assert recorder.found() == recorder.expected()
    for low, high in ((0, 1), (3, 7), (11, 13), (23, 29)):
        window = (START + low * HOUR_MS, START + high * HOUR_MS - 1)
        assert answer(recorder.store.select([], *window)) == recorder.model.select([], *window)
        listed = set(recorder.store.series([], *window))
        assert listed >= set(recorder.model.select([], *window))
    recorder.reopen()
    assert recorder.levels() == levels
    assert recorder.found() == recorder.expected()
    on_disk = recorder.store._disk._database.rows("SELECT count(*), sum(level < 0) FROM blocks")
    assert on_disk == [(len(levels) + len(recorder.blocks("b")), 0)]
    recorder.store.close()


def test_each_sample_is_written_three_times_at_most(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(path)
    written: dict[tuple[int, int], list[tuple[int, int]]] = {}
    write = recorder.store._disk.write_merged

    def watched(new: NewBlock, replaces: Sequence[Block]) -> None:
        block = new.block
        written.setdefault((block.source, block.level), []).append((block.start_ms, block.end_ms))
        assert block.count == sum(one.count for one in replaces)
        assert all(one.level < block.level for one in replaces)
        write(new, replaces)

    monkeypatch.setattr(recorder.store._disk, "write_merged", watched)
    recorder.record(26)
    recorder.settle()
    assert set(written) == {(source, level) for source in (1, 2) for level in (1, 2)}
    for spans in written.values():
        assert all(one[1] < other[0] for one, other in pairwise(sorted(spans)))
        assert sum(high - low for low, high in spans) > 23 * HOUR_MS
    recorder.store.close()


@pytest.mark.usefixtures("small")
def test_a_merge_takes_many_flushes_and_changes_nothing_until_its_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(path, StoreOptions(long_block_ms=0))
    recorder.record(13)
    recorder.settle()
    assert 2 not in recorder.levels()
    recorder.store.close()
    recorder.store = Store.open(path, OPTIONS, recorder.now_ms)
    read: list[int] = []
    assemble = recorder.store._chunks.assemble

    def watched(blocks: object, ids: object, *rest: object, **more: object) -> object:
        found = assemble(blocks, ids, *rest, **more)  # type: ignore[arg-type]
        read.append(found[1].size)
        return found

    monkeypatch.setattr(recorder.store._chunks, "assemble", watched)
    flushes = 0
    while 2 not in recorder.levels():
        flushes += 1
        assert flushes < 100
        assert not (set(recorder.levels()) & {2})
        assert recorder.store.flush(recorder.now_ms)
    assert flushes > 3
    assert max(read) <= 1500, "a metric's columns, whole"
    assert recorder.found() == recorder.expected()
    recorder.store.close()


@pytest.mark.usefixtures("small")
def test_a_merge_that_is_cut_off_is_done_again(path: Path) -> None:
    recorder = Recorder(path)
    recorder.record(12)
    for _ in range(12):
        recorder.now_ms += HOUR_MS // 20
        recorder.reopen()
        for _ in range(2):
            assert recorder.store.flush(recorder.now_ms)
        assert recorder.found() == recorder.expected()
    recorder.settle()
    assert recorder.levels() == [2]
    assert recorder.found() == recorder.expected()
    recorder.store.close()


def test_what_the_disk_refuses_is_written_when_there_is_room(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(path)
    recorder.record(12)
    recorder.now_ms += HOUR_MS
    encoded = Counter[str]()
    monkeypatch.setattr(merging, "encode", lambda *all_: (encoded.update("e"), encode(*all_))[1])

    def full(*_: object) -> None:
        raise StorageError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(recorder.store._disk, "write_merged", full)
        for _ in range(20):
            recorder.store.flush(recorder.now_ms)
        assert recorder.store.stats().flush_failures > 3
        assert recorder.found() == recorder.expected()
        before = encoded.total()
        assert not recorder.store.flush(recorder.now_ms)
        assert encoded.total() == before, "what is made already is kept"
    recorder.settle()
    assert recorder.levels() == [2]
    assert recorder.found() == recorder.expected()
    recorder.store.close()


@pytest.mark.usefixtures("small")
def test_blocks_dropped_meanwhile_are_not_merged(path: Path) -> None:
    recorder = Recorder(path)
    recorder.record(12)
    recorder.now_ms += HOUR_MS
    merger = recorder.store._upkeep._merger
    for _ in range(100):
        assert recorder.store.flush(recorder.now_ms)
        if merger._merge is not None and merger._merge.level == 2:
            break
    source = recorder.store._by_name[merger._merge.source.name]  # type: ignore[union-attr]
    with source.head.lock:
        source.set_blocks(source.blocks[1:])
    left = recorder.found()
    recorder.settle()
    assert recorder.levels(source.name) == [2]
    assert recorder.found() == left
    recorder.store.close()


def test_a_damaged_block_stays_and_its_neighbours_are_merged(path: Path) -> None:
    recorder = Recorder(path, StoreOptions(long_block_ms=0))
    recorder.record(13)
    recorder.settle()
    damaged = recorder.blocks()[2]
    assert damaged.level == 1
    recorder.store.close()
    connection = sqlite3.connect(path)
    with connection:
        key = f"SELECT min(key) FROM chunks WHERE key >> 16 = {damaged.id}"  # noqa: S608
        assert connection.execute(f"UPDATE chunks SET data = x'00' WHERE key = ({key})").rowcount == 1  # noqa: S608
    connection.close()
    recorder.store = Store.open(path, OPTIONS, recorder.now_ms)
    before = recorder.found()
    assert before != recorder.expected()
    recorder.settle()
    assert [block.level for block in recorder.blocks() if block.start_ms < START + 12 * HOUR_MS] == [2, 1, 2]
    assert recorder.store.stats().chunks_lost == 1
    assert recorder.found() == before
    recorder.store.close()


def test_hours_that_came_twice_stay_apart(path: Path) -> None:
    recorder = Recorder(path)
    recorder.record(7)
    recorder.now_ms -= 2 * HOUR_MS
    before = recorder.store
    again = recorder.now_ms
    row = np.full(before.source("b").width, 7.0)
    for number in range(60):
        assert before.source("b").append(again + number * STEP_MS, row)
        assert before.flush(again + number * STEP_MS)
    recorder.now_ms = START + 7 * HOUR_MS
    recorder.record(7)
    wanted = recorder.found()
    assert wanted[SERIES[5]]
    recorder.settle()
    assert recorder.found() == wanted
    early = [block for block in recorder.blocks("b") if block.end_ms < again]
    assert [block.level for block in early] == [2]
    assert 2 not in {
        block.level
        for block in recorder.blocks("b")
        if block.start_ms <= again + HOUR_MS and block.end_ms >= again and block.count > 60
    }
    assert [block.level for block in recorder.blocks("a") if block.start_ms < START + 12 * HOUR_MS] == [2]
    recorder.store.close()


@pytest.mark.parametrize(
    ("retention_ms", "longest_ms"),
    [(30 * 24 * HOUR_MS, 12 * HOUR_MS), (4 * 24 * HOUR_MS, 8 * HOUR_MS), (24 * HOUR_MS, 2 * HOUR_MS)],
)
def test_a_block_is_short_against_the_time_that_is_kept(path: Path, retention_ms: int, longest_ms: int) -> None:
    recorder = Recorder(path, StoreOptions(retention_ms=retention_ms))
    recorder.record(13)
    recorder.settle()
    longest = max(block.end_ms - block.start_ms for block in recorder.blocks())
    assert longest_ms - HOUR_MS < longest < longest_ms + HOUR_MS
    assert recorder.found() == recorder.expected()
    recorder.store.close()
