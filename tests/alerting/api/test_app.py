"""What all answers have in common; status, health, errors, compression."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
import zlib
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import ClientSession, FormData
from jsonschema import Draft202012Validator
from yarl import URL

from alerting.api.answer import _accepted
from alerting.api.app import POOL_STATS, REQUEST_STATS
from alerting.api.ports import Limits, Services
from alerting.promql import nodes
from alerting.promql.budget import Patience
from alerting.promql.engine import Engine
from alerting.promql.value import Result
from tests.alerting.api import schemas
from tests.alerting.api.conftest import Client, serve


async def data_of(client: Client, path: str, schema: schemas.Schema) -> Any:
    async with client.get(path) as response:
        body = await response.json()
        assert response.status == 200
    Draft202012Validator(schema).validate(body)
    return body["data"]


async def test_status(client: Client) -> None:
    build = await data_of(client, "/api/v1/status/buildinfo", schemas.BUILDINFO)
    assert build["version"] == "2.55.0"
    assert build["revision"] == "tierwatch-1.2.3"
    runtime = await data_of(client, "/api/v1/status/runtimeinfo", schemas.RUNTIMEINFO)
    assert runtime["startTime"] == "2023-11-14T22:13:20Z"
    assert runtime["storageRetention"] == "4w2d"
    assert await data_of(client, "/api/v1/status/config", schemas.CONFIG) == {"yaml": "a: 1\n"}


async def test_health(client: Client) -> None:
    for path, text in (("/-/healthy", "Tierwatch is Healthy.\n"), ("/-/ready", "Tierwatch is Ready.\n")):
        async with client.get(path) as response:
            assert (response.status, await response.text()) == (200, text)
        async with client.head(path) as response:
            assert response.status == 200


async def test_not_ready_says_why(services: Services) -> None:
    async with serve(replace(services, not_ready=lambda: "3 targets were not scraped yet")) as client:
        async with client.get("/-/ready") as response:
            assert response.status == 503
            assert await response.text() == "Tierwatch is not ready: 3 targets were not scraped yet\n"
        assert (await client.get("/-/healthy")).status == 200


async def test_nothing_is_changed_over_http(client: Client) -> None:
    async with client.post("/-/reload") as response:
        assert response.status == 403
        assert "SIGHUP" in await response.text()
    for method, path in (("DELETE", "/api/v1/series"), ("PUT", "/api/v1/query"), ("POST", "/api/v1/rules")):
        async with client.request(method, path) as response:
            assert response.status == 405
            assert "GET" in response.headers["Allow"]
            Draft202012Validator(schemas.ERROR).validate(await response.json())


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v1/status/flags", "/api/v2/status", "/api/v1/label//values"])
async def test_unknown_paths_of_the_api_are_json(client: Client, path: str) -> None:
    async with client.get(path) as response:
        body = await response.json()
        assert response.status == 404
    Draft202012Validator(schemas.ERROR).validate(body)
    assert body["errorType"] == "not_found"


@pytest.mark.parametrize("path", ["/rules/test/test", "/config/v1/rules", "/alertmanager/api/v2/status", "/nothing"])
async def test_other_unknown_paths_read_as_grafanas_probe_wants(client: Client, path: str) -> None:
    async with client.get(path) as response:
        assert response.status == 404
        assert "page not found" in await response.text()


async def raw(client: Client, accept: str, path: str) -> tuple[str, bytes]:
    async with ClientSession(auto_decompress=False) as session:
        async with session.get(client.make_url(path), headers={"Accept-Encoding": accept}) as response:
            return response.headers.get("Content-Encoding", ""), await response.read()


async def test_compression_when_asked_for(client: Client) -> None:
    path = "/api/v1/query_range?query=requests_total&start=1699999400&end=1700000000&step=5"
    encoding, plain = await raw(client, "identity", path)
    assert encoding == ""
    assert len(json.loads(plain)["data"]["result"]) == 3
    encoding, packed = await raw(client, "deflate, gzip", path)
    assert encoding == "gzip"
    assert gzip.decompress(packed) == plain
    encoding, packed = await raw(client, "deflate", path)
    assert encoding == "deflate"
    assert zlib.decompress(packed) == plain
    assert (await raw(client, "gzip;q=0", path)) == ("", plain)
    assert (await raw(client, "gzip", "/api/v1/alerts"))[0] == ""


def test_what_a_client_accepts() -> None:
    assert _accepted("gzip;q=0.5, deflate;q=0, br ;q=0.0,x") == {"gzip", "x"}
    assert _accepted("") == {""}


async def test_no_other_site_may_read(client: Client) -> None:
    async with client.get("/api/v1/alerts", headers={"Origin": "http://elsewhere"}) as response:
        assert not [name for name in response.headers if name.lower().startswith("access-control")]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    async with client.options("/api/v1/query", headers={"Origin": "http://elsewhere"}) as response:
        assert response.status == 204  # as Prometheus; without the headers it lets nobody in
        assert not [name for name in response.headers if name.lower().startswith("access-control")]


async def test_a_request_too_large_is_refused(services: Services) -> None:
    async with serve(replace(services, limits=Limits(body_bytes=1000))) as client:
        async with client.post("/api/v1/query", data={"query": "1" * 2000}) as response:
            assert response.status == 413
            Draft202012Validator(schemas.ERROR).validate(await response.json())
        async with client.post("/api/v1/query", data={"query": "1" * 100}) as response:
            assert response.status == 200


async def test_a_form_that_is_none(client: Client) -> None:
    plain = {"Content-Type": "application/x-www-form-urlencoded; charset=nonsense"}
    for data in (b"query=%22%ff%22", b"query='\xff'", b"&".join([b"a=1"] * 3000)):
        async with client.post("/api/v1/query", data=data, headers=plain) as response:
            body = await response.json()
            assert response.status == 400
        assert body["error"].startswith("error parsing form values: ")
    async with client.get(URL("/api/v1/query?query=%22%ff%22", encoded=True)) as response:
        assert (await response.json())["error"] == "error parsing form values: invalid UTF-8"


async def test_forms_of_all_kinds(client: Client) -> None:
    plain = {"Content-Type": "application/x-www-form-urlencoded; charset=nonsense"}
    parts = FormData({"query": "'é'", "time": "1"}, default_to_multipart=True)
    for data, headers in ((b"query='\xc3\xa9'&time=1", plain), (b"query=%27%C3%A9%27&time=1", plain), (parts, {})):
        async with client.post("/api/v1/query?query=2", data=data, headers=headers) as response:
            assert response.status == 200, await response.text()
            assert (await response.json())["data"]["result"] == [1, "é"]


class Faulty(Engine):
    def __init__(self) -> None:
        pass

    def instant(
        self,
        expr: nodes.Expr,
        time_ms: int,
        *,
        deadline: float | None = None,
        patience: Patience | None = None,
        lookback_ms: int | None = None,
    ) -> Result:
        raise RuntimeError("secret detail")


async def test_a_fault_of_ours_is_logged_and_not_shown(services: Services, caplog: pytest.LogCaptureFixture) -> None:
    async with serve(replace(services, queries=Faulty())) as client:
        async with client.get("/api/v1/query?query=1") as response:
            body = await response.json()
            assert response.status == 500
    assert body["errorType"] == "internal"
    assert "secret" not in body["error"]
    assert "secret detail" in caplog.text


async def test_own_metrics_and_counts(client: Client) -> None:
    async with client.get("/metrics") as response:
        assert await response.text() == "tierwatch_build_info 1\n"
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    await client.get("/api/v1/label/a/values")
    await client.get("/api/v1/query?query=(")
    await client.get("/a/b/c")
    assert client.app is not None
    stats = client.app[REQUEST_STATS]
    assert stats.counts == {
        ("/metrics", 200): 1,
        ("/api/v1/label/{name}/values", 200): 1,
        ("/api/v1/query", 400): 1,
        ("other", 404): 1,
    }
    assert client.app[POOL_STATS].queries == 2


async def test_own_metrics_take_one_thread_however_many_ask(services: Services) -> None:
    begun, go = threading.Event(), threading.Event()
    inside, most = 0, 0

    def page() -> bytes:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        begun.set()
        assert go.wait(60)
        inside -= 1
        return b"a 1\n"

    async def ask(client: Client) -> str:
        async with client.get("/metrics") as response:
            return await response.text()

    async with serve(replace(services, metrics=page)) as client, asyncio.TaskGroup() as group:
        asked = [group.create_task(ask(client)) for _ in range(4)]
        assert await asyncio.to_thread(begun.wait, 60)
        await asyncio.sleep(0.1)  # the others would be there by now
        go.set()
        assert [await task for task in asked] == ["a 1\n"] * 4
    assert most == 1
