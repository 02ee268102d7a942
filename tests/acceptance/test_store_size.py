"""What a sample of a real exporter costs on disk."""

from __future__ import annotations

import subprocess
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from alerting.model.series import ABSENT, IntArray
from alerting.scrape.exposition import PageReader
from alerting.storage.store import Store, StoreOptions
from config.alerting import Limits
from tests.support.machine import PATIENCE
from tests.support.peers import need
from tests.support.ports import free_port

START = 1_700_006_400_000
STEP_MS = 15_000
PAGES = 160
HOUR_MS = 3_600_000


def pages(port: int) -> list[bytes]:
    deadline = time.monotonic() + 20 * PATIENCE
    found: list[bytes] = []
    while len(found) < PAGES:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5 * PATIENCE) as answer:
                found.append(answer.read())
        except OSError:
            assert time.monotonic() < deadline, "node_exporter does not answer"
        time.sleep(0.02)
    return found


@pytest.mark.acceptance
def test_at_most_two_bytes_a_sample_of_a_real_node_exporter(tmp_path: Path) -> None:
    port = free_port()
    command = [need("prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{port}"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as exporter:
        try:
            found = pages(port)
        finally:
            exporter.kill()
    reader = PageReader(Limits())
    store = Store.open(tmp_path / "samples.db", StoreOptions(), START)
    writer = store.source("scrape/node")
    columns: IntArray = np.empty(0, np.int64)
    for number, body in enumerate(found):
        page = reader.read(body)
        if len(reader.labels) > len(columns):
            columns = np.array([writer.column(labels) for labels in reader.labels], np.int64)
        row = np.full(writer.width, ABSENT)
        row[columns[page.slots]] = page.values
        assert writer.append(START + number * STEP_MS, row)
        assert store.flush(START + number * STEP_MS)
    for hour in range(1, 5):  # until all of it is in blocks, merged ones
        assert store.flush(START + PAGES * STEP_MS + hour * HOUR_MS)
    stats = store.stats()
    samples = stats.samples_appended
    assert samples > 200 * PAGES
    assert stats.head_rows == 0
    print(
        f"{stats.chunk_bytes / samples:.2f} bytes a sample, {store._disk.used_bytes() / samples:.2f} with all overhead"
    )
    assert stats.chunk_bytes / samples < 1.5
    assert store._disk.used_bytes() / samples < 2  # with the labels of so short a life
    store.close()
