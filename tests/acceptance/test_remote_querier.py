"""Prometheus and VictoriaMetrics as a ``Querier``: the same as the own store, and the engine over them says what they
say themselves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from alerting.model.labels import Labels
from alerting.model.matcher import Matcher
from alerting.promql.engine import Engine
from alerting.promql.parse import parse
from alerting.promql.value import Matrix, Vector
from alerting.remote import wire
from alerting.remote.http import Http
from alerting.remote.own_part import OwnPart
from alerting.remote.querier import RemoteQuerier
from alerting.storage.ports import Querier
from config.remote import Endpoint
from tests.alerting.remote.conformance import CHECKS, DATA, END_MS, START_MS
from tests.support.differential import Case, Comparison
from tests.support.machine import PATIENCE
from tests.support.prometheus import prometheus_with
from tests.support.random_promql import data
from tests.support.remote_peers import KINDS, RemotePeer

pytestmark = pytest.mark.acceptance

QUERIES = [
    "temp",
    "temp > 3",
    "gone",
    "sum by (job) (temp)",
    '{node="a", __name__=~"temp|gone"}',
    "rate(c_total[2m])",
    "increase(c_total[61s])",
    "max_over_time(temp[3m])",
    "count_over_time(temp[5m])",
    "avg_over_time(temp[2m:20s])",
    "temp offset 45s",
    "timestamp(temp)",
    'absent(temp{node="c"})',
    "topk(2, temp)",
    "temp * on (node) group_left () c_total",
]
# VictoriaMetrics has its own idea of these: its rate looks before the window, its range queries look back as far as
# samples are apart (so a gap ends a series), and its subqueries begin elsewhere.
OTHER_ON_VICTORIA = {
    "rate(c_total[2m])",
    "increase(c_total[61s])",
    "avg_over_time(temp[2m:20s])",
    "max_over_time(temp[3m])",
    "timestamp(temp)",
    'absent(temp{node="c"})',
}

SEED, RANDOM_QUERIES = 70_000, 60

Points = dict[Labels, dict[int, float]]


@pytest.fixture(scope="module", params=KINDS)
def peer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemotePeer]:
    with RemotePeer(request.param, tmp_path_factory.mktemp("peer")) as started:
        sender = Http(Endpoint(started.write_url, timeout=10.0 * PATIENCE), "test")
        answer = sender.ask("", wire.encode(DATA), wire.HEADERS, most_bytes=1 << 20)
        sender.close()
        assert answer.status in (200, 204), answer
        started.settle()
        yield started


@pytest.fixture(scope="module", params=KINDS)
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnPart]:
    """One store for two clusters with the same series, told apart by their external labels only."""
    with RemotePeer(request.param, tmp_path_factory.mktemp("two-clusters")) as started:
        sender = Http(Endpoint(started.write_url, timeout=10.0 * PATIENCE), "test")
        for site in ("home", "away"):
            body = wire.encode(DATA, Labels.of({"site": site}))
            assert sender.ask("", body, wire.HEADERS, most_bytes=1 << 20).status in (200, 204)
        sender.close()
        started.settle()
        http = Http(Endpoint(started.url, timeout=10.0 * PATIENCE), "test")
        yield OwnPart(RemoteQuerier(http), Labels.of({"site": "home"}))
        http.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_cluster_sees_its_own_part(home: OwnPart, check: Callable[[Querier], None]) -> None:
    check(home)


def test_others_are_seen_by_name(home: OwnPart) -> None:
    found = home.series([[Matcher("__name__", "=", "gone"), Matcher("site", "!=", "")]], START_MS, END_MS)
    assert [labels.get("site") for labels in found] == ["away", "home"]
    assert home.label_values("site", [], START_MS, END_MS) == ["away", "home"]


@pytest.fixture
def querier(peer: RemotePeer) -> Iterator[RemoteQuerier]:
    http = Http(Endpoint(peer.url, timeout=10.0 * PATIENCE), "test")
    yield RemoteQuerier(http)
    http.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_remote_store(querier: RemoteQuerier, check: Callable[[Querier], None]) -> None:
    check(querier)


def test_labels_and_values(querier: RemoteQuerier) -> None:
    assert querier.label_names([], START_MS, END_MS) == ["__name__", "job", "node", "text"]
    assert querier.label_values("node", [], START_MS, END_MS) == ["a", "b", "c"]


@pytest.mark.parametrize("query", QUERIES)
def test_the_engine_says_what_the_server_says(peer: RemotePeer, querier: RemoteQuerier, query: str) -> None:
    engine, expr = Engine(querier), parse(query)
    for offset in (31_007, 155_003, 300_007, 449_001, 640_001):
        at = START_MS + offset
        vector = engine.instant(expr, at).value
        assert isinstance(vector, Vector)
        theirs = points(peer.ask("query", query=query, time=at / 1000, nocache=1, step="5m")["result"])
        if peer.kind == "prometheus" or query not in OTHER_ON_VICTORIA:
            same({labels: {at: value} for labels, value in vector}, theirs)
    if peer.kind == "victoria-metrics" and query in OTHER_ON_VICTORIA | {"temp offset 45s"}:
        return
    for first, last, step in ((START_MS - 60_013, END_MS, 20_000), (START_MS + 101_003, START_MS + 163_003, 1_000)):
        matrix = engine.range(expr, first, last, step).value
        assert isinstance(matrix, Matrix)
        asked = {"query": query, "start": first / 1000, "end": last / 1000, "step": step / 1000, "nocache": 1}
        same({one.labels: dict(one) for one in matrix}, points(peer.ask("query_range", **asked)["result"]))


def test_random_queries_have_the_server_s_answers(tmp_path: Path) -> None:
    series = data()
    with (
        prometheus_with(series, tmp_path) as base,
        closing(Http(Endpoint(base, timeout=20.0 * PATIENCE), "test")) as http,
    ):
        with closing(Comparison(base, RemoteQuerier(http))) as comparison:
            cases = [Case.of(seed) for seed in range(SEED, SEED + RANDOM_QUERIES)]
            assert [found for case in cases for found in comparison.differences(case)] == []
            assert [comparison.kind_of_answer(case) for case in cases].count("some") > RANDOM_QUERIES / 3


def points(result: list[dict[str, object]]) -> Points:
    found: Points = {}
    for one in result:
        rows = one.get("values", [one.get("value")])
        assert isinstance(one["metric"], dict)
        assert isinstance(rows, list)
        found[Labels.of(one["metric"])] = {round(at * 1000): float(value) for at, value in rows}
    return found


def same(ours: Points, theirs: Points) -> None:
    assert ours.keys() == theirs.keys()
    for labels, rows in ours.items():
        assert rows.keys() == theirs[labels].keys(), labels
        for at, value in rows.items():
            assert math.isclose(value, theirs[labels][at], rel_tol=1e-9, abs_tol=1e-9), (labels, at)
