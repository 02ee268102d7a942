"""What days of seven nodes with 600 series each at 15 s leave in memory and on disk:

    python -m tests.bench.bench_size [--days D]

Ours is the whole process: rules evaluated at each step, page, API and outbox; it is fed as fast as it takes it
(``days_process``). Prometheus gets the last day's samples by remote write, as fast as it takes them, in their order,
and cuts its blocks itself; rules, page and notifications are not in its figures (Alertmanager is another process).
Resident memory is shown whole, and how much of it is pages of files: of the program and its libraries, and with
Prometheus of the blocks it maps. Both are measured after the feed and again when every dashboard's queries over the
last day were asked (``--no-queries`` leaves that out).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from alerting.remote.wire import HEADERS, encode
from alerting.storage.options import StoreOptions
from alerting.storage.store import Store
from tests.bench.bench_ingest import COUNTERS, THEIRS, stored
from tests.bench.bench_queries import Client
from tests.bench.hub import idle_config
from tests.bench.panels import asked
from tests.bench.prepared import START_MS
from tests.bench.prometheus_peer import MISSING, Running, available, prometheus
from tests.support.ports import free_port

MIB = 2**20
DAY_MS = 86_400_000
BATCH_MS = 600_000
SETTLE_S = 130.0
"""Go gives freed memory back within two garbage collections, which come each two minutes when nothing happens."""


def ours(home: Path, days: float) -> Iterator[tuple[dict[str, Any], Running]]:
    """What the process says after each day, while it lives."""
    idle_config(home / "config", rules=True)
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "tests.bench.days_process", str(days)]
    command += ["--config", str(home / "config"), "--data", str(home / "data"), "--listen", address]
    with (home / "hub.log").open("w") as log:
        environment = {**os.environ, "MALLOC_ARENA_MAX": "2"}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            told = json.loads(line)
            yield told, Running(process.pid, f"http://{address}")
            if told["days"] >= days:
                return
        raise SystemExit((home / "hub.log").read_text())
    finally:
        process.terminate()
        process.communicate(timeout=60)


def ask_everything(program: Running, end_ms: int) -> None:
    """All queries of the dashboards over the day before."""
    with closing(Client(program)) as client:
        for query in asked(DAY_MS / 1000):
            client.ask(query, end_ms - DAY_MS, end_ms)


def remote_write(program: Running, store: Store, start_ms: int, end_ms: int) -> None:
    """The samples of a window, ten minutes a request."""
    for at in range(start_ms, end_ms, BATCH_MS):
        body = encode(store.select([], at, min(at + BATCH_MS, end_ms) - 1))
        request = urllib.request.Request(f"{program.base}/api/v1/write", body, HEADERS, method="POST")
        with urllib.request.urlopen(request, timeout=120) as answer:
            answer.read()


def block_bytes(data: Path) -> tuple[int, int]:
    """(bytes, samples) of Prometheus' blocks."""
    size = samples = 0
    for meta in data.glob("*/meta.json"):
        samples += json.loads(meta.read_text())["stats"]["numSamples"]
        size += sum(file.stat().st_size for file in meta.parent.rglob("*") if file.is_file())
    return size, samples


def theirs(home: Path, store: Store, start_ms: int, end_ms: int, *, queries: bool) -> None:
    data = home / "prometheus" / "data"
    with prometheus(data, "global: {}\n", ["--web.enable-remote-write-receiver"]) as program:
        remote_write(program, store, start_ms, end_ms)
        count = stored(program, COUNTERS[THEIRS])
        show("Prometheus, fed", program, f"{count / 1e6:.1f} M samples")
        time.sleep(SETTLE_S)
        show("Prometheus, two minutes later", program)
        if queries:
            ask_everything(program, end_ms)
            show("Prometheus, after all dashboards", program, f"at most {program.peak_bytes() / MIB:.1f} MiB ever")
        written = int(_io(program.pid)["write_bytes"])
        print(f"Prometheus wrote {written / MIB:.0f} MiB for a day (write-ahead log, blocks; the kernel's count)")
    size, samples = block_bytes(data)
    print(f"Prometheus on disk: {size / max(samples, 1):.2f} bytes a sample in {samples / 1e6:.1f} M samples of blocks")


def _io(pid: int) -> dict[str, str]:
    return dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())


def show(what: str, program: Running, more: str = "") -> None:
    own, mapped = program.resident_bytes(), program.mapped_bytes()
    print(f"{what:34}{(own + mapped) / MIB:8.1f} MiB, {mapped / MIB:.1f} of them files; {more}", flush=True)


def measure(home: Path, days: float, *, queries: bool) -> None:
    before = 0
    for told, program in ours(home, days):
        samples = told["samples_appended"]
        print(
            f"day {told['days']:g}: {told['series']} series, {samples / 1e6:.1f} M samples, "
            f"{told['chunk_bytes'] / samples:.2f} bytes a sample in blocks, {told['file_bytes'] / samples:.2f} in the "
            f"file, {(told['bytes_written'] - before) / MIB:.0f} MiB written, {told['cpu']:.0f} s of CPU so far"
        )
        before = told["bytes_written"]
        show(f"tierwatch, day {told['days']:g}", program, f"at most {told['peak'] / MIB:.1f} MiB so far")
        if told["days"] >= days and queries:
            ask_everything(program, START_MS + round(days * DAY_MS))
            show("tierwatch, after all dashboards", program, f"at most {program.peak_bytes() / MIB:.1f} MiB ever")
    if not available():
        print(MISSING)
        return
    end_ms = START_MS + round(days * DAY_MS)
    store = Store.open(home / "data" / "metrics.db", StoreOptions(), end_ms)
    try:
        theirs(home, store, max(START_MS, end_ms - DAY_MS), end_ms, queries=queries)
    finally:
        store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=float, default=1.0)
    parser.add_argument("--no-queries", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        measure(Path(name), arguments.days, queries=not arguments.no_queries)


if __name__ == "__main__":
    main()
