"""A day of the cluster for both programs, made once: a store of ours and Prometheus' blocks of its samples."""

from __future__ import annotations

import json
import time
from pathlib import Path

from alerting.storage.store import Store, StoreOptions
from tests.bench.cluster_day import STEP_MS, ClusterDay, openmetrics
from tests.bench.living_pages import stream
from tests.bench.prometheus_peer import available, import_openmetrics

HOUR_MS = 3_600_000
BLOCK_MS = 2 * HOUR_MS
START_MS = 1_700_006_400_000  # midnight: the same data, bit for bit, each time


def prepare(folder: Path, hours: float) -> tuple[int, int]:
    """``ours/metrics.db`` and, where Prometheus is, ``prometheus/data`` in the folder; (first, last) milliseconds."""
    end_ms = START_MS + round(hours * HOUR_MS / STEP_MS) * STEP_MS
    done = folder / "done.json"
    wanted = {"start_ms": START_MS, "end_ms": end_ms, "prometheus": available()}
    if done.exists() and json.loads(done.read_text()) == wanted:
        return START_MS, end_ms
    (folder / "ours").mkdir(parents=True)
    store = Store.open(folder / "ours" / "metrics.db", StoreOptions(), START_MS)
    began = time.process_time()
    with stream(STEP_MS / 1000) as pages:
        day = ClusterDay(store, pages, START_MS)
        while day.now_ms < end_ms:
            day.step()
    print(f"# fed {hours:g} simulated hours in {time.process_time() - began:.0f} s of CPU", flush=True)
    if available():
        starts = range(START_MS, end_ms, BLOCK_MS)
        windows = (openmetrics(store, start, min(start + BLOCK_MS, end_ms)) for start in starts)
        import_openmetrics(windows, folder / "prometheus" / "data")
    store.close()
    done.write_text(json.dumps(wanted))
    return START_MS, end_ms
