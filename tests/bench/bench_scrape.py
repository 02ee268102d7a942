"""What reading and storing pages costs, beside the client library's parser: ``python -m tests.bench.bench_scrape``.

A page as an exporter sends it: 586 series, of which 40 % change from scrape to scrape.
"""

from __future__ import annotations

import itertools
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from alerting.model.labels import Labels
from alerting.model.series import ABSENT
from alerting.scrape.exposition import PageReader
from alerting.storage.ports import FrameWriter
from alerting.storage.store import Store, StoreOptions
from config.alerting import Limits

SERIES = 586
PAGES = 200


@dataclass(frozen=True)
class Result:
    """Microseconds a sample, medians."""

    same_layout: float
    other_layout: float
    first: float
    client_library: float


def page(number: int, *, extra: bool = False) -> bytes:
    """A page; the same number gives the same bytes."""
    rng = random.Random(number)
    steady = random.Random(0)
    lines: list[str] = ["odd 1"] if extra else []
    for family in range(SERIES // 6):
        name = f"node_subsystem_{family:03d}_seconds_total"
        lines += [f"# HELP {name} What family {family} counts.", f"# TYPE {name} counter"]
        for cpu in range(6):
            moving = steady.random() < 0.4
            value = rng.random() * 1e6 if moving else steady.random() * 1e6
            lines.append(f'{name}{{cpu="{cpu}",mode="system"}} {value!r}')
    return ("\n".join(lines) + "\n").encode()


def median_us(work: Callable[[bytes], object], bodies: list[bytes], samples: int) -> float:
    times = []
    for body in bodies:
        started = time.perf_counter()
        work(body)
        times.append(time.perf_counter() - started)
    return statistics.median(times) / samples * 1e6


def measure(pages: int = PAGES) -> Result:
    """Reading and appending to a real store, all in memory (making it durable is another thread's work)."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder) / "store.sqlite", StoreOptions(), 0)
        try:
            return _measure(store.source("scrape/node"), pages)
        finally:
            store.close()


def _measure(writer: FrameWriter, pages: int) -> Result:
    target = Labels.of({"job": "node", "instance": "192.168.1.154:9191", "node": "AGX0", "tier": "2"})
    clock = itertools.count(1000, 1000)
    columns = np.empty(0, np.int64)
    reader = PageReader(Limits(), lambda pairs: Labels.of([*pairs, *target]))

    def work(body: bytes) -> None:
        nonlocal columns
        found = reader.read(body)
        if len(reader.labels) > len(columns):
            columns = np.array([writer.column(labels) for labels in reader.labels], np.int64)
        row = np.full(writer.width, ABSENT)
        row[columns[found.slots]] = found.values
        assert writer.append(next(clock), row)

    samples = page(0).count(b"\n") - page(0).count(b"#")
    bodies = [page(number) for number in range(pages)]
    first = median_us(lambda body: PageReader(Limits()).read(body), bodies[:20], samples)
    work(bodies[0])
    same = median_us(work, bodies[1:], samples)
    other = median_us(work, [page(number, extra=number % 2 == 0) for number in range(pages)], samples)
    library = median_us(lambda body: list(text_string_to_metric_families(body.decode())), bodies[:20], samples)
    return Result(same, other, first, library)


if __name__ == "__main__":
    result = measure()
    sys.stdout.write(
        "reading and storing a page of 586 series, microseconds a sample (median)\n"
        f"  laid out as the one before   {result.same_layout:6.2f}\n"
        f"  laid out otherwise           {result.other_layout:6.2f}\n"
        f"  never seen, not stored       {result.first:6.2f}\n"
        f"  client library's parser only {result.client_library:6.2f}\n"
    )
