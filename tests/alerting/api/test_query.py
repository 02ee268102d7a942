"""query, query_range, query_exemplars, format_query over a real store and engine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from alerting.api.app import POOL_STATS
from alerting.api.ports import Limits, Services
from alerting.promql import nodes
from alerting.promql.budget import Patience
from alerting.promql.engine import Engine
from alerting.promql.value import Result, Scalar
from tests.alerting.api import schemas
from tests.alerting.api.conftest import NOW_MS, START_MS, Client, serve

NOW = NOW_MS // 1000


async def get(client: Client, path: str, schema: schemas.Schema, **params: str) -> Any:
    async with client.get(f"/api/v1/{path}", params=params) as response:
        body = await response.json()
        assert response.status == 200, body
        assert response.content_type == "application/json"
    Draft202012Validator(schema).validate(body)
    return body.get("data")


async def failure(client: Client, path: str, status: int, **params: str) -> tuple[str, str]:
    async with client.get(f"/api/v1/{path}", params=params) as response:
        body = await response.json()
        assert response.status == status, body
    Draft202012Validator(schemas.ERROR).validate(body)
    return body["errorType"], body["error"]


async def test_the_health_check_of_grafana(client: Client) -> None:
    data = await get(client, "query", schemas.QUERY, query="1+1", time="4")
    assert data == {"resultType": "scalar", "result": [4, "2"]}


async def test_an_instant_vector(client: Client) -> None:
    data = await get(client, "query", schemas.QUERY, query='up{tier="2"}', time=f"{NOW}.123")
    labels = {"__name__": "up", "instance": "AGX0:9191", "job": "node", "node": "AGX0", "tier": "2"}
    assert data == {"resultType": "vector", "result": [{"metric": labels, "value": [NOW + 0.123, "1"]}]}


async def test_without_a_time_it_is_now(client: Client) -> None:
    data = await get(client, "query", schemas.QUERY, query="up")
    assert [row["value"] for row in data["result"]] == [[NOW, "1"]] * 3
    nodes_shown = [row["metric"]["node"] for row in data["result"]]
    assert nodes_shown == sorted(nodes_shown)


async def test_strings_matrices_empty_results_and_odd_values(client: Client) -> None:
    assert await get(client, "query", schemas.QUERY, query='"a\\"b"', time="4.25") == {
        "resultType": "string",
        "result": [4.25, 'a"b'],
    }
    data = await get(client, "query", schemas.QUERY, query='up{node="PI31"}[12s]')
    assert data["resultType"] == "matrix"
    assert data["result"][0]["values"] == [[NOW - 10, "1"], [NOW - 5, "1"], [NOW, "1"]]
    assert (await get(client, "query", schemas.QUERY, query="nothing")) == {"resultType": "vector", "result": []}
    data = await get(client, "query", schemas.QUERY, query="odd")
    assert [row["value"][1] for row in data["result"]] == ["1e-07", "NaN", "1e-07"]
    data = await get(client, "query", schemas.QUERY, query="vector(1e21) or vector(-1/0)")
    assert data["result"][0]["value"][1] == "1e+21"
    assert (await get(client, "query", schemas.QUERY, query="-1/0"))["result"][1] == "-Inf"


async def test_a_range(client: Client) -> None:
    params = {"query": "rate(requests_total[1m0s])", "start": str(NOW - 120), "end": str(NOW), "step": "60"}
    data = await get(client, "query_range", schemas.RANGE, **params)
    assert [row["metric"]["node"] for row in data["result"]] == ["AGX0", "PI31", "PI51"]
    assert data["result"][0]["values"] == [[NOW - 120, "2"], [NOW - 60, "2"], [NOW, "2"]]
    assert [row["values"][0][1] for row in data["result"]] == ["2", "4", "6"]
    data = await get(client, "query_range", schemas.RANGE, **{**params, "query": "nothing"})
    assert data["result"] == []
    data = await get(client, "query_range", schemas.RANGE, **{**params, "query": "42"})
    assert data["result"] == [{"metric": {}, "values": [[NOW - 120, "42"], [NOW - 60, "42"], [NOW, "42"]]}]


async def test_times_may_be_rfc3339_and_steps_durations(client: Client) -> None:
    params = {"query": "up", "start": "2023-11-14T22:12:20Z", "end": "2023-11-14T22:13:20.000Z", "step": "30s"}
    data = await get(client, "query_range", schemas.RANGE, **params)
    assert [point[0] for point in data["result"][0]["values"]] == [NOW - 60, NOW - 30, NOW]


async def test_form_and_url_are_one(client: Client) -> None:
    async with client.post("/api/v1/query?time=4&query=2", data={"query": "1"}) as response:
        assert (await response.json())["data"]["result"] == [4, "1"]


@pytest.mark.parametrize(
    ("path", "params", "message"),
    [
        (
            "query",
            {"query": "up", "time": "abc"},
            """invalid parameter "time": invalid time value for 'time': cannot parse "abc" to a valid timestamp""",
        ),
        (
            "query",
            {"query": "up", "timeout": "abc"},
            'invalid parameter "timeout": cannot parse "abc" to a valid duration',
        ),
        (
            "query_range",
            {"query": "up", "end": "1", "step": "1"},
            'invalid parameter "start": cannot parse "" to a valid timestamp',
        ),
        (
            "query_range",
            {"query": "up", "start": "1", "end": "0", "step": "1"},
            'invalid parameter "end": end timestamp must not be before start time',
        ),
        (
            "query_range",
            {"query": "up", "start": "1", "end": "2", "step": "0"},
            'invalid parameter "step": zero or negative query resolution step widths are not accepted. '
            "Try a positive integer",
        ),
        (
            "query_range",
            {"query": "up", "start": "1", "end": "20000", "step": "1"},
            "exceeded maximum resolution of 11,000 points per timeseries. "
            "Try decreasing the query resolution (?step=XX)",
        ),
        (
            "query_range",
            {"query": "up[5m]", "start": "1", "end": "2", "step": "1"},
            'invalid parameter "query": invalid expression type "range vector" for range query, '
            "must be Scalar or instant Vector",
        ),
        (
            "query_exemplars",
            {"query": "up", "start": "2", "end": "1"},
            "end timestamp must not be before start timestamp",
        ),
        ("query", {"query": "up", "limit": "-1"}, 'invalid parameter "limit": limit must be non-negative'),
    ],
)
async def test_what_is_refused_and_how(client: Client, path: str, params: dict[str, str], message: str) -> None:
    assert await failure(client, path, 400, **params) == ("bad_data", message)


async def test_a_query_that_cannot_be_read(client: Client) -> None:
    for path in ("query", "query_range", "format_query"):
        kind, message = await failure(client, path, 400, query="sum(", start="1", end="2", step="1")
        assert kind == "bad_data"
        assert message.startswith('invalid parameter "query": ')


async def test_a_query_that_fails(client: Client) -> None:
    query = 'up * on() group_left() (up or label_replace(up, "x", "y", "", ""))'
    kind, message = await failure(client, "query", 422, query=query)
    assert kind == "execution"
    assert "many-to-many matching not allowed" in message


async def test_eleven_thousand_points_are_allowed(client: Client) -> None:
    params = {"query": "vector(1)", "start": "0", "end": "11000", "step": "1"}
    data = await get(client, "query_range", schemas.RANGE, **params)
    assert len(data["result"][0]["values"]) == 11_001


async def test_extreme_times_are_answered(client: Client) -> None:
    for moment in ("1e300", "-1e300", "4", "292277025-08-18T07:12:54.999999999Z"):
        data = await get(client, "query", schemas.QUERY, query="up offset 5m", time=moment)
        assert data["result"] == []


async def test_exemplars_are_probed_with_milliseconds(client: Client) -> None:
    params = {"query": "test", "start": "1795411953387", "end": "1795413753387"}
    assert await get(client, "query_exemplars", schemas.EXEMPLARS, **params) == []


async def test_notices_and_limits(client: Client) -> None:
    async with client.get("/api/v1/query", params={"query": "rate(up[1m])", "limit": "2"}) as response:
        body = await response.json()
    Draft202012Validator(schemas.QUERY).validate(body)
    assert body["warnings"] == ["results truncated due to limit"]
    assert "metric might not be a counter" in body["infos"][0]
    assert len(body["data"]["result"]) == 2
    params = {"query": "up", "limit": "1", "start": str(START_MS / 1000), "end": str(NOW), "step": "60"}
    assert len((await get(client, "query_range", schemas.RANGE, **params))["result"]) == 1


async def test_format_query(client: Client) -> None:
    data = await get(client, "format_query", schemas.STRING_DATA, query="sum(up)by(job)")
    assert data == "sum by (job) (up)"


async def test_an_answer_of_too_many_points_is_refused(services: Services) -> None:
    async with serve(replace(services, limits=Limits(points=300))) as client:
        params = {"query": "up", "start": "1699999500", "end": "1700000000", "step": "5"}
        assert await failure(client, "query_range", 422, **params) == (
            "execution",
            "the answer would hold 303 points, at most 300 are given; "
            "ask for a longer step, a shorter time or fewer series",
        )
        assert len((await get(client, "query_range", schemas.RANGE, **{**params, "step": "6"}))["result"]) == 3
        assert (await failure(client, "query", 422, query="up[10m]"))[0] == "execution"
        assert len((await get(client, "query", schemas.QUERY, query="up[10m]", limit="2"))["result"]) == 2


class Stuck(Engine):
    """Holds every query until let go; heeds patience as the engine does."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun = 0

    def instant(
        self,
        expr: nodes.Expr,
        time_ms: int,
        *,
        deadline: float | None = None,
        patience: Patience | None = None,
        lookback_ms: int | None = None,
    ) -> Result:
        self.begun += 1
        assert patience is not None
        while not self.go.wait(0.01):
            patience.check()
        return Result(Scalar(time_ms, 1.0))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_queries_end_at_their_deadline(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alerting.api.pool._GRACE_SECONDS", 60.0)  # a busy machine may need more than a second
    async with serve(replace(services, queries=Stuck())) as client:
        assert await failure(client, "query", 503, query="1", timeout="1s") == (
            "timeout",
            "query timed out in expression evaluation",
        )
        assert await failure(client, "query", 503, query="1", timeout="0") == (
            "timeout",
            "query timed out in query execution",
        )


async def test_too_many_queries_are_turned_away_and_others_are_served(services: Services) -> None:
    stuck = Stuck()
    limits = Limits(query_seconds=600, threads=1, waiting=2)
    async with serve(replace(services, queries=stuck, limits=limits)) as client, asyncio.TaskGroup() as group:
        held = [group.create_task(get(client, "query", schemas.QUERY, query="1")) for _ in range(3)]
        await until(lambda: client.app[POOL_STATS].open == 3)
        assert await failure(client, "query", 503, query="1") == (
            "unavailable",
            "too many queries are running and waiting; try again later",
        )
        assert (await client.get("/-/healthy")).status == 200
        stuck.go.set()
        assert [(await task)["result"][1] for task in held] == ["1", "1", "1"]
        assert (await get(client, "query", schemas.QUERY, query="1"))["result"][1] == "1"
