"""Servers that answer badly: every one ends in time with a reason."""

from __future__ import annotations

import asyncio
import gzip
import resource
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from alerting.scrape.http import HttpPages
from alerting.scrape.source import Body, ScrapeError, inflate
from tests.support import hostile_server as hs
from tests.support.ports import free_port

LIMIT = 1_000_000


async def reason(fetching: Coroutine[Any, Any, Body]) -> str:
    with pytest.raises(ScrapeError) as caught:
        await fetching
    return str(caught.value)


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (hs.hang, "no complete answer within 0.3s"),
        (hs.slow_drip, "no complete answer within 0.3s"),
        (hs.hang_up, "the server closed the connection without an answer"),
        (hs.half_close, "the connection ended in the middle of the page"),
        (hs.answer(b"a 1\n", length=100), "the connection ended in the middle of the page"),
        (hs.cut_chunks, "the connection ended in the middle of the page"),
        (hs.answer(b"busy", status="503 Service Unavailable"), "server returned HTTP status 503 Service Unavailable"),
        (hs.answer(b"", status="404 Not Found"), "server returned HTTP status 404 Not Found"),
        (hs.answer(b"", status="204 No Content"), "server returned HTTP status 204 No Content"),
        (
            hs.answer(b"", status="302 Found", headers="Location: http://127.0.0.1:1/x\r\n"),
            "server answered with a redirect to http://127.0.0.1:1/x: not followed, put that path in the inventory",
        ),
        (
            hs.answer(b"x", headers="Content-Encoding: br\r\n"),
            "server sent Content-Encoding br, which was not asked for",
        ),
    ],
)
async def test_bad_answers(behaviour: hs.Behaviour, expected: str) -> None:
    async with hs.hostile(behaviour) as server, HttpPages() as pages:
        timeout = 0.3 if "0.3s" in expected else 30
        assert await reason(pages.fetch(server.url, timeout, LIMIT)) == expected


async def test_a_head_without_end_is_refused() -> None:
    async with hs.hostile(hs.endless_headers) as server, HttpPages() as pages:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert (await reason(pages.fetch(server.url, 30, LIMIT))).startswith("the answer is not HTTP: ")
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024


async def test_an_old_server_that_ends_its_page_by_closing() -> None:
    async with hs.hostile(hs.old_http) as server, HttpPages() as pages:
        assert await pages.fetch(server.url, 30, LIMIT) == Body(b"a 1\n", gzip=False)


async def test_what_is_not_http_is_said_so() -> None:
    async with hs.hostile(hs.garbage_bytes) as server, HttpPages() as pages:
        assert (await reason(pages.fetch(server.url, 30, LIMIT))).startswith("the answer is not HTTP: ")


async def test_nobody_listens() -> None:
    port = free_port()
    async with HttpPages() as pages:
        text = await reason(pages.fetch(f"http://127.0.0.1:{port}/metrics", 30, LIMIT))
    assert text == f"cannot connect to 127.0.0.1:{port}: Connection refused"


async def test_a_page_of_100_megabytes_costs_neither_memory_nor_time() -> None:
    taken: list[int] = []
    async with hs.hostile(hs.endless(100 * 2**20, taken)) as server, HttpPages() as pages:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert (
            await reason(pages.fetch(server.url, 30, LIMIT))
            == "the page is larger than 1000000 bytes (limits.body_bytes)"
        )
        assert taken[0] < 20 * 2**20
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024


async def test_a_page_that_announces_too_much_is_not_read() -> None:
    async with hs.hostile(hs.answer(b"", length=100 * 2**20)) as server, HttpPages() as pages:
        assert "larger than" in await reason(pages.fetch(server.url, 30, LIMIT))


async def test_a_good_page_and_what_was_asked() -> None:
    async with hs.hostile(hs.answer(b"a 1\n")) as server, HttpPages("1.2") as pages:
        for _ in range(3):
            assert await pages.fetch(server.url, 30.5, LIMIT) == Body(b"a 1\n", gzip=False)
        assert server.connections == 1
        head = server.requests[0]
    assert "X-Prometheus-Scrape-Timeout-Seconds: 30.5\r\n" in head
    assert "Accept-Encoding: identity\r\n" in head
    assert "User-Agent: Tierwatch/1.2\r\n" in head
    assert "text/plain;version=0.0.4" in head


async def test_compressed_pages_come_as_they_are() -> None:
    packed = gzip.compress(b"a 1\n")
    async with hs.hostile(hs.answer(packed, headers="Content-Encoding: gzip\r\n")) as server, HttpPages() as pages:
        body = await pages.fetch(server.url, 30, LIMIT)
    assert body == Body(packed, gzip=True)
    assert inflate(body.data, LIMIT) == b"a 1\n"


def test_a_bomb_stops_at_the_limit() -> None:
    bomb = hs.bomb(64 * 2**20)
    assert len(bomb) < 200_000
    started = time.thread_time()
    gzip.decompress(bomb)
    whole = time.thread_time() - started
    started = time.thread_time()
    with pytest.raises(ScrapeError, match=r"the page is larger than 1000000 bytes"):
        inflate(bomb, LIMIT)
    assert time.thread_time() - started < whole / 2


def test_damaged_and_cut_off_compression() -> None:
    packed = gzip.compress(b"a 1\n" * 1000)
    with pytest.raises(ScrapeError, match="the compressed page is cut off"):
        inflate(packed[:-9], LIMIT)
    with pytest.raises(ScrapeError, match="the compressed page is damaged"):
        inflate(b"not gzip at all", LIMIT)


async def test_a_fetch_can_be_cancelled() -> None:
    async with hs.hostile(hs.hang) as server, HttpPages() as pages:
        task = asyncio.get_running_loop().create_task(pages.fetch(server.url, 10, LIMIT))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
