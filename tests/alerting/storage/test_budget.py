"""The store's budgets, on the benchmark's synthetic mix. The processor's is wide: other programs run beside tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from alerting.storage.store import Store, StoreOptions
from tests.bench.bench_storage import NODES, START, STEP_MS, WIDTH, ingest, synthetic

FRAMES = 1000
HOUR_MS = 3_600_000


@pytest.mark.bench
def test_bytes_and_processor_time_a_sample(tmp_path: Path) -> None:
    names, values = synthetic(FRAMES, np.random.default_rng(1))
    store = Store.open(tmp_path / "samples.db", StoreOptions(), START)
    seconds, samples, _ = ingest(store, names, values, FRAMES)
    assert samples == NODES * WIDTH * FRAMES == store.stats().samples_appended
    assert seconds / samples < 3e-6
    for step in range(1, 30):  # everything sealed, merged, and the merged ones gone
        assert store.flush(START + FRAMES * STEP_MS + step * HOUR_MS)
    stats = store.stats()
    assert stats.head_rows == 0
    assert stats.chunk_bytes / samples < 1.0
    assert store._disk.used_bytes() / samples < 1.5
    store.close()
