from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from exporters.app import App, CannotListen, Options
from exporters.events import Events
from exporters.registry import TABLE
from exporters.runner import Runner
from exporters.web import MAX_FIELD_BYTES, MAX_REQUESTS, SCRAPE_TIMEOUT, Pages, accepts_gzip, patience
from tests.exporters.support import FAR, Constant, Hanging, only, settings

WANTED = only({"loadavg", "exporter"}, TABLE)


@pytest.fixture
async def app() -> AsyncIterator[App]:
    found = App(Options(settings("vm"), ("127.0.0.1", 0), WANTED))
    await found.start()
    yield found
    await found.stop()


@pytest.fixture
async def client(app: App) -> AsyncIterator[aiohttp.ClientSession]:
    host, port = app.address
    async with aiohttp.ClientSession(f"http://{host}:{port}", auto_decompress=False) as session:
        yield session


async def test_metrics(client: aiohttp.ClientSession) -> None:
    async with client.get("/metrics", headers={"Accept-Encoding": "identity"}) as answer:
        page = await answer.read()
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert "Content-Encoding" not in answer.headers
    assert b"node_load1 " in page
    assert b'tierwatch_exporter_node_info{node="PI41",tier="4",board="raspberry-pi-4"} 1.0\n' in page


async def test_gzip_when_asked(client: aiohttp.ClientSession) -> None:
    async with client.get("/metrics", headers={"Accept-Encoding": "deflate, gzip"}) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert b"node_load1 " in gzip.decompress(await answer.read())


async def test_health_and_index(client: aiohttp.ClientSession) -> None:
    async with client.get("/-/healthy") as answer:
        assert (answer.status, await answer.text()) == (200, "Tierwatch exporter is healthy.\n")
    async with client.get("/") as answer:
        assert answer.status == 200
        assert 'href="/metrics"' in await answer.text()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("HEAD", "/metrics", 200),
        ("POST", "/metrics", 405),
        ("DELETE", "/", 405),
        ("GET", "/elsewhere", 404),
        ("GET", "/../../etc/passwd", 404),
    ],
)
async def test_methods_and_paths(client: aiohttp.ClientSession, method: str, path: str, status: int) -> None:
    async with client.request(method, path) as answer:
        assert answer.status == status


async def test_a_body_is_refused_unread(client: aiohttp.ClientSession) -> None:
    async with client.request("GET", "/metrics", data=b"x" * 100_000) as answer:
        assert answer.status == 413
        assert answer.headers["Connection"] == "close"


async def test_headers_are_bounded(client: aiohttp.ClientSession) -> None:
    async with client.get("/metrics", headers={"X-Long": "x" * (2 * MAX_FIELD_BYTES)}) as answer:
        assert answer.status == 400


async def test_garbage_does_not_disturb(app: App, client: aiohttp.ClientSession) -> None:
    host, port = app.address
    for garbage in (b"\x00\xff\x16\x03\x01 nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"G"):
        _, writer = await asyncio.open_connection(host, port)
        writer.write(garbage)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    async with client.get("/-/healthy") as answer:
        assert answer.status == 200


async def test_a_taken_port_is_told(app: App) -> None:
    host, port = app.address
    second = App(Options(settings("vm"), (host, port), WANTED))
    with pytest.raises(CannotListen, match=f"cannot listen on {host}:{port}"):
        await second.start()
    await second.stop()


async def test_what_collectors_started_is_ended_after_listening() -> None:
    app = App(Options(settings("vm"), ("127.0.0.1", 0), WANTED))
    ended: list[str] = []
    app._cleanups += [lambda: ended.append("first made"), lambda: ended.append("last made")]
    await app.start()
    await app.stop()
    assert ended == ["last made", "first made"]
    with pytest.raises(RuntimeError, match="not listening"):
        _ = app.address


async def test_the_scrapers_timeout_is_kept_when_a_collector_hangs() -> None:
    hanging = Hanging()
    pages = Pages(Runner({"hanging": hanging, "good": Constant()}, deadline=FAR), Events())
    try:
        async with TestServer(pages.application()) as server, aiohttp.ClientSession(server.make_url("/")) as client:
            begun = time.monotonic()
            async with client.get("/metrics", headers={SCRAPE_TIMEOUT: "1.5"}) as answer:
                page = await answer.text()
            assert time.monotonic() - begun < FAR / 2
    finally:
        hanging.release.set()
    assert 'node_scrape_collector_success{collector="hanging"} 0.0\n' in page
    assert 'tierwatch_example{name="a"} 1.0\n' in page


async def test_more_requests_than_can_wait_are_refused() -> None:
    hanging = Hanging()
    pages = Pages(Runner({"hanging": hanging}, deadline=FAR), Events())
    many = aiohttp.TCPConnector(limit=0)
    async with (
        TestServer(pages.application()) as server,
        aiohttp.ClientSession(server.make_url("/"), connector=many) as client,
    ):

        async def status() -> int:
            async with client.get("/metrics") as answer:
                return answer.status

        requests = [asyncio.ensure_future(status()) for _ in range(MAX_REQUESTS + 5)]
        async with asyncio.timeout(FAR):
            while sum(request.done() for request in requests) < 5:
                await asyncio.wait(requests, timeout=1, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.sleep(0.01)
        refused = [request.result() for request in requests if request.done()]
        hanging.release.set()
        found = await asyncio.gather(*requests)
    assert refused == [503] * 5
    assert (found.count(503), found.count(200)) == (5, MAX_REQUESTS)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("10", 10.0), ("0.5", 0.5), (None, None), ("", None), ("-1", None), ("nan", None), ("inf", None), ("soon", None)],
)
def test_patience(header: str | None, seconds: float | None) -> None:
    assert patience(header) == seconds


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("", False),
        ("gzip", True),
        ("deflate, gzip;q=0.8", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0", False),
        ("br", False),
    ],
)
def test_accepts_gzip(header: str, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted
