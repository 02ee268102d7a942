"""Kept connections: asked again and again, and never believed when something about them is odd."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from alerting.scrape import plain as plain_module
from alerting.scrape.plain import Connection, PlainPages
from alerting.scrape.source import Body, ScrapeError
from tests.support import hostile_server as hs

LIMIT = 1_000_000
PAGE = Body(b"a 1\n", gzip=False)
GOOD = hs.answer(PAGE.data)


@asynccontextmanager
async def opened() -> AsyncIterator[PlainPages]:
    pages = PlainPages({"User-Agent": "test"})
    pages.open()
    try:
        yield pages
    finally:
        pages.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def in_turn(*behaviours: hs.Behaviour) -> hs.Behaviour:
    """One after the other, whatever connection they come on."""
    left = list(behaviours)

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await left.pop(0)(reader, writer)

    return behave


def then(first: hs.Behaviour, more: bytes = b"", *, close: bool = False) -> hs.Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await first(reader, writer)
        await writer.drain()
        if more:
            await asyncio.sleep(0.05)
            writer.write(more)
        if close:
            raise ConnectionResetError

    return behave


async def test_one_connection_serves_many_scrapes() -> None:
    async def chunked(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na 1\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)
        writer.write(b"0\r\n\r\n")

    async with hs.hostile(in_turn(GOOD, chunked, GOOD)) as server, opened() as pages:
        for _ in range(3):
            assert await pages.fetch(server.url, 30, LIMIT) == PAGE
        assert server.connections == 1


async def test_the_request() -> None:
    async with hs.hostile(GOOD) as server, opened() as pages:
        for gzip, timeout in ((False, 20), (True, 20), (True, 20.5)):
            await pages.fetch(f"{server.url}/a b?c=ü", timeout, LIMIT, gzip=gzip)
    plain, packed, short = server.requests
    assert plain.split("\r\n") == [
        "GET /metrics/a%20b?c=%C3%BC HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        "User-Agent: test",
        "Accept-Encoding: identity",
        "X-Prometheus-Scrape-Timeout-Seconds: 20",
        "",
        "",
    ]
    assert "Accept-Encoding: gzip\r\n" in packed
    assert "X-Prometheus-Scrape-Timeout-Seconds: 20.5\r\n" in short


async def test_a_connection_that_ended_meanwhile_is_replaced() -> None:
    async with hs.hostile(in_turn(then(GOOD, close=True), GOOD)) as server, opened() as pages:
        assert await pages.fetch(server.url, 30, LIMIT) == PAGE
        await asyncio.sleep(0.05)
        assert await pages.fetch(server.url, 30, LIMIT) == PAGE
        assert server.connections == 2


async def test_a_connection_that_ends_when_it_is_asked_again_is_tried_once_more() -> None:
    async with hs.hostile(in_turn(GOOD, hs.hang_up, GOOD)) as server, opened() as pages:
        assert await pages.fetch(server.url, 30, LIMIT) == PAGE
        assert await pages.fetch(server.url, 30, LIMIT) == PAGE
        assert (server.connections, len(server.requests)) == (2, 3)


async def test_a_new_connection_is_not_tried_twice() -> None:
    async with hs.hostile(in_turn(GOOD, hs.hang_up, hs.hang_up, GOOD)) as server, opened() as pages:
        await pages.fetch(server.url, 30, LIMIT)
        with pytest.raises(ScrapeError, match="closed the connection without an answer"):
            await pages.fetch(server.url, 30, LIMIT)
        assert len(server.requests) == 3
        assert await pages.fetch(server.url, 30, LIMIT) == PAGE


async def test_an_answer_that_had_begun_is_not_asked_for_again() -> None:
    async with hs.hostile(in_turn(GOOD, hs.answer(b"a 1\n", length=100), GOOD)) as server, opened() as pages:
        await pages.fetch(server.url, 30, LIMIT)
        with pytest.raises(ScrapeError, match="in the middle of the page"):
            await pages.fetch(server.url, 30, LIMIT)
        assert len(server.requests) == 2


async def test_what_comes_unasked_is_never_the_next_page() -> None:
    false = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na 2\n"
    async with hs.hostile(in_turn(then(GOOD, false), GOOD)) as server, opened() as pages:
        assert await pages.fetch(server.url, 30, LIMIT) == PAGE
        kept = pages._servers[server.url].idle
        assert kept is not None
        await until(lambda: not kept.usable)  # it has come
        assert await pages.fetch(server.url, 30, LIMIT) == PAGE
        assert server.connections == 2


async def test_what_follows_a_page_at_once_is_never_the_next_page() -> None:
    both = hs.answer(PAGE.data + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na 2\n", length=4)
    async with hs.hostile(in_turn(both, GOOD)) as server, opened() as pages:
        assert await pages.fetch(server.url, 30, LIMIT) == PAGE
        assert await pages.fetch(server.url, 30, LIMIT) == PAGE
        assert server.connections == 2


@pytest.mark.parametrize("behaviour", [hs.hang, hs.slow_drip])
async def test_after_a_timeout_the_late_answer_is_never_the_next_page(behaviour: hs.Behaviour) -> None:
    async with hs.hostile(in_turn(GOOD, behaviour, GOOD)) as server, opened() as pages:
        await pages.fetch(server.url, 30, LIMIT)
        with pytest.raises(ScrapeError, match=r"no complete answer within 0\.2s"):
            await pages.fetch(server.url, 0.2, LIMIT)
        assert await pages.fetch(server.url, 30, LIMIT) == PAGE
        assert server.connections == 2


async def test_a_cancelled_scrape_closes_its_connection() -> None:
    closed: list[bytes] = []

    async def wait_for_end(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        try:
            closed.append(await reader.read())
        except ConnectionError:
            closed.append(b"")

    async with hs.hostile(wait_for_end) as server, opened() as pages:
        task = asyncio.get_running_loop().create_task(pages.fetch(server.url, 60, LIMIT))
        await until(lambda: bool(server.requests))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: closed == [b""])


async def test_two_at_once_have_a_connection_each_and_one_is_kept() -> None:
    async with hs.hostile(GOOD) as server, opened() as pages:
        first = await asyncio.gather(*(pages.fetch(server.url, 30, LIMIT) for _ in range(2)))
        assert (first, server.connections) == ([PAGE, PAGE], 2)
        assert await pages.fetch(server.url, 30, LIMIT) == PAGE
        assert server.connections == 2


async def test_a_server_that_wants_to_close_may() -> None:
    async with hs.hostile(hs.answer(PAGE.data, headers="Connection: close\r\n")) as server, opened() as pages:
        for _ in range(2):
            assert await pages.fetch(server.url, 30, LIMIT) == PAGE
        assert server.connections == 2


async def test_a_connection_that_nobody_uses_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_module, "KEEP_S", 0.1)
    ended = asyncio.Event()

    async def watched(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await GOOD(reader, writer)
        with suppress(ConnectionError):
            await reader.read()
        ended.set()

    async with hs.hostile(watched) as server, opened() as pages:
        await pages.fetch(server.url, 30, LIMIT)
        async with asyncio.timeout(30):
            await ended.wait()
        server.behaviour = GOOD
        assert await pages.fetch(server.url, 30, LIMIT) == PAGE


async def test_a_long_page_comes_in_pieces() -> None:
    page = b"".join(b"a%d 1\n" % number for number in range(60_000))
    async with hs.hostile(hs.answer(page)) as server, opened() as pages:
        for _ in range(2):
            assert (await pages.fetch(server.url, 30, LIMIT)).data == page
        assert server.connections == 1


def in_packets(body: bytes, size: int, *, chunk: bool = False) -> hs.Behaviour:
    """As a network brings it."""

    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        framing = b"Transfer-Encoding: chunked" if chunk else b"Content-Length: %d" % len(body)
        content = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunk else body
        data = b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + content
        for at in range(0, len(data), size):
            writer.write(data[at : at + size])
            await writer.drain()
            await asyncio.sleep(0.001)

    return behave


@pytest.mark.parametrize("chunk", [False, True])
async def test_a_page_of_many_packets_is_read_a_few_times(monkeypatch: pytest.MonkeyPatch, *, chunk: bool) -> None:
    page = b"".join(b"a%d 1\n" % number for number in range(8000))
    reads: list[int] = []
    updated = Connection.buffer_updated

    def counted(connection: Connection, size: int) -> None:
        reads.append(size)
        updated(connection, size)

    monkeypatch.setattr(Connection, "buffer_updated", counted)
    async with hs.hostile(in_packets(page, 1448, chunk=chunk)) as server, opened() as pages:
        for _ in range(3):
            assert (await pages.fetch(server.url, 30, LIMIT)).data == page
        assert server.connections == 1
        server.behaviour = GOOD
        assert await pages.fetch(server.url, 30, LIMIT) == PAGE  # a short one is not waited for
    assert len(reads) <= 3 * 4 + 2


async def test_a_page_that_stops_after_many_packets_is_not_waited_for() -> None:
    async def stop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        await in_packets(b"x" * 30_000, 1448)(reader, writer)
        raise ConnectionResetError

    async with hs.hostile(stop) as server, opened() as pages:
        with pytest.raises(ScrapeError, match="in the middle of the page"):
            await pages.fetch(server.url, 30, LIMIT)


@pytest.mark.parametrize("url", ["http://", "http:///metrics", "http://127.0.0.1:99999/", "http://[::1/"])
async def test_no_url(url: str) -> None:
    async with opened() as pages:
        with pytest.raises(ScrapeError, match="is not a URL"):
            await pages.fetch(url, 1, LIMIT)


class Line(asyncio.Transport):
    """To nobody."""

    aborted = False

    def write(self, data: object) -> None:
        pass

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na 1\n", b"nonsense"])
async def test_one_that_is_cancelled_in_the_moment_of_its_answer_leaves_no_connection(answer: bytes) -> None:
    unheard: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    line, connection = Line(), Connection(memoryview(bytearray(1000)))
    connection.connection_made(line)
    asked = asyncio.ensure_future(connection.ask(b"GET / HTTP/1.1\r\n\r\n", LIMIT))
    await asyncio.sleep(0)
    connection.get_buffer(-1)[: len(answer)] = answer
    connection.buffer_updated(len(answer))
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert line.aborted
    assert not connection.usable
    del asked
    assert unheard == []
