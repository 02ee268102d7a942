"""Random queries to a real Prometheus and to the engine, on the same data; what differs.

By hand, for as many as one likes: ``python -m tests.support.differential COUNT [FIRST_SEED]``.
"""

from __future__ import annotations

import http.client
import json
import math
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from alerting.model.labels import Labels
from alerting.promql.engine import Engine
from alerting.promql.errors import QueryError
from alerting.promql.parse import parse
from alerting.promql.value import Matrix, Scalar, String, Value, Vector
from alerting.storage.options import StoreOptions
from alerting.storage.ports import Querier
from alerting.storage.store import Store
from alerting.transfer import import_cli
from tests.support.machine import PATIENCE
from tests.support.memory_querier import MemoryQuerier
from tests.support.prometheus import Data, openmetrics, prometheus_with
from tests.support.random_promql import LENGTH_MS, START_MS, Grammar, data

Points = dict[Labels, dict[int, float]]
# A kind of result and its points; None for an error.
Answer = tuple[str, Points] | None


@dataclass(frozen=True, slots=True)
class Case:
    """One query. ``span`` is start, end, step for a range query; all times in milliseconds."""

    seed: int
    query: str
    time_ms: int
    span: tuple[int, int, int]

    @classmethod
    def of(cls, seed: int) -> Case:
        grammar = Grammar(seed)
        return cls(seed, grammar.query(), grammar.time_ms(), grammar.span())


class Comparison:
    """``base`` is the address of a Prometheus that holds what ``querier`` has."""

    def __init__(self, base: str, querier: Querier) -> None:
        self._engine = Engine(querier)
        self._peer = http.client.HTTPConnection(urlsplit(base).netloc, timeout=10 * PATIENCE)

    def close(self) -> None:
        self._peer.close()

    def differences(self, case: Case) -> list[str]:
        """What differs, instant and range; each with what is needed to repeat it."""
        found = []
        start, end, step = case.span
        for shown, mine, theirs in (
            (f"at {case.time_ms}", self._instant(case), self._ask("query", query=case.query, time=case.time_ms / 1000)),
            (
                f"from {start} to {end} step {step}",
                self._range(case),
                self._ask("query_range", query=case.query, start=start / 1000, end=end / 1000, step=step / 1000),
            ),
        ):
            problem = _difference(mine, theirs)
            if problem:
                found.append(f"seed {case.seed} {shown}: {case.query}\n    {problem}")
        return found

    def formatted(self, query: str) -> str:
        """How Prometheus writes a query."""
        self._peer.request("GET", f"/api/v1/format_query?{urlencode({'query': query})}")
        answer = json.loads(self._peer.getresponse().read())
        return str(answer.get("data", answer))

    def kind_of_answer(self, case: Case) -> str:
        """What the engine makes of a query: error, empty or some."""
        answer, _ = self._instant(case)
        return "error" if answer is None else "some" if answer[1] else "empty"

    def _instant(self, case: Case) -> tuple[Answer, str]:
        try:
            return _ours(self._engine.instant(parse(case.query), case.time_ms).value), ""
        except QueryError as error:
            return None, str(error)

    def _range(self, case: Case) -> tuple[Answer, str]:
        try:
            return _ours(self._engine.range(parse(case.query), *case.span).value), ""
        except QueryError as error:
            return None, str(error)

    def _ask(self, path: str, **parameters: object) -> tuple[Answer, str]:
        self._peer.request("GET", f"/api/v1/{path}?{urlencode(parameters)}")
        answer = json.loads(self._peer.getresponse().read())
        if answer["status"] != "success":
            return None, answer["error"]
        return _theirs(answer["data"]), ""


def _ours(value: Value) -> Answer:
    match value:
        case Vector():
            return "vector", {labels: {value.time_ms: number} for labels, number in value}
        case Matrix():
            return "matrix", {series.labels: dict(series) for series in value}
        case Scalar():
            return "scalar", {Labels(): {value.time_ms: value.value}}
        case String():
            return f"string {value.value}", {}


def _theirs(found: Any) -> Answer:
    kind, rows = found["resultType"], found["result"]
    if kind == "string":
        return f"string {rows[1]}", {}
    if kind == "scalar":
        rows = [{"metric": {}, "value": rows}]
    return kind, {
        Labels.of(row["metric"]): {
            round(at * 1000): float(value) for at, value in (row["values"] if "values" in row else [row["value"]])
        }
        for row in rows
    }


def _difference(mine: tuple[Answer, str], theirs: tuple[Answer, str]) -> str:
    """The first thing that differs; empty when nothing does."""
    (ours, our_error), (peers, peer_error) = mine, theirs
    if ours is None or peers is None:
        if ours is None and peers is None:
            return ""
        return f"ours: {our_error or 'an answer'}; Prometheus: {peer_error or 'an answer'}"
    if ours[0] != peers[0]:
        return f"ours is a {ours[0]}, Prometheus' a {peers[0]}"
    return differing_points(ours[1], peers[1])


def differing_points(ours: Points, theirs: Points) -> str:
    """The first difference between two results; values agree to nine digits."""
    for labels in ours.keys() ^ theirs.keys():
        return f"{labels} is only in {'ours' if labels in ours else 'theirs'}"
    for labels, points in ours.items():
        others = theirs[labels]
        for at in points.keys() ^ others.keys():
            return f"{labels} has a point at {at} only in {'ours' if at in points else 'theirs'}"
        for at, value in points.items():
            if not same_number(value, others[at]):
                return f"{labels} at {at}: {value!r}, Prometheus says {others[at]!r}"
    return ""


def same_number(left: float, right: float) -> bool:
    if math.isnan(left) or math.isnan(right):
        return math.isnan(left) and math.isnan(right)
    return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-9)


def in_memory(series: Data) -> MemoryQuerier:
    querier = MemoryQuerier()
    for labels, rows in series.items():
        querier.put(labels, rows)
    return querier


@contextmanager
def imported(series: Data, home: Path) -> Iterator[Store]:
    """A store into which the samples were imported, from the same text that Prometheus gets."""
    (home / "ours").mkdir()
    (home / "ours.om").write_text(openmetrics(series), encoding="utf-8")
    status = import_cli.main([str(home / "ours.om"), "--data", str(home / "ours"), "--retention", "100y"])
    assert status == 0
    options = StoreOptions(retention_ms=100 * 365 * 86_400_000)
    store = Store.open(home / "ours" / "metrics.db", options, START_MS + LENGTH_MS)
    try:
        yield store
    finally:
        store.close()


def main(count: int, first: int) -> int:
    series = data()
    with (
        tempfile.TemporaryDirectory() as home,
        prometheus_with(series, Path(home)) as base,
        imported(series, Path(home)) as store,
    ):
        comparison = Comparison(base, store)
        different = 0
        for seed in range(first, first + count):
            for problem in comparison.differences(Case.of(seed)):
                different += 1
                print(problem, flush=True)
        comparison.close()
    print(f"{count} queries from seed {first}, instant and range: {different} differences")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1))
