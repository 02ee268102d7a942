"""What the store costs: processor, disk and memory, and how fast it answers.

    python -m tests.bench.bench_storage [--hours H] [--step S] [--capture FILE] [--folder DIR]

Seven sources of 586 series each, a frame each ``--step`` seconds, flushed each 10 s or each frame, on a simulated time.
``--folder`` must lie on a disk, not in memory, for the kernel to count what is written. The values are a mix with
the proportions seen on node_exporter's page (most series never change, counters of 0.01 s, of bytes and packets,
gauges, durations with full mantissas); ``--capture`` takes the frames of a recorded page instead, once through (a
sequence of u64 milliseconds, u32 length, gzipped text of the page, all little-endian).
"""

from __future__ import annotations

import argparse
import gc
import gzip
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from alerting.model.labels import Labels
from alerting.model.matcher import Matcher
from alerting.model.series import ABSENT, FloatArray
from alerting.storage.store import Store, StoreOptions

NODES, WIDTH, STEP_MS, FLUSH_MS = 7, 586, 5000, 10_000
START = 1_700_006_400_000
DAY_MS = 86_400_000


def synthetic(rows: int, generator: np.random.Generator) -> tuple[list[tuple[str, str]], FloatArray]:
    """(metric name, rest) of each column, and rows x columns: 55 % constant, 25 counters, 12 gauges, 8 durations."""
    names: list[tuple[str, str]] = []
    columns = []
    for cpu in range(4):  # 32 columns of CPU seconds, as a board with four cores has
        for mode in range(8):
            names.append(("node_cpu_seconds_total", f"{cpu}/{mode}"))
            spread = (490, 4, 8, 0, 0, 2, 0, 0)[mode]
            steps = np.maximum(generator.normal(spread, spread**0.5, rows), 0) if spread else np.zeros(rows)
            columns.append(np.cumsum(np.rint(steps)) / 100)
    for number in range(WIDTH - len(names)):
        kind = number % 100
        names.append((f"metric_{number // 2}", str(number)))
        if kind < 55:
            columns.append(np.full(rows, float(generator.integers(0, 10**9))))
        elif kind < 70:  # bytes, packets: busy
            columns.append(np.cumsum(generator.poisson(300 * (1 + kind % 5), rows)).astype(np.float64))
        elif kind < 80:  # errors, reads: seldom
            columns.append(np.cumsum(generator.random(rows) < 0.02).astype(np.float64))
        elif kind < 87:  # memory, in pages
            columns.append(4096.0 * np.rint(1e6 + np.cumsum(generator.normal(0, 50, rows))))
        elif kind < 92:  # temperatures, loads
            columns.append(np.rint(4000 + np.cumsum(generator.normal(0, 5, rows))) / 100)
        else:  # durations measured anew each time
            columns.append(generator.lognormal(-7, 0.3, rows))
    return names, np.stack(columns, axis=1)


def captured(path: Path) -> tuple[list[tuple[str, str]], FloatArray]:
    data, at, index, frames = path.read_bytes(), 0, dict[str, int](), list[dict[int, float]]()
    while at < len(data):
        size = int.from_bytes(data[at + 8 : at + 12], "little")
        page = gzip.decompress(data[at + 12 : at + 12 + size]).decode()
        at += 12 + size
        pairs = [line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#")]
        frames.append({index.setdefault(key, len(index)): float(value) for key, value in pairs})
    values = np.full((len(frames), len(index)), ABSENT)
    for row, frame in enumerate(frames):
        values[row, list(frame)] = list(frame.values())
    return [(key.partition("{")[0], key.partition("{")[2]) for key in index], values


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def written_mib() -> float:
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("write_bytes"):
            return int(line.split()[1]) / 2**20
    return 0.0


def ingest(
    store: Store, names: list[tuple[str, str]], values: FloatArray, frames: int, step_ms: int = STEP_MS
) -> tuple[float, int, float]:
    """Append, flush, seal, merge; (CPU seconds, samples, the longest flush in seconds). Counters never go back."""
    heads = [store.source(f"node{node}") for node in range(NODES)]
    for node, head in enumerate(heads):
        for name, rest in names:
            head.column(Labels.of({"__name__": name, "rest": rest, "instance": f"node{node}"}))
    flush_each = max(FLUSH_MS // step_ms, 1)
    rows, spent, samples, longest = len(values), 0.0, 0, 0.0
    grown = values[-1] - values[0]
    climbing = (np.diff(values, axis=0) >= 0).all(axis=0) & np.isfinite(grown)
    lift = np.where(climbing, grown, 0.0)
    for number in range(frames):
        now = START + number * step_ms
        rounds, row = divmod(number, rows)
        frame = values[row] + lift * rounds if rounds else values[row]
        frame = np.where(lift > 0, np.rint(frame * 1e6) / 1e6, frame) if rounds else frame
        begin = time.process_time()
        for node, head in enumerate(heads):
            head.append(now + node * 7 + row % 3, frame)
        if number % flush_each == flush_each - 1:
            before = time.perf_counter()
            store.flush(now + 100)
            longest = max(longest, time.perf_counter() - before)
        spent += time.process_time() - begin
        samples += NODES * len(frame)
    return spent, samples, longest


def timed(store: Store, matchers: list[Matcher], start: int, end: int, times: int = 5) -> tuple[float, int, int]:
    """(median milliseconds, series, samples)."""
    took = []
    for _ in range(times):
        begin = time.perf_counter()
        found = store.select(matchers, start, end)
        took.append(time.perf_counter() - begin)
    return sorted(took)[times // 2] * 1000, len(found), sum(len(data.times) for data in found)


def main() -> int:
    parser = argparse.ArgumentParser(description="What the store costs.")
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--step", type=float, default=STEP_MS / 1000)
    parser.add_argument("--capture", type=Path)
    parser.add_argument("--folder", type=Path, help="default: where temporary files go")
    arguments = parser.parse_args()
    step_ms = round(arguments.step * 1000)
    names, values = captured(arguments.capture) if arguments.capture else synthetic(2000, np.random.default_rng(1))
    frames = len(values) if arguments.capture else int(arguments.hours * 3_600_000 / step_ms)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        gc.collect()
        before, written = resident_mib(), written_mib()
        store = Store.open(Path(folder) / "samples.db", StoreOptions(), START)
        spent, samples, longest = ingest(store, names, values, frames, step_ms)
        gc.collect()
        stats = store.stats()
        day = samples * DAY_MS / (frames * step_ms)
        print(f"series {stats.series}, samples {samples / 1e6:.1f} M")
        print(f"CPU {spent / samples * 1e6:.2f} us a sample; longest flush {longest * 1000:.0f} ms")
        print(f"chunks {stats.chunk_bytes / samples:.2f}, file {stats.file_bytes / samples:.2f} bytes a sample")
        print(f"written {stats.bytes_written / samples * day / 2**20:.0f} MiB a day by the store's own count,", end=" ")
        print(f"{(written_mib() - written) / samples * day:.0f} by the kernel's")
        print(f"memory {resident_mib() - before:.0f} MiB more than before, peak {peak_mib():.0f} MiB in all")
        end = START + frames * step_ms
        name = [Matcher("__name__", "=", "node_cpu_seconds_total")]
        for text, span in (("5 min", 300_000), ("1 h", 3_600_000), ("6 h", 21_600_000), ("24 h", DAY_MS)):
            took, found, many = timed(store, name, end - span, end)
            print(f"select {text:>5}: {took:7.1f} ms, {found} series, {many / 1e6:.2f} M samples")
        took, found, _ = timed(store, [*name, Matcher("instance", "=", "node3")], end - DAY_MS, end)
        print(f"select  24 h of one node: {took:.1f} ms, {found} series")
        begin = time.perf_counter()
        listed = len(store.series([], end - 3_600_000, end))
        print(f"series of the last hour: {(time.perf_counter() - begin) * 1000:.1f} ms, {listed} series")
        print(f"memory after the queries {resident_mib() - before:.0f} MiB more, peak {peak_mib():.0f} MiB in all")
        store.close()
        begin = time.perf_counter()
        Store.open(Path(folder) / "samples.db", StoreOptions(), end).close()
        print(f"opened again in {(time.perf_counter() - begin) * 1000:.0f} ms")
    return 0


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
