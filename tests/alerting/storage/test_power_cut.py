"""The files as a power cut may leave them, hundreds of times over.

A program writes; before and after each transaction and each checkpoint the files' bytes are kept. What a cut in the
middle of one leaves is then made from the two: any mixture of old and new sectors, in any order, of any length. As long
as the disk keeps what it was told to sync, nothing that a flush acknowledged may be missing. Cards that lie about that
are simulated too (lost or torn pages, files cut short, a log from another moment): then the store must start, say what
it lost, and keep the rest.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alerting.model.labels import Labels
from alerting.storage import disk as disk_module
from alerting.storage.store import Store, StoreOptions

START = 1_700_000_000_000
STEP_MS = 5000
SOURCES, WIDTH = ("a", "b", "c"), 12
FLUSHES = 110
SECTOR = 512  # what a disk writes whole, at the least
PAGE = disk_module.PAGE
OPTIONS = StoreOptions(seal_after_ms=100_000, keep_ms=30_000, block_ms=200_000, long_block_ms=600_000, key_every=4)
FOREVER = 1 << 60


@dataclass(frozen=True)
class Files:
    """Bytes of the database and of its log."""

    main: bytes
    log: bytes

    @classmethod
    def of(cls, path: Path) -> Files:
        log = path.with_name(path.name + "-wal")
        return cls(path.read_bytes(), log.read_bytes() if log.exists() else b"")

    def put(self, path: Path) -> None:
        path.write_bytes(self.main)
        if self.log:
            path.with_name(path.name + "-wal").write_bytes(self.log)


@dataclass(frozen=True)
class Moment:
    """One transaction or checkpoint. ``acknowledged``: the last frame a flush before it has made durable."""

    kind: str
    before: Files
    after: Files
    acknowledged: int


def value_at(number: int, source: str, column: int) -> float:
    return float((number * (column + 1) + SOURCES.index(source)) % 1009) / (1 if column % 3 else 7)


def frame(number: int, source: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([value_at(number, source, column) for column in range(WIDTH)])


def labels_of(source: str, column: int) -> Labels:
    return Labels.of({"__name__": f"m{column % 4}", "source": source, "column": str(column)})


def record(path: Path, first: int, flushes: int) -> list[Moment]:
    """Two frames a flush, from number ``first`` on."""
    store = Store.open(path, OPTIONS, START + first * STEP_MS)
    database = store._disk._database
    moments: list[Moment] = []
    acknowledged = first - 1
    transaction, checkpoint = database.transaction, database.checkpoint

    @contextmanager
    def watched() -> Iterator[Any]:
        before = Files.of(path)
        with transaction() as connection:
            yield connection
        moments.append(Moment("transaction", before, Files.of(path), acknowledged))

    def watched_checkpoint() -> tuple[int, int]:
        before = Files.of(path)
        found = checkpoint()
        moments.append(Moment("checkpoint", before, Files.of(path), acknowledged))
        return found

    database.transaction, database.checkpoint = watched, watched_checkpoint  # type: ignore[method-assign]
    heads = {source: store.source(source) for source in SOURCES}
    for source, head in heads.items():
        for column in range(WIDTH):
            head.column(labels_of(source, column))
    for flush in range(flushes):
        for number in (first + 2 * flush, first + 2 * flush + 1):
            for source, head in heads.items():
                assert head.append(START + number * STEP_MS, frame(number, source))
        assert store.flush(START + (first + 2 * flush + 1) * STEP_MS)
        acknowledged = first + 2 * flush + 1
    assert {block.level for source in store._sources.values() for block in source.blocks} >= {1, 2}
    store.close()
    return moments


@pytest.fixture(scope="module")
def moments(tmp_path_factory: pytest.TempPathFactory) -> list[Moment]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk_module, "LOG_BYTES", 300_000)  # a checkpoint every now and then
        found = record(tmp_path_factory.mktemp("written") / "samples.db", 0, FLUSHES)
    assert {moment.kind for moment in found} == {"transaction", "checkpoint"}
    assert any(len(moment.before.log) > len(moment.after.log) or moment.before.log[:32] != moment.after.log[:32]
               for moment in found if moment.before.log), "the log never began anew"  # fmt: skip
    return found


def mixed(old: bytes, new: bytes, unit: int, chance: random.Random) -> bytes:
    """Each sector as it was or as it was to be; the file as long as before, as after, or something in between."""
    share = chance.choice([0.1, 0.5, 0.9])
    size = chance.choice([len(old), len(new), chance.randint(min(len(old), len(new)), max(len(old), len(new)))])
    longer = max(old, new, key=len)
    parts = []
    for at in range(0, len(longer), unit):
        one, other = old[at : at + unit], new[at : at + unit]
        part = other if chance.random() < share else one
        parts.append(part.ljust(min(unit, len(longer) - at), b"\0"))  # a hole reads as zeros
    return b"".join(parts)[: max(size, len(old))]


def content(store: Store) -> dict[str, set[int]]:
    """The frames of each source that are there for every column; any sample that is there must be right."""
    found: dict[str, list[set[int]]] = {source: [] for source in SOURCES}
    for data in store.select([], 0, FOREVER):
        source, column = data.labels.get("source"), data.labels.get("column")
        if not column.isdecimal() or source not in SOURCES:
            continue
        numbers = ((data.times - START) // STEP_MS).tolist()
        assert data.values.tolist() == [value_at(number, source, int(column)) for number in numbers]
        found[source].append(set(numbers))
    return {source: set.intersection(*sets) if len(sets) == WIDTH else set() for source, sets in found.items()}


def goes_on(path: Path, number: int) -> None:
    """The store takes samples and still has them when it is opened again."""
    now_ms = START + number * STEP_MS
    store = Store.open(path, OPTIONS, now_ms)
    for source in SOURCES:
        head = store.source(source)
        row = np.zeros(max(head.width, 1))
        head.column(labels_of(source, 0))
        row = np.full(head.width, 1.0)
        assert head.append(now_ms, row)
    for _ in range(3):  # what is met only now may cost a flush or two
        if store.flush(now_ms):
            break
    else:
        raise AssertionError("cannot write")
    store.close()
    store = Store.open(path, OPTIONS, now_ms)
    assert len(store.select([], now_ms, now_ms)) >= len(SOURCES)
    store.close()


@pytest.mark.parametrize("seed", range(100))
def test_nothing_acknowledged_is_lost_when_the_power_goes(moments: list[Moment], tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    moment = chance.choice(moments if seed % 2 else [one for one in moments if one.kind == "checkpoint"])
    if moment.kind == "transaction":  # writes to the log alone, which it syncs at the end
        assert moment.before.main == moment.after.main
        left = Files(moment.before.main, mixed(moment.before.log, moment.after.log, SECTOR, chance))
    else:  # writes to the database alone, and leaves the log until that is synced
        assert moment.before.log == moment.after.log
        left = Files(mixed(moment.before.main, moment.after.main, SECTOR, chance), moment.before.log)
    path = tmp_path / "samples.db"
    left.put(path)
    if chance.random() < 0.3:  # what is no longer true of the log
        path.with_name("samples.db-shm").write_bytes(chance.randbytes(32768))
    store = Store.open(path, OPTIONS, START + moment.acknowledged * STEP_MS)
    stats = store.stats()
    assert (stats.rows_lost, stats.chunks_lost, stats.databases_moved_aside) == (0, 0, 0)
    for numbers in content(store).values():
        assert numbers >= set(range(moment.acknowledged + 1))
    assert store.stats().chunks_lost == 0
    store.close()
    goes_on(path, moment.acknowledged + 10)


def lied(moments: list[Moment], chance: random.Random) -> tuple[Files, int]:
    """What a card leaves that did not write what it said it had; and the last frame it said it had."""
    place = chance.randrange(10, len(moments))
    moment = moments[place]
    main, log = bytearray(moment.after.main), bytearray(moment.after.log)
    kind = chance.randrange(7)
    if kind == 0:  # pages never written
        for _ in range(chance.choice([1, 3, 20])):
            at = chance.randrange(0, len(main), PAGE)
            main[at : at + PAGE] = bytes(PAGE)
    elif kind == 1:  # a torn last page
        del main[len(main) - chance.randrange(1, PAGE) :]
    elif kind == 2:  # cut short anywhere
        del main[chance.randrange(len(main)) :]
    elif kind == 3:
        del log[chance.randrange(len(log) + 1) :]
    elif kind == 4:  # another moment's log
        log = bytearray(moments[max(place - chance.choice([1, 5, 60]), 0)].after.log)
    elif kind == 5:  # pages of another moment
        older = moments[max(place - chance.choice([5, 60]), 0)].after.main
        for _ in range(chance.choice([1, 3, 10])):
            at = chance.randrange(0, max(len(older), PAGE), PAGE)
            main[at : at + PAGE] = older[at : at + PAGE]
    else:
        for part in (main, log):
            for _ in range(chance.choice([1, 8])):
                at = chance.randrange(0, max(len(part), SECTOR), SECTOR)
                part[at : at + SECTOR] = chance.randbytes(len(part[at : at + SECTOR]))
    return Files(bytes(main), bytes(log)), moment.acknowledged


def test_a_card_that_lies_costs_something_that_is_told_and_never_the_start(
    moments: list[Moment], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = []
    for seed in range(70):
        left, acknowledged = lied(moments, random.Random(1000 + seed))
        path = tmp_path / f"{seed}.db"
        left.put(path)
        caplog.clear()
        now_ms = START + acknowledged * STEP_MS
        store = Store.open(path, OPTIONS, now_ms)
        for _ in range(8):  # what lay in a damaged file comes over bit by bit
            store.flush(now_ms)
        frames = min(len(numbers) for numbers in content(store).values())
        kept.append(frames / (acknowledged + 1))
        stats = store.stats()
        told = stats.rows_lost + stats.chunks_lost + stats.databases_moved_aside
        assert bool(told) <= bool(caplog.records), f"seed {seed}"
        store.close()
        goes_on(path, acknowledged + 10)
    assert sum(share > 0.5 for share in kept) > 35, "most of it is kept most of the time, though the file is tiny"


def test_of_a_damaged_file_everything_readable_is_kept(
    moments: list[Moment], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A page of one table is gone: the rest of the tables comes over, at once or with the next flushes."""
    whole = moments[-1].after
    path = tmp_path / "samples.db"
    Files(whole.main, whole.log).put(path)
    now_ms = START + moments[-1].acknowledged * STEP_MS
    store = Store.open(path, OPTIONS, now_ms)
    before = content(store)
    store._disk._database.pragma("wal_checkpoint(TRUNCATE)")
    (root,) = store._disk._database.rows("SELECT rootpage FROM sqlite_master WHERE name = 'tail'")[0]
    in_blocks = {source.name: max(block.end_ms for block in source.blocks) for source in store._sources.values()}
    store.close()
    data = bytearray(path.read_bytes())
    data[(root - 1) * PAGE : root * PAGE] = bytes(PAGE)
    path.write_bytes(data)
    store = Store.open(path, OPTIONS, now_ms)
    assert store.stats().databases_moved_aside == 1
    for _ in range(20):
        assert store.flush(now_ms)
    assert "blocks saved" in caplog.text
    after = content(store)
    for source, numbers in before.items():
        assert after[source] == {number for number in numbers if START + number * STEP_MS <= in_blocks[source]}
    store.close()
    goes_on(path, moments[-1].acknowledged + 10)
