"""A program that writes to a store until it is killed, and says on standard output what is durable.

    python -m tests.acceptance.store_writer FILE FIRST_TIME_MS

A frame each 5 s of simulated time from three sources, flushed each second frame; after a flush, its time is printed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from alerting.model.labels import Labels
from alerting.storage.store import Store, StoreOptions

STEP_MS = 5000
WIDTH = 40
SOURCES = ("a", "b", "c")
# Short spans, so that sealing, merging and dropping are under way at any moment.
OPTIONS = StoreOptions(seal_after_ms=120_000, keep_ms=40_000, block_ms=600_000, long_block_ms=1_800_000, key_every=4)


def value_at(time_ms: int, column: int) -> float:
    return float(time_ms // STEP_MS % 100_003 * (column + 1))


def main() -> int:
    path, time_ms = Path(sys.argv[1]), int(sys.argv[2])
    store = Store.open(path, OPTIONS, time_ms)
    heads = [store.source(name) for name in SOURCES]
    for name, head in zip(SOURCES, heads, strict=True):
        for column in range(WIDTH):
            head.column(Labels.of({"__name__": f"m{column % 7}", "source": name, "column": str(column)}))
    number = 0
    while True:
        number += 1
        time_ms += STEP_MS
        row = np.array([value_at(time_ms, column) for column in range(WIDTH)])
        for head in heads:
            head.append(time_ms, row)
        if number % 2 == 0 and store.flush(time_ms):
            print(time_ms, flush=True)


if __name__ == "__main__":
    sys.exit(main())
