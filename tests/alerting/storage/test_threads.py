"""One thread appends, one flushes, seals and merges, some ask: nobody sees a hole, a double or a torn row."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np

from alerting.model.labels import Labels
from alerting.model.matcher import Matcher
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
