"""The same data and queries for a real Prometheus and for the engine.

Debian's Prometheus may be a 2.x, whose windows also include their left end: sample times are odd, so that none lies
there. Queries whose meaning changed since (extrapolation before a counter's start, matching errors) are not asked.
"""

from __future__ import annotations

import json
import math
import random
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from alerting.model.labels import METRIC_NAME, Labels, quote
from alerting.promql.engine import Engine
from alerting.promql.parse import parse
from alerting.promql.value import Matrix, Vector, format_value
from tests.support.memory_querier import MemoryQuerier
from tests.support.peers import need

pytestmark = pytest.mark.acceptance

START_MS = 1_700_000_000_000
LENGTH_MS = 3_600_000

QUERIES = [
    "g",
    'g{instance=~"a|b",job!="x"} offset 3m',
    "g offset -2m",
    "g @ 1700001234.567",
    "g @ end() - g @ start()",
    "rate(c_total[5m] offset 10m)",
    "sum by (job) (increase(c_total[10m] offset 10m))",
    "irate(c_total[1m])",
    "delta(g[5m])",
    "idelta(g[90s])",
    "deriv(g[5m])",
    "predict_linear(g[5m], 600)",
    "avg_over_time(g[17s])",
    "sum_over_time(g[10m])",
    "min_over_time(g[5m]) + max_over_time(h[5m])",
    "count_over_time(g[5m:13s])",
    "stddev_over_time(g[5m])",
    "quantile_over_time(0.9, g[5m])",
    "changes(s[10m])",
    "resets(c_total[30m])",
    "last_over_time(s[20m])",
    "present_over_time(s[1m])",
    "absent_over_time(nope[5m])",
    'absent(g{instance="z", job=~"x"})',
    "max_over_time(avg by (instance) (g)[10m:30s])",
    "avg without (job) (g)",
    "stddev(g) by (instance)",
    "quantile by (job) (0.3, g)",
    "topk by (job) (1, g)",
    "bottomk(2, g)",
    "count_values('v', s)",
    "group by (instance) (g)",
    "g > 10",
    "g > bool 10",
    "10 - g",
    "g / on (instance, job) group_left (extra) h",
    "s * on (instance) group_left (board) info",
    "g and on (instance, job) s == 1",
    "g or h",
    "g unless ignoring (extra) h > 10",
    "g % 3 ^ 2",
    "-g",
    "clamp(g, 5, 12)",
    "round(g, 0.5)",
    "histogram_quantile(0.9, sum by (le, instance) (rate(lat_bucket[5m] offset 10m)))",
    "histogram_quantile(0.5, lat_bucket)",
    'label_replace(g, "new", "$1-x", "instance", "(.*)")',
    'label_join(h, "new", "-", "job", "extra")',
    "hour() + minute() / 100 + day_of_week(vector(time()))",
    "timestamp(g)",
    "vector(scalar(sum(g)) + time())",
    "sgn(g - 10) * sqrt(abs(g))",
    "exp(sin(g)) atan2 cos(g)",
    "vector(1) / 0",
]


def samples(source: random.Random, kind: str) -> list[tuple[int, float]]:
    rows = []
    at = START_MS + source.randrange(5000)
    value = 50_000.0
    while at < START_MS + LENGTH_MS:
        if kind in ("c_total", "lat_bucket"):
            value = 40_000.0 if source.random() < 0.005 else value + source.choice([0, 1, 2.5, 10])
        elif kind in ("s", "info"):
            value = source.choice([0.0, 0.0, 1.0])
        else:
            value = source.gauss(10, 5)
        if source.random() > 0.03:
            rows.append((at, value))
        at += 15_000 + source.randrange(-7, 7)
        if source.random() < 0.003:
            at += source.randrange(60_000, 900_000)
    return rows


def data() -> dict[Labels, list[tuple[int, float]]]:
    source = random.Random(11)
    found = {}
    for instance in "abc":
        for job in "xy":
            for name in ("c_total", "g", "h", "s"):
                labels = {"__name__": name, "instance": instance, "job": job}
                if name == "h":
                    labels["extra"] = "e" + instance
                found[Labels.of(labels)] = samples(source, name)
        found[Labels.of({"__name__": "info", "instance": instance, "board": "p" + instance})] = samples(source, "info")
        rows = samples(source, "lat_bucket")
        for share, bound in ((0.2, "0.1"), (0.7, "1"), (1.0, "+Inf")):
            labels = {"__name__": "lat_bucket", "instance": instance, "le": bound}
            found[Labels.of(labels)] = [(at, math.floor(value * share)) for at, value in rows]
    return found


def openmetrics(series: dict[Labels, list[tuple[int, float]]]) -> str:
    lines = []
    last = ""
    for labels in sorted(series, key=lambda item: (item.metric_name, item)):
        if labels.metric_name != last:
            last = labels.metric_name
            lines.append(f"# TYPE {last} unknown")
        inner = ",".join(f"{name}={quote(text)}" for name, text in labels if name != METRIC_NAME)
        lines += [f"{last}{{{inner}}} {format_value(value)} {at / 1000:.3f}" for at, value in series[labels]]
    return "\n".join([*lines, "# EOF", ""])


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def ask(base: str, path: str, **parameters: object) -> Any:
    try:
        with urllib.request.urlopen(f"{base}{path}?{urllib.parse.urlencode(parameters)}", timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return json.load(error)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus that holds the data."""
    program, promtool = need("prometheus"), need("promtool")
    home = tmp_path_factory.mktemp("prometheus")
    (home / "data.om").write_text(openmetrics(data()), encoding="utf-8")
    (home / "prometheus.yml").write_text("global: {}\n", encoding="utf-8")
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", "data.om", "data"]
    subprocess.run(command, cwd=home, check=True, capture_output=True, timeout=60)
    port = free_port()
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=data",
                "--storage.tsdb.retention.time=100y",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            cwd=home,
            stdout=log,
            stderr=log,
        )
        try:
            yield wait_until_ready(process, f"http://127.0.0.1:{port}", home / "log")
        finally:
            process.terminate()
            process.wait(timeout=20)


def wait_until_ready(process: subprocess.Popen[bytes], base: str, log: Path) -> str:
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{base}/-/ready", timeout=2) as answer:
                if answer.status == 200:
                    return base
        except OSError:
            pass
        time.sleep(0.1)
    pytest.fail(f"Prometheus did not get ready:\n{log.read_text(errors='replace')}")


@pytest.fixture(scope="module")
def engine() -> Engine:
    querier = MemoryQuerier()
    for labels, rows in data().items():
        querier.put(labels, rows)
    return Engine(querier)


Points = dict[Labels, dict[int, float]]


def theirs(answer: Any) -> Points:
    assert answer["status"] == "success", answer
    return {
        Labels.of(series["metric"]): {
            round(at * 1000): float(value)
            for at, value in (series["values"] if "values" in series else [series["value"]])
        }
        for series in answer["data"]["result"]
    }


def differences(found: Points, expected: Points) -> list[str]:
    problems = [f"only ours: {labels}" for labels in found.keys() - expected.keys()]
    problems += [f"only theirs: {labels}" for labels in expected.keys() - found.keys()]
    for labels in found.keys() & expected.keys():
        if found[labels].keys() != expected[labels].keys():
            problems.append(f"{labels}: other times")
            continue
        for at, value in found[labels].items():
            other = expected[labels][at]
            same = (math.isnan(value) and math.isnan(other)) or math.isclose(value, other, rel_tol=1e-9, abs_tol=1e-9)
            if not same:
                problems.append(f"{labels} at {at}: {value!r}, Prometheus says {other!r}")
    return problems


@pytest.mark.parametrize("query", QUERIES)
def test_same_answers(prometheus: str, engine: Engine, query: str) -> None:
    expr = parse(query)
    for offset in (700_123, 2_000_777, 3_700_001):
        at = START_MS + offset
        vector = engine.instant(expr, at).value
        assert isinstance(vector, Vector)
        answer = ask(prometheus, "/api/v1/query", query=query, time=at / 1000)
        assert differences({labels: {at: value} for labels, value in vector}, theirs(answer)) == []
    for start, end, step in ((400_321, 3_650_321, 65_000), (1_000_777, 1_100_777, 7_000)):
        first, last = START_MS + start, START_MS + end
        matrix = engine.range(expr, first, last, step).value
        assert isinstance(matrix, Matrix)
        answer = ask(
            prometheus, "/api/v1/query_range", query=query, start=first / 1000, end=last / 1000, step=step / 1000
        )
        assert differences({series.labels: dict(series) for series in matrix}, theirs(answer)) == []
