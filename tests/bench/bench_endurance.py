"""What an exporter with everything on takes after an hour: memory, files, threads, CPU, minute by minute. Beside it the
aggregator that scrapes it each 5 s, holds its stream of events and evaluates the shipped rules.

    TIERWATCH_SYSTEMD_TREE=... python -m tests.bench.bench_endurance [--minutes 60] [--scrapes-a-second 3]

As root: a Docker Engine with containers that die again and again, a booted systemd with a crash loop, services of every
kind (``whole_services``), a replayed Jetson with its tegrastats.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import os
import re
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.acceptance.exporter_process import cpu_seconds
from tests.bench.node_life import WATCHED, life, start_containers, start_units
from tests.support.aggregator import Aggregator
from tests.support.dockerd import dockerd
from tests.support.far_cluster import write_alerting
from tests.support.real_systemd import real_systemd
from tests.support.receiver import HttpReceiver
from tests.support.whole_node import whole_exporter
from tests.support.whole_services import everything

MOST_RESIDENT_MIB = 45.0
# What the medians of two quarters may differ by and still be no growth: the heap breathes.
STEADY_MIB = 0.3


@dataclass(frozen=True, slots=True)
class Size:
    """A process at one moment; memory in MiB."""

    resident: float
    own: float
    files: float
    descriptors: int
    threads: int
    cpu: float

    @classmethod
    def of(cls, pid: int) -> Size:
        status = Path(f"/proc/{pid}/status").read_text()

        def kib(name: str) -> float:
            found = re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)
            assert found is not None, name
            return int(found[1])

        descriptors = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208  # names alone
        memory = (kib("VmRSS") / 1024, kib("RssAnon") / 1024, kib("RssFile") / 1024)
        return cls(*memory, descriptors, int(kib("Threads")), cpu_seconds(pid))


@dataclass
class Scrapes:
    """Of the page, over one connection that is kept. ``seconds``: what each took."""

    address: str
    count: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    page: bytes = b""

    def run(self, pause: float, ended: threading.Event) -> None:
        connection = http.client.HTTPConnection(self.address, timeout=10)
        due = time.monotonic()
        while not ended.wait(max(0.0, due - time.monotonic())):
            due = max(due + pause, time.monotonic())
            begun = time.monotonic()
            try:
                connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
                answer = connection.getresponse()
                self.page = answer.read()
                assert answer.status == 200, answer.status
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.failures.append(f"{error!r}")
                connection.close()
            self.count += 1
            self.seconds.append(time.monotonic() - begun)
        connection.close()

    def series(self) -> int:
        return sum(not line.startswith(b"#") for line in gzip.decompress(self.page).splitlines())


@dataclass
class Stream:
    """A listener of /events. ``gaps``: messages whose number is not the one before plus their count."""

    address: str
    changes: int = 0
    beats: int = 0
    gaps: int = 0
    fault: str = ""

    def run(self, ended: threading.Event) -> None:
        connection = http.client.HTTPConnection(self.address, timeout=5)
        try:
            connection.request("GET", "/events")
            answer = connection.getresponse()
            number, event = -1, ""
            while not ended.is_set() and (line := answer.readline().decode().strip("\n")) is not None:
                name, _, value = line.partition(": ")
                if name == "id":
                    new = int(value)
                elif name == "event":
                    event = value
                elif name == "data" or line == "data:":
                    count = int(value.split()[0]) if event == "change" else 0
                    self.changes += count
                    self.beats += event == "beat"
                    self.gaps += number not in (-1, new - count)
                    number = new
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.fault = repr(error)
        finally:
            connection.close()


@contextmanager
def background(*works: threading.Thread) -> Iterator[None]:
    for work in works:
        work.start()
    try:
        yield
    finally:
        for work in works:
            work.join()


def quarters(values: Sequence[float]) -> tuple[float, float]:
    """The medians of the second and the last quarter: the first is when caches fill."""
    quarter = max(1, len(values) // 4)
    return statistics.median(values[quarter : 2 * quarter] or values), statistics.median(values[-quarter:])


def grown(name: str, sizes: Sequence[Size]) -> bool:
    """Tells what grew between the second and the last quarter; whether anything did."""
    told, bad = [], False
    for what, most in (("own", STEADY_MIB), ("resident", STEADY_MIB), ("descriptors", 2.0), ("threads", 1.0)):
        before, after = quarters([getattr(size, what) for size in sizes])
        told.append(f"{what} {before:.2f} -> {after:.2f}")
        bad |= after - before > most
    print(f"{name}, second to last quarter: {', '.join(told)}", flush=True)
    return bad


def line(size: Size, before: Size, seconds: float) -> str:
    share = 100 * (size.cpu - before.cpu) / seconds
    return (
        f"{size.resident:6.2f} MiB ({size.own:5.2f} own, {size.files:5.2f} files) "
        f"{size.descriptors:3d} fds {size.threads:2d} threads {share:5.2f} % CPU"
    )


def measure(minutes: float, pause: float, folder: Path) -> bool:
    """Whether all is as it has to be."""
    with ExitStack() as stack:
        daemon = stack.enter_context(dockerd())
        systemd = stack.enter_context(real_systemd())
        start_containers(daemon)
        start_units(systemd)
        places = folder / "services"
        places.mkdir()
        places.chmod(0o711)
        services = stack.enter_context(everything(places))
        inventory = {**services.inventory, **WATCHED}
        node = stack.enter_context(whole_exporter(folder, inventory, daemon.socket, Path(systemd.bus)))
        receiver = stack.enter_context(HttpReceiver())
        write_alerting(folder / "config", receiver, "Service.*|Container.*|Unit.*")
        hub = stack.enter_context(Aggregator(folder))
        hub.start()
        stack.enter_context(life(daemon, systemd, services, folder / "textfile"))
        ended = threading.Event()
        address = urlsplit(node.url).netloc
        scrapes, stream = Scrapes(address), Stream(address)
        works = [threading.Thread(target=scrapes.run, args=(pause, ended), name="scrapes")]
        works.append(threading.Thread(target=stream.run, args=(ended,), name="events"))
        with background(*works):
            try:
                ours, theirs = minute_by_minute(minutes, (node.process.pid, hub.process.pid), scrapes)
            finally:
                ended.set()
        print(gzip.decompress(scrapes.page).decode(), file=(folder / "last_page").open("w"))
        bad = tell(scrapes, stream, ours, theirs)
        print(f"told the receiver {len(receiver.posts)} times", flush=True)
        for log in (folder / "exporter.log", hub.log):
            text = log.read_text()
            errors = [line for line in text.splitlines() if "level=error" in line or "Traceback" in line]
            print(f"{log.name}: {len(text.splitlines())} lines, {len(errors)} errors {errors[:3]}", flush=True)
            bad |= bool(errors)
    return not bad


def minute_by_minute(minutes: float, pids: tuple[int, int], scrapes: Scrapes) -> tuple[Sequence[Size], Sequence[Size]]:
    """Of exporter and aggregator, each minute (of a short run: each twelfth of it)."""
    step = 60.0 if minutes >= 12 else minutes * 5
    end = time.monotonic() + minutes * 60
    found: list[list[Size]] = [[Size.of(pid)] for pid in pids]
    last = time.monotonic()
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(step, left))
        now = time.monotonic()
        texts = []
        for sizes, pid in zip(found, pids, strict=True):
            sizes.append(Size.of(pid))
            texts.append(line(sizes[-1], sizes[-2], now - last))
        elapsed = minutes - (end - now) / 60
        done = f"{elapsed:5.1f} min {scrapes.count:6d} scrapes {scrapes.series():5d} series"
        print(f"{done} | {texts[0]} | hub {texts[1]}", flush=True)
        last = now
    return found[0][1:], found[1][1:]


def tell(scrapes: Scrapes, stream: Stream, ours: Sequence[Size], theirs: Sequence[Size]) -> bool:
    """Prints the verdict; whether something is not as it has to be."""
    took = sorted(scrapes.seconds)
    print(
        f"{scrapes.count} scrapes of {scrapes.series()} series, {len(scrapes.failures)} failed "
        f"{scrapes.failures[:3]}; median {statistics.median(took) * 1000:.1f} ms, "
        f"99 of 100 within {took[int(0.99 * len(took))] * 1000:.1f} ms, longest {took[-1] * 1000:.0f} ms"
    )
    print(f"events: {stream.changes} changes, {stream.beats} beats, {stream.gaps} gaps {stream.fault}")
    print(f"exporter at the end: {ours[-1].resident:.1f} MiB, at most {max(size.resident for size in ours):.1f}")
    bad = bool(scrapes.failures or stream.gaps or stream.fault)
    bad |= max(size.resident for size in ours) > MOST_RESIDENT_MIB
    bad |= grown("exporter", ours)
    grown("aggregator (a store that fills grows)", theirs)
    return bad


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench_endurance")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--scrapes-a-second", type=float, default=3.0)
    options = parser.parse_args(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and everything that was started ends too
    with tempfile.TemporaryDirectory(prefix="tw-endure-") as name:
        good = measure(options.minutes, 1 / options.scrapes_a_second, Path(name))
    print("all as it has to be" if good else "NOT as it has to be")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
