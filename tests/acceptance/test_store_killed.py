"""kill -9 at any moment: whatever a flush acknowledged is there afterwards."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from alerting.storage.store import Store
from tests.acceptance.store_writer import OPTIONS, STEP_MS, WIDTH, value_at

ROOT = Path(__file__).parents[2]
START = 1_700_000_000_000
KILLS = 10
MOST_KILLS = 60  # on a machine so slow that it takes this many until a long block is written


def run_and_kill(path: Path, first_ms: int, seconds: float) -> int:
    """The last time acknowledged before the kill (the first time when nothing was)."""
    command = [sys.executable, "-m", "tests.acceptance.store_writer", str(path), str(first_ms)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        line = child.stdout.readline()  # it has begun to write
        assert line, "the writer ended by itself"
        time.sleep(seconds)
        child.kill()
        lines = [line, *child.stdout.read().split("\n")]
    complete = [text for text in lines[:-1] if text.strip()]
    return int(complete[-1])


@pytest.mark.acceptance
def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "samples.db"
    generator = random.Random(9)
    first, spans, levels = START, list[tuple[int, int]](), set[int]()
    while len(spans) < KILLS or 2 not in levels:
        assert len(spans) < MOST_KILLS
        acknowledged = run_and_kill(path, first, generator.uniform(0.02, 0.5))
        spans.append((first, acknowledged))
        store = Store.open(path, OPTIONS, acknowledged)
        try:
            stats = store.stats()
            assert (stats.rows_lost, stats.chunks_lost, stats.databases_moved_aside) == (0, 0, 0)
            found = store.select([], START, acknowledged)
            assert len(found) == 3 * WIDTH
            wanted = [ms for low, high in spans for ms in range(low + STEP_MS, high + 1, STEP_MS)]
            for data in found:
                column = int(data.labels.get("column"))
                samples = dict(zip(data.times.tolist(), data.values.tolist(), strict=True))
                missing = [ms for ms in wanted if samples.get(ms) != value_at(ms, column)]
                assert not missing, f"{data.labels}: {len(missing)} of {len(wanted)} from {missing[0]} ms on"
            levels |= {block.level for source in store._sources.values() for block in source.blocks}
            last = max(head.last_ms or 0 for head in (store.source(name) for name in "abc"))
        finally:
            store.close()
        first = max(acknowledged, last)
    assert sum(high - low for low, high in spans) // STEP_MS > 200
