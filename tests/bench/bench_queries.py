"""Every query of the shipped dashboards over a day of the seven nodes, over our HTTP API and Prometheus':

    python -m tests.bench.bench_queries [--hours H] [--data DIR]

The day is simulated once (``cluster_day``) and imported into Prometheus; ``--data`` keeps it for the next time. Each
dashboard meets freshly started programs, which answer all its queries one after the other: the first answer to a query
is its cold time, the best of three more its warm one (the files are in the system's cache for both). Range queries have
the step of a panel 1000 pixels wide. Answers are compared.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import math
import shutil
import statistics
import tempfile
import time
import urllib.parse
from collections import defaultdict
from collections.abc import Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.bench.hub import hub, idle_config
from tests.bench.panels import Asked, asked, step_seconds
from tests.bench.prepared import prepare
from tests.bench.prometheus_peer import MISSING, Running, available, prometheus

WARM = 3
OURS, THEIRS = "tierwatch", "Prometheus"
Answer = dict[str, Any]


class Client:
    """One kept connection, as Grafana has; answers are asked for compressed."""

    def __init__(self, program: Running) -> None:
        self.program = program
        self._connection = http.client.HTTPConnection(program.base.removeprefix("http://"), timeout=120)

    def close(self) -> None:
        self._connection.close()

    def ask(self, query: Asked, start_ms: int, end_ms: int) -> tuple[float, Answer]:
        """Seconds until the whole answer is here, and the answer."""
        if query.instant:
            path, parameters = "query", {"query": query.expr, "time": str(end_ms / 1000)}
        else:
            range_s = (end_ms - start_ms) / 1000
            parameters = {"query": query.expr, "start": str(start_ms / 1000), "end": str(end_ms / 1000)}
            path, parameters["step"] = "query_range", str(step_seconds(range_s))
        began = time.perf_counter()
        headers = {"Accept-Encoding": "gzip", "Content-Type": "application/x-www-form-urlencoded"}
        self._connection.request("POST", f"/api/v1/{path}", urllib.parse.urlencode(parameters), headers)
        response = self._connection.getresponse()
        body = response.read()
        took = time.perf_counter() - began
        if response.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        answer: Answer = json.loads(body)
        return took, answer


@dataclass(slots=True)
class Times:
    """Milliseconds of one query; ``cold_cpu``: of the program's CPU."""

    cold: float
    cold_cpu: float
    warm: list[float] = field(default_factory=list)

    @property
    def best(self) -> float:
        return min(self.warm)


@dataclass(slots=True)
class Results:
    times: dict[str, dict[Asked, Times]] = field(default_factory=lambda: defaultdict(dict))
    cpu: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    cold_cpu: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    series: dict[Asked, int] = field(default_factory=dict)
    differences: dict[Asked, str] = field(default_factory=dict)
    resident: dict[str, int] = field(default_factory=dict)


def measure(folder: Path, hours: float, queries: Iterable[Asked] | None = None) -> Results:
    start_ms, end_ms = prepare(folder, hours)
    chosen = asked((end_ms - start_ms) / 1000) if queries is None else queries
    results = Results()
    for _, same in groupby(chosen, key=lambda query: query.dashboard):
        with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
            home = Path(name)
            idle_config(home / "config")
            shutil.copytree(folder / "ours", home / "data")
            programs = {OURS: stack.enter_context(hub(home, ("tests.bench.hub_process", str(end_ms))))}
            if available():
                blocks = folder / "prometheus" / "data"
                programs[THEIRS] = stack.enter_context(prometheus(blocks, "global: {}\n"))
            clients = {name: stack.enter_context(closing(Client(program))) for name, program in programs.items()}
            _dashboard(clients, list(same), start_ms, end_ms, results)
            for program, client in clients.items():
                results.resident[program] = max(client.program.resident_bytes(), results.resident.get(program, 0))
    return results


def _dashboard(clients: dict[str, Client], queries: list[Asked], start_ms: int, end_ms: int, results: Results) -> None:
    for program, client in clients.items():
        began = client.program.cpu_seconds()
        for query in queries:
            before = client.program.cpu_of_threads()
            took, _ = client.ask(query, start_ms, end_ms)
            spent = client.program.cpu_of_threads() - before
            results.times[program][query] = Times(took * 1000, spent * 1000)
        results.cold_cpu[program] += client.program.cpu_seconds() - began
    for program, client in clients.items():
        began = client.program.cpu_seconds()
        for _ in range(WARM):
            for query in queries:
                took, _ = client.ask(query, start_ms, end_ms)
                results.times[program][query].warm.append(took * 1000)
        results.cpu[program] += client.program.cpu_seconds() - began
    for query in queries:
        answers = {program: client.ask(query, start_ms, end_ms)[1] for program, client in clients.items()}
        assert answers[OURS]["status"] == "success", (query, answers[OURS])
        results.series[query] = len(answers[OURS]["data"]["result"])
        if len(answers) == 2 and (difference := differing(answers[OURS], answers[THEIRS])):
            results.differences[query] = difference


def differing(ours: Answer, theirs: Answer) -> str:
    """What differs between two answers, in a few words; empty when nothing does."""
    if theirs["status"] != "success":
        return f"Prometheus answers {theirs['error']}"
    mine, other = _points(ours), _points(theirs)
    if mine.keys() != other.keys():
        return f"{len(mine)} series against {len(other)}"
    for series, points in mine.items():
        if points.keys() != other[series].keys():
            return f"{series}: {len(points)} points against {len(other[series])}"
        for at, value in points.items():
            if not _close(value, other[series][at]):
                return f"{series} at {at}: {value} against {other[series][at]}"
    return ""


def _points(answer: Answer) -> dict[str, dict[float, float]]:
    found = {}
    for one in answer["data"]["result"]:
        points = one.get("values") or [one["value"]]
        found[json.dumps(one["metric"], sort_keys=True)] = {float(at): float(text) for at, text in points}
    return found


def _close(one: float, other: float) -> bool:
    return (
        one == other or (math.isnan(one) and math.isnan(other)) or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    )


def report(results: Results, hours: float) -> None:
    programs = list(results.times)
    for instant, title in ((False, f"range queries over {hours:g} h"), (True, "instant queries")):
        chosen = [query for query in results.series if query.instant is instant]
        found = [query for query in chosen if results.series[query]]
        print(f"\n{len(found)} {title}, step {step_seconds(hours * 3600)} s", end=" ")
        print(f"({len(chosen) - len(found)} more find no series and are not counted)")
        chosen = found
        print(f"{'milliseconds':24}{'median':>10}{'p90':>10}{'longest':>10}{'sum':>10}")
        for program in programs:
            times = results.times[program]
            for word, values in (
                ("cold", [times[query].cold for query in chosen]),
                ("cold, CPU", [times[query].cold_cpu for query in chosen]),
                ("warm", [times[query].best for query in chosen]),
            ):
                p90 = statistics.quantiles(values, n=10)[-1] if len(values) > 1 else values[0]
                shown = (statistics.median(values), p90, max(values), sum(values))
                print(f"{program + ', ' + word:24}" + "".join(f"{value:10.1f}" for value in shown))
        for program in programs:
            worst = sorted(chosen, key=lambda query: -results.times[program][query].best)[:5]
            print(f"longest of {program}, warm:")
            for query in worst:
                print(f"{results.times[program][query].best:9.1f} ms  {query.name}: {query.expr[:90]}")
    asked_times = WARM * len(results.series)
    for program in programs:
        print(
            f"{program}: {results.cpu[program] / asked_times * 1000:.2f} ms of CPU a warm query, "
            f"{results.cold_cpu[program] / len(results.series) * 1000:.2f} a cold one, "
            f"{results.resident[program] / 2**20:.0f} MiB resident at most after a dashboard"
        )
    if len(programs) > 1:
        print(f"answers that differ: {len(results.differences)} of {len(results.series)}")
        for query, words in results.differences.items():
            print(f"  {query.name}: {query.expr[:100]}\n    {words[:300]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--data", type=Path, help="keep the data here")
    arguments = parser.parse_args()
    if not available():
        print(MISSING)
    with tempfile.TemporaryDirectory() as name:
        report(measure(arguments.data or Path(name) / "day", arguments.hours), arguments.hours)


if __name__ == "__main__":
    main()
