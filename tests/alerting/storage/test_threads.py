"""One thread appends, one flushes, seals and merges, some ask: nobody sees a hole, a double or a torn row."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import cast

import numpy as np

from alerting.model.labels import Labels
from alerting.model.matcher import Matcher
from alerting.storage.disk import Block
from alerting.storage.store import Store, StoreOptions

START = 1_700_000_000_000
STEP_MS, FRAMES, WIDTH = 5000, 3000, 20
OPTIONS = StoreOptions(
    seal_after_ms=200_000, keep_ms=60_000, block_ms=1_000_000, long_block_ms=4_000_000, cache_bytes=100_000
)


def test_all_at_once(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "samples.db", OPTIONS, START)
    heads = [store.source(name) for name in "ab"]
    done, written, errors = threading.Event(), [START], list[BaseException]()

    def append() -> None:
        for number in range(1, FRAMES + 1):
            now = START + number * STEP_MS
            for source, head in zip("ab", heads, strict=True):
                if number % 100 == 1 and head.width < WIDTH:
                    for column in range(head.width, head.width + 5):
                        head.column(Labels.of({"__name__": f"m{column % 3}", "source": source, "n": str(column)}))
                assert head.append(now, np.full(head.width, float(number)))
            written[0] = now
            time.sleep(0.0005)

    def flush() -> None:
        while not done.is_set():
            assert store.flush(written[0])
            time.sleep(0.001)

    def ask() -> None:
        while not done.is_set():
            until = written[0]
            for data in store.select([Matcher("__name__", "=", "m1")], START, until):
                numbers = ((data.times - START) // STEP_MS).tolist()
                assert data.values.tolist() == numbers
                assert numbers == list(range(numbers[0], (until - START) // STEP_MS + 1))
            assert len(store.series([], START, until)) <= 2 * WIDTH

    def guarded(work: object) -> None:
        try:
            assert callable(work)
            work()
        except BaseException as error:
            errors.append(error)
        finally:
            if work is append:
                done.set()

    threads = [threading.Thread(target=guarded, args=(work,)) for work in (append, flush, ask, ask)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors
    for _ in range(300):  # what a busy machine has not come to
        assert store.flush(written[0])
    levels = [block.level for source in store._sources.values() for block in source.blocks]
    assert 1 in levels
    assert 2 in levels
    assert len(store.select([], START, written[0])) == 2 * WIDTH
    store.close()


class Patient(Matcher):
    """Takes until it is let go for its answer."""

    begun, go = threading.Event(), threading.Event()

    def matches(self, value: str) -> bool:
        self.begun.set()
        assert self.go.wait(60)
        return Matcher.matches(self, value)


def test_who_makes_a_series_does_not_wait_for_an_expression_that_takes_its_time(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "samples.db", OPTIONS, START)
    slow, quick = Patient("__name__", "=~", "m.*"), Matcher("__name__", "=~", "m.*")
    head = store.source("a")
    head.column(Labels.of({"__name__": "m1"}))
    head.append(START, np.ones(1))
    with ThreadPoolExecutor(2) as threads:
        try:
            asked = threads.submit(store.select, [slow], START, START)
            assert slow.begun.wait(60)
            assert threads.submit(head.column, Labels.of({"__name__": "m2"})).result(20) == 1
        finally:
            slow.go.set()
        assert [data.labels.metric_name for data in asked.result()] == ["m1"]
    head.append(START + 1, np.ones(2))
    for matcher in (slow, quick):
        assert [data.labels.metric_name for data in store.select([matcher], START, START + 1)] == ["m1", "m2"]
    store.close()


class Late:
    """A block; whoever looks at its end waits."""

    def __init__(self, block: Block, looked: threading.Event, go: threading.Event) -> None:
        self._block, self._looked, self._go = block, looked, go

    def __getattr__(self, name: str) -> object:
        if name == "end_ms":
            self._looked.set()
            assert self._go.wait(60)
        return getattr(self._block, name)


def test_a_question_about_now_sees_all_of_a_change_of_blocks(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "samples.db", OPTIONS, START)
    head = store.source("a")
    head.column(Labels.of({"__name__": "m"}))
    now = START
    for _ in range(200):
        now += STEP_MS
        assert head.append(now, np.ones(1))
        assert store.flush(now)
    (source,) = store._sources.values()
    blocks = source.blocks * 4  # what is seen of half a change shows from three on
    head.column(Labels.of({"__name__": "m", "new": "yes"}))  # without a sample yet: perhaps it has one on disk
    matchers = (Matcher("__name__", "=", "m"),)
    assert store.latest(matchers, now, now - START) is None, "the lookback reaches into blocks"
    looked, go = threading.Event(), threading.Event()

    def change() -> None:
        with head.lock:
            source.set_blocks(blocks[:-1])
            source.set_blocks([*blocks[:-1], cast(Block, Late(blocks[-1], looked, go))])

    with ThreadPoolExecutor(2) as threads:
        changing = threads.submit(change)
        assert looked.wait(60)
        asked = threads.submit(store.latest, matchers, now, now - START)
        wait([asked], timeout=0.2)  # it cannot know yet
        go.set()
        changing.result()
        assert asked.result() is None
    store.close()


def test_rows_that_had_to_make_room_before_they_were_sealed_are_not_sealed(tmp_path: Path) -> None:
    options = StoreOptions(max_head_rows=64, step_back_ms=1000)
    store = Store.open(tmp_path / "samples.db", options, START)
    head = store.source("a")
    head.column(Labels.of({"__name__": "m"}))
    for number in range(4):
        assert head.append(START + number, np.ones(1))
    assert head.append(START - 3_600_000, np.ones(1))  # the clock was set back: those before are due
    upkeep, (source,) = store._upkeep, store._sources.values()
    upkeep._write_tail()
    end = upkeep._due(source, START)
    assert end == 4
    for number in range(1, 61):
        assert head.append(START - 3_600_000 + number, np.ones(1))
    assert head.first > end
    upkeep._seal(source, end)
    assert source.blocks == ()
    assert len(store.select([Matcher("__name__", "=", "m")], 0, START)[0].times) == head.count
    store.close()
