"""Samples move between real programs: kill -9, a running aggregator, and Prometheus on the other side."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alerting.clock import SystemClock
from alerting.model.labels import Labels
from alerting.model.series import STALE_BITS
from alerting.promql.engine import Engine
from alerting.promql.parse import parse
from alerting.promql.value import Matrix, Vector
from alerting.storage.snapshot import Snapshot
from alerting.storage.store import Store, StoreOptions
from tests.alerting.transfer.files import exported, load, stored, text_of
from tests.support.aggregator import Aggregator, write_config
from tests.support.machine import PATIENCE
from tests.support.node_page import NodePage
from tests.support.peers import need
from tests.support.prometheus import ask, prometheus_holding
from tests.support.receiver import HttpReceiver

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).parents[2]
NOW = SystemClock().now_ms()
START = NOW - 6 * 3_600_000
GONE = Labels.of({"__name__": "gone", "job": "z"})
QUERIES = (
    "timestamp(g)",
    "g",
    "sum by (job) (g)",
    "count_over_time(g[7m])",
    "max_over_time(c_total[10m]) - min_over_time(c_total[10m])",
    "avg_over_time(g[90s] offset 5m)",
    "deriv(g[5m])",
    "changes(c_total[5m])",
    'topk(2, c_total{n!="1"})',
    "-g < 0 or c_total",
)


def tierwatch(*words: object, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "tierwatch", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, input=data, capture_output=True, check=False, timeout=60 * PATIENCE)


def fill(path: Path) -> None:
    """A store as scraping leaves it, with times that are no whole seconds: Prometheus 2 counts a sample at the very
    beginning of a window, the engine, like Prometheus 3, does not."""
    source = random.Random(6)
    store = Store.open(path, StoreOptions(), START)
    for name in ("x", "y"):
        writer = store.source(f"scrape/{name}")
        for n in range(4):
            for metric in ("c_total", "g"):
                writer.column(Labels.of({"__name__": metric, "job": name, "n": str(n), "odd": 'a "b"\\\n'}))
        at, values = START + source.randrange(15_000), np.zeros(writer.width)
        while at < NOW - 60_000:
            at += 15_000 + source.randrange(-9, 9)
            at += at % 1000 == 0
            values[::2] += [source.randrange(50) for _ in range(4)]
            values[1::2] = [source.gauss(20, 5) for _ in range(4)]
            assert writer.append(at, values.copy())
            if source.random() < 0.02:
                assert store.flush(at)
    gone = store.source("scrape/gone")
    gone.column(GONE)
    for number in range(3):
        assert gone.append(START + number * 5000, np.array([1.0]))
    gone.close(START + 15_000)
    store.close()


def ours(snapshot: Snapshot, query: str, **times: int) -> dict[Labels, dict[int, float]]:
    engine, expr = Engine(snapshot), parse(query)
    if "time" in times:
        value = engine.instant(expr, times["time"] * 1000).value
        assert isinstance(value, Vector)
        return {labels: {times["time"]: one} for labels, one in value}
    matrix = engine.range(expr, times["start"] * 1000, times["end"] * 1000, times["step"] * 1000).value
    assert isinstance(matrix, Matrix)
    return {one.labels: {at // 1000: value for at, value in one} for one in matrix}


def theirs(base: str, query: str, **times: int) -> dict[Labels, dict[int, float]]:
    path = "/api/v1/query" if "time" in times else "/api/v1/query_range"
    answer: Any = ask(base, path, query=query, **times)
    assert answer["status"] == "success", answer
    found = {}
    for one in answer["data"]["result"]:
        points = [one["value"]] if "value" in one else one["values"]
        found[Labels.of(one["metric"])] = {int(at): float(value) for at, value in points}
    return found


def test_prometheus_answers_the_same_of_our_export_and_gives_it_back_whole(tmp_path: Path) -> None:
    first, second, home = (tmp_path / name for name in ("first", "second", "home"))
    for folder in (first, second, home):
        folder.mkdir()
    fill(first / "metrics.db")
    done = tierwatch("export", "--data", first, "--out", tmp_path / "all.om")
    assert done.returncode == 0, done.stderr
    with prometheus_holding((tmp_path / "all.om").read_text(), home) as base:
        with Snapshot.open(first / "metrics.db", NOW) as snapshot:
            source = random.Random(3)
            for query in QUERIES:
                at = START // 1000 + source.randrange(3600, 5 * 3600)
                for times in ({"time": at}, {"start": at - 3000, "end": at, "step": 97}):
                    wanted, found = theirs(base, query, **times), ours(snapshot, query, **times)
                    assert wanted.keys() == found.keys(), query
                    assert wanted
                    for labels, points in wanted.items():
                        assert points.keys() == found[labels].keys(), (query, labels)
                        for second_, value in points.items():
                            assert math.isclose(value, found[labels][second_], rel_tol=1e-9, abs_tol=1e-9), query
        dumped = subprocess.run(
            [need("promtool"), "tsdb", "dump", home / "data"], capture_output=True, check=True, timeout=60
        )
    done = tierwatch("import", "-", "--data", second, data=dumped.stdout)
    assert done.returncode == 0, done.stderr
    assert b"skipped" not in done.stdout
    wanted_there = stored(first)
    (end,) = wanted_there[GONE][3:]
    assert end == (START + 15_000, STALE_BITS)
    del wanted_there[GONE][3]  # Prometheus skips the line that tells it
    assert stored(second) == wanted_there


def test_an_import_killed_again_and_again_ends_as_if_it_never_was(tmp_path: Path) -> None:
    source = random.Random(8)
    series = {
        Labels.of({"__name__": f"m{n % 9}_total", "instance": str(n % 3), "n": str(n)}): [
            (START + i * 15_000 + n % 3, float(i * n)) for i in range(1400)
        ]
        for n in range(100)
    }
    text = text_of(series)
    file = tmp_path / "samples.om"
    file.write_bytes(text)
    whole, unhurried = tmp_path / "whole", tmp_path / "unhurried"
    whole.mkdir()
    unhurried.mkdir()
    load(whole, text, now_ms=NOW)
    wanted = exported(whole)
    begin = time.monotonic()
    assert tierwatch("import", file, "--data", unhurried).returncode == 0
    took = time.monotonic() - begin  # machines differ: each is killed within the time that it needs
    kills = 0
    for folder in (tmp_path / f"broken{n}" for n in range(12)):
        folder.mkdir()
        begin = time.monotonic()
        count = killed(file, folder, [source.uniform(0.3, 0.95) * took for _ in range(3)])
        if not count:  # the machine has become less busy
            took = min(took, time.monotonic() - begin)
        kills += count
        done = tierwatch("import", file, "--data", folder)
        assert done.returncode == 0, done.stderr
        assert exported(folder) == wanted
        assert not (folder / "import.spool").exists()
        if kills >= 6:
            break
    assert kills >= 6


def killed(file: Path, folder: Path, after: list[float]) -> int:
    """How many imports into the folder were killed, one after the other, before one had ended by itself."""
    command = [sys.executable, "-m", "tierwatch", "import", str(file), "--data", str(folder)]
    for done, seconds in enumerate(after):
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                process.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                process.kill()
            else:
                return done
    return len(after)


@pytest.fixture
def node() -> Iterator[NodePage]:
    with NodePage() as page:
        yield page


@pytest.fixture
def phone() -> Iterator[HttpReceiver]:
    with HttpReceiver() as receiver:
        yield receiver


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds * PATIENCE
    while not true():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.1)


def test_beside_a_running_aggregator(tmp_path: Path, node: NodePage, phone: HttpReceiver) -> None:
    """Asked, exported, backed up; an import is refused; the backup is an aggregator that knows what went on."""
    with Aggregator(tmp_path) as running:
        write_config(running.config, node_port=node.port, url=phone.url())
        running.start()
        phone.down()
        node.down()
        waiting = 'tierwatch_notifications_waiting{receiver="phone"}'
        until(lambda: running.own_metric(waiting) == 1)
        until(lambda: (running.data / "metrics.db").exists() and bool(stored(running.data)))  # a flush has been

        asked = tierwatch("query", "up", "--url", running.url)
        assert asked.stdout.decode().splitlines()[0].split()[0] == "METRIC", asked.stderr
        asked = tierwatch("query", "--data", running.data, "--range", "now-1m", "now", "--format", "json", "up")
        assert json.loads(asked.stdout)["resultType"] == "matrix"

        refused = tierwatch("import", "-", "--data", running.data, data=b"up 1 1\n# EOF\n")
        assert refused.returncode == 1
        assert b"an aggregator (process " in refused.stderr
        assert b") uses this folder" in refused.stderr

        out = tierwatch("export", "--data", running.data, "--out", "-", "--match", "node_load1").stdout.decode()
        assert "node_load1{" in out
        assert out.endswith("# EOF\n")

        saved = tierwatch("backup", "--data", running.data, "--out", tmp_path / "copy" / "data")
        assert saved.returncode == 0, saved.stderr
        assert b"not in it: what the running aggregator" in saved.stdout
        assert {path.name for path in (tmp_path / "copy" / "data").iterdir()} == {
            "metrics.db",
            "states.db",
            "alerts.db",
        }
        assert running.process.poll() is None
        running.kill()
    with Aggregator(tmp_path / "copy") as restored:
        write_config(restored.config, node_port=node.port, url=phone.url())
        restored.start()
        assert restored.own_metric(waiting) == 1
        (alert,) = restored.get("/api/v1/alerts")["data"]["alerts"]
        assert (alert["labels"]["alertname"], alert["state"]) == ("NodeDown", "firing")
        found = restored.get("/api/v1/query?query=count_over_time(node_load1[10m])")["data"]["result"]
        assert int(found[0]["value"][1]) > 0
        phone.up()
        phone.wait_for(1, 30)
        assert phone.titles() == ["DOWN ONE (tier 1, Only)"]
        assert restored.stop() == 0
