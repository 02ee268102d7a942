"""labels, label values, series, metadata: what Grafana's variables and query builder ask."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from alerting.api.series import unescape_name
from tests.alerting.api import schemas
from tests.alerting.api.conftest import NOW_MS, START_MS, Client

NOW, START = str(NOW_MS // 1000), str(START_MS // 1000)
Query = list[tuple[str, str]]


async def get(client: Client, path: str, schema: schemas.Schema, query: Query | None = None) -> Any:
    async with client.get(f"/api/v1/{path}", params=query or []) as response:
        body = await response.json()
        assert response.status == 200, body
    Draft202012Validator(schema).validate(body)
    return body["data"]


async def failure(client: Client, path: str, query: Query | None = None) -> tuple[int, str]:
    async with client.get(f"/api/v1/{path}", params=query or []) as response:
        body = await response.json()
        Draft202012Validator(schemas.ERROR).validate(body)
        return response.status, body["error"]


async def test_label_names(client: Client) -> None:
    assert await get(client, "labels", schemas.STRINGS) == ["__name__", "instance", "job", "node", "tier"]
    query = [("start", START), ("end", NOW), ("limit", "40000"), ("match[]", '{__name__=~".*up.*"}')]
    assert "node" in await get(client, "labels", schemas.STRINGS, query)
    async with client.post("/api/v1/labels", data={"match[]": "nothing"}) as response:
        assert await response.json() == {"status": "success", "data": []}


async def test_label_values(client: Client) -> None:
    names = ["odd", "requests_total", "up"]
    assert await get(client, "label/__name__/values", schemas.STRINGS) == names
    query = [("match[]", 'up{tier="2"}'), ("match[]", 'up{node="PI31"}'), ("start", START), ("end", NOW)]
    assert await get(client, "label/node/values", schemas.STRINGS, query) == ["AGX0", "PI31"]
    assert await get(client, "label/nope/values", schemas.STRINGS) == []
    assert await get(client, "label/U__node/values", schemas.STRINGS) == ["AGX0", "PI31", "PI51"]


async def test_the_window_is_heeded(client: Client) -> None:
    before = [("start", "1000"), ("end", "2000")]
    assert await get(client, "label/node/values", schemas.STRINGS, before) == []
    assert await get(client, "labels", schemas.STRINGS, before) == []
    assert await get(client, "series", schemas.SERIES, [*before, ("match[]", "up")]) == []


async def test_series(client: Client) -> None:
    found = await get(client, "series", schemas.SERIES, [("match[]", 'up{node="PI51"}'), ("match[]", 'odd{tier="5"}')])
    assert found == [
        {"__name__": "odd", "instance": "PI31:9191", "job": "node", "node": "PI31", "tier": "5"},
        {"__name__": "up", "instance": "PI51:9191", "job": "node", "node": "PI51", "tier": "1"},
    ]
    async with client.post("/api/v1/series?match[]=odd", data={"match[]": "up", "limit": "4"}) as response:
        body = await response.json()
    assert len(body["data"]) == 4
    assert body["warnings"] == ["results truncated due to limit"]


@pytest.mark.parametrize(
    ("path", "query", "message"),
    [
        ("series", [], "no match[] parameter provided"),
        (
            "series",
            [("match[]", "{}")],
            'invalid parameter "match[]": match[] must contain at least one non-empty matcher',
        ),
        (
            "labels",
            [("match[]", '{a=~".*"}')],
            "match[] must contain at least one non-empty matcher",
        ),
        (
            "series",
            [("match[]", "sum(up)")],
            """invalid parameter "match[]": expected a series selector, got 'sum(up)'""",
        ),
        (
            "labels",
            [("start", "x")],
            """invalid parameter "start": invalid time value for 'start': cannot parse "x" to a valid timestamp""",
        ),
        ("metadata", [("limit", "x")], "limit must be a number"),
        ("metadata", [("limit_per_metric", "1.5")], "limit_per_metric must be a number"),
        ("labels", [("limit", "x")], 'invalid parameter "limit": strconv.Atoi: parsing "x": invalid syntax'),
    ],
)
async def test_what_is_refused_and_how(client: Client, path: str, query: Query, message: str) -> None:
    assert await failure(client, path, query) == (400, message)


async def test_metadata(client: Client) -> None:
    counter = {"type": "counter", "help": "Requests.", "unit": ""}
    other = {"type": "counter", "help": "Others say.", "unit": ""}
    odd = {"type": "gauge", "help": "Odd.", "unit": "seconds"}
    assert await get(client, "metadata", schemas.METADATA) == {"odd": [odd], "requests_total": [counter, other]}
    assert await get(client, "metadata", schemas.METADATA, [("metric", "odd")]) == {"odd": [odd]}
    assert await get(client, "metadata", schemas.METADATA, [("metric", "none")]) == {}
    assert await get(client, "metadata", schemas.METADATA, [("limit", "1")]) == {"odd": [odd]}
    assert await get(client, "metadata", schemas.METADATA, [("limit", "0")]) == {}
    found = await get(client, "metadata", schemas.METADATA, [("limit_per_metric", "1"), ("limit", "40000")])
    assert found == {"odd": [odd], "requests_total": [counter]}


async def test_metadata_of_targets(client: Client) -> None:
    async with client.get("/api/v1/targets/metadata", params={"match_target": '{tier="5"}'}) as response:
        body = await response.json()
    (item,) = body["data"]
    assert item["metric"] == "requests_total"
    assert item["target"]["node"] == "PI31"
    async with client.get("/api/v1/targets/metadata?metric=none") as response:
        assert await response.json() == {"status": "success", "data": []}


@pytest.mark.parametrize(
    ("escaped", "name"),
    [
        ("node", "node"),
        ("U__a_2e_b", "a.b"),
        ("U__a__b", "a_b"),
        ("U___1F600_", "\U0001f600"),
        ("U___d800_", "\ufffd"),
        ("U__a_b", "U__a_b"),
        ("U__a_", "U__a_"),
        ("U__a_10ffff_", "U__a_10ffff_"),
        ("U__a_g_", "U__a_g_"),
    ],
)
def test_escaped_names(escaped: str, name: str) -> None:
    assert unescape_name(escaped) == name


async def test_so_many_selectors_are_read_and_no_more(client: Client) -> None:
    for count, status in ((500, 200), (501, 400)):
        async with client.post("/api/v1/labels", data=[("match[]", "up")] * count) as response:
            body = await response.json()
            assert response.status == status
    assert body["error"] == "501 match[] parameters were given, at most 500 are read"


async def test_a_url_too_long_is_refused(client: Client) -> None:
    async with client.get("/api/v1/labels?match[]=" + "x" * 9000) as response:
        assert response.status == 400


async def test_names_that_are_no_identifiers_may_be_asked_for(client: Client) -> None:
    for name in ("a-b", "U__a_2e_b", "%F0%9F%98%80"):
        assert await get(client, f"label/{name}/values", schemas.STRINGS) == []
