"""The tree of parse_query, and what is beside of a query's result."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from alerting.api.ports import Services
from alerting.api.syntax import syntax_tree
from alerting.promql.parse import parse
from tests.alerting.api.conftest import NOW_MS, Client, serve

SELECTOR: dict[str, Any] = {
    "type": "vectorSelector",
    "name": "x",
    "matchers": [{"name": "__name__", "value": "x", "type": "="}],
    "offset": 0,
    "offsetExpr": None,
    "timestamp": None,
    "startOrEnd": None,
    "anchored": False,
    "smoothed": False,
}
ONE = {"type": "numberLiteral", "val": "1"}
NO_FILL = {"lhs": None, "rhs": None}


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("1", ONE),
        ("-1e3", {"type": "numberLiteral", "val": "-1000"}),
        ('"a"', {"type": "stringLiteral", "val": "a"}),
        ("x", SELECTOR),
        ("(x)", {"type": "parenExpr", "expr": SELECTOR}),
        ("-x", {"type": "unaryExpr", "op": "-", "expr": SELECTOR}),
        ("x offset -1m @ 12.5", {**SELECTOR, "offset": -60_000, "timestamp": 12_500}),
        ("x @ end()", {**SELECTOR, "startOrEnd": "end"}),
        (
            'x{a=~"b"}[5m]',
            {
                **SELECTOR,
                "type": "matrixSelector",
                "matchers": [{"name": "a", "value": "b", "type": "=~"}, *SELECTOR["matchers"]],
                "range": 300_000,
                "rangeExpr": None,
            },
        ),
        (
            "x[1h:5m]",
            {
                "type": "subquery",
                "expr": SELECTOR,
                "range": 3_600_000,
                "rangeExpr": None,
                "offset": 0,
                "offsetExpr": None,
                "step": 300_000,
                "stepExpr": None,
                "timestamp": None,
                "startOrEnd": None,
            },
        ),
        (
            "topk by (a) (1, x)",
            {
                "type": "aggregation",
                "op": "topk",
                "expr": SELECTOR,
                "param": ONE,
                "grouping": ["a"],
                "without": False,
            },
        ),
        (
            "x > bool 1",
            {"type": "binaryExpr", "op": ">", "lhs": SELECTOR, "rhs": ONE, "matching": None, "bool": True},
        ),
        (
            "x * on (a) group_left (b) x",
            {
                "type": "binaryExpr",
                "op": "*",
                "lhs": SELECTOR,
                "rhs": SELECTOR,
                "matching": {
                    "card": "many-to-one",
                    "labels": ["a"],
                    "on": True,
                    "include": ["b"],
                    "fillValues": NO_FILL,
                },
                "bool": False,
            },
        ),
        (
            "x and x",
            {
                "type": "binaryExpr",
                "op": "and",
                "lhs": SELECTOR,
                "rhs": SELECTOR,
                "matching": {
                    "card": "many-to-many",
                    "labels": [],
                    "on": False,
                    "include": [],
                    "fillValues": NO_FILL,
                },
                "bool": False,
            },
        ),
        (
            "round(x)",
            {
                "type": "call",
                "func": {"name": "round", "argTypes": ["vector", "scalar"], "variadic": 1, "returnType": "vector"},
                "args": [SELECTOR],
            },
        ),
    ],
)
def test_trees(text: str, tree: dict[str, Any]) -> None:
    assert syntax_tree(parse(text)) == tree


async def data(client: Client, path: str, **params: str) -> Any:
    async with client.get(f"/api/v1/{path}", params=params) as response:
        body = await response.json()
        assert response.status == 200, body
    return body


async def test_form_and_url_ask_for_a_tree(client: Client) -> None:
    expected = {"status": "success", "data": ONE}
    assert await data(client, "parse_query", query="1") == expected
    async with client.post("/api/v1/parse_query", data={"query": "1"}) as response:
        assert await response.json() == expected


async def test_statistics_are_given_when_asked_for(client: Client) -> None:
    body = await data(client, "query", query="up[1m]", stats="all")
    assert body["data"]["stats"]["samples"]["totalQueryableSamples"] >= 36
    assert body["data"]["stats"]["timings"]["execTotalTime"] > 0
    assert "stats" not in (await data(client, "query", query="up"))["data"]
    body = await data(client, "query_range", query="up", start="1", end="2", step="1", stats="yes")
    assert body["data"]["stats"]["samples"]["totalQueryableSamples"] == 0
    assert body["warnings"] == [
        'value "yes" for parameter "stats" is deprecated and will be rejected in the next major release, '
        'use "true" or "all"'
    ]


async def test_the_lookback_may_be_another(client: Client) -> None:
    later = str(NOW_MS / 1000 + 200)
    for lookback, count in (("", 3), ("60", 0), ("100ms", 0), ("201s", 3), ("0", 3), ("-1", 3)):
        body = await data(client, "query", query="up", time=later, lookback_delta=lookback)
        assert len(body["data"]["result"]) == count, lookback
    for path in ("query", "query_range"):
        params = {"query": "up", "start": "1", "end": "2", "step": "1", "lookback_delta": "x"}
        async with client.get(f"/api/v1/{path}", params=params) as response:
            assert (await response.json())["error"] == (
                'error parsing lookback delta duration: cannot parse "x" to a valid duration'
            )


async def test_a_query_of_no_series_has_no_exemplars_and_no_body(client: Client) -> None:
    async with client.get("/api/v1/query_exemplars?query=1") as response:
        assert (response.status, await response.read()) == (204, b"")


async def test_more_notes_than_ten_are_counted(client: Client) -> None:
    query = " + ".join(f"sum(quantile({number}, up))" for number in range(2, 15))
    body = await data(client, "query", query=query)
    assert len(body["warnings"]) == 11
    assert body["warnings"][-1] == "3 more warning annotations omitted"


async def test_cardinality(services: Services) -> None:
    async with serve(replace(services)) as client:
        body = (await data(client, "status/tsdb", limit="2"))["data"]
    assert body["headStats"] == {
        "numSeries": 9,
        "numLabelPairs": 13,
        "chunkCount": 9,
        "minTime": NOW_MS - 3_600_000,
        "maxTime": NOW_MS,
    }
    assert body["seriesCountByMetricName"] == [{"name": "odd", "value": 3}, {"name": "requests_total", "value": 3}]
    assert body["labelValueCountByLabelName"][0] == {"name": "__name__", "value": 3}
    assert body["seriesCountByLabelValuePair"][0] == {"name": "job=node", "value": 9}
    assert len(body["memoryInBytesByLabelName"]) == 2
