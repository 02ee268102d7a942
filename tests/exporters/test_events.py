"""The stream of events: what it says, that nothing is lost silently, that nobody can make it cost much."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator
from typing import NamedTuple

import aiohttp
import pytest

from exporters import web
from exporters.app import App, Options
from exporters.events import DEBOUNCE, MAX_LISTENERS, Events
from exporters.registry import TABLE
from tests.exporters.support import only, settings


class Message(NamedTuple):
    number: int
    event: str
    data: str


class Stream:
    """A listener that reads as it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def next(self, seconds: float = 3.0) -> Message:
        found: dict[str, str] = {}
        async with asyncio.timeout(seconds):
            while True:
                line = (await self.reader.readuntil(b"\n")).decode().rstrip("\r\n")
                name, colon, value = line.partition(": ")
                if colon:
                    found[name] = value
                elif not line and "event" in found:
                    return Message(int(found["id"]), found["event"], found.get("data", ""))

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


async def listen(app: App) -> Stream:
    reader, writer = await asyncio.open_connection(*app.address)
    writer.write(b"GET /events HTTP/1.0\r\nHost: x\r\n\r\n")
    return Stream(reader, writer)


@pytest.fixture
async def app() -> AsyncIterator[App]:
    found = App(Options(settings("vm"), ("127.0.0.1", 0), only({"events"}, TABLE)))
    await found.start()
    yield found
    await found.stop()


def events(app: App) -> Events:
    assert app.events is not None
    return app.events


async def page(app: App) -> dict[str, float]:
    host, port = app.address
    async with aiohttp.ClientSession() as session, session.get(f"http://{host}:{port}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[:1] != "#")}


async def test_a_change_is_told_at_once_and_each_second_has_a_beat(app: App) -> None:
    stream = await listen(app)
    hello = await stream.next()
    speaker, beat = hello.data.split()
    assert (hello.event, hello.number, len(speaker), beat) == ("hello", 0, 16, "1")
    begun = time.monotonic()
    events(app).changed("container")
    assert await stream.next() == (1, "change", "1 container")
    assert time.monotonic() - begun < 0.5
    assert await stream.next() == (1, "beat", "")
    told = time.monotonic()
    assert await stream.next() == (1, "beat", "")
    assert 0.8 < time.monotonic() - told < 1.5
    await stream.close()


async def test_a_storm_becomes_few_messages_and_no_number_is_missing(app: App) -> None:
    stream = await listen(app)
    await stream.next()

    def storm() -> None:
        for at in range(500):
            events(app).changed(("unit", "container")[at % 2])
            time.sleep(0.001)

    threads = [threading.Thread(target=storm) for _ in range(2)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    numbers, told = 0, 0
    while numbers < 1000:
        message = await stream.next()
        if message.event == "change":
            count, *kinds = message.data.split()
            numbers += int(count)
            assert message.number == numbers
            assert set(kinds) <= {"unit", "container"}
            told += 1
    took = time.monotonic() - begun
    for thread in threads:
        thread.join()
    assert told <= took / DEBOUNCE + 3
    assert (await page(app))['tierwatch_exporter_events_total{kind="unit"}'] == 500
    await stream.close()


async def test_everyone_hears_and_leaving_is_seen(app: App) -> None:
    streams = [await listen(app) for _ in range(3)]
    for stream in streams:
        await stream.next()
    assert (await page(app))["tierwatch_exporter_event_listeners"] == 3
    events(app).changed("kernel")
    for stream in streams:
        assert await stream.next() == (1, "change", "1 kernel")
    for stream in streams:
        await stream.close()
    async with asyncio.timeout(4):
        while (await page(app))["tierwatch_exporter_event_listeners"]:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def test_a_newcomer_starts_at_the_present(app: App) -> None:
    first = await listen(app)
    await first.next()
    events(app).changed("service")
    await first.next()
    second = await listen(app)
    assert (await second.next()).number == 1
    await first.close()
    await second.close()


async def test_streams_are_bounded(app: App) -> None:
    streams = [await listen(app) for _ in range(MAX_LISTENERS)]
    for stream in streams:
        await stream.next()
    more = await listen(app)
    assert b"503" in await more.reader.readline()
    assert (await page(app))["tierwatch_exporter_event_listeners_refused_total"] == 1
    for stream in [*streams, more]:
        await stream.close()


async def test_who_does_not_read_is_cut_and_what_it_was_not_told_is_counted(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "MAX_UNREAD_BYTES", 64)
    monkeypatch.setattr("exporters.events.DEBOUNCE", 0.0)
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    deaf.setblocking(False)
    await asyncio.get_running_loop().sock_connect(deaf, app.address)
    await asyncio.get_running_loop().sock_sendall(deaf, b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
    hearing = await listen(app)
    await hearing.next()
    sent = 0
    async with asyncio.timeout(20):
        while not events(app).counts().cut:
            events(app).changed("unit")
            sent += 1
            await asyncio.sleep(0.001)
    assert events(app).counts().lost > 0
    told = 0
    while told < sent:
        message = await hearing.next()
        told = message.number
    deaf.close()
    await hearing.close()


async def test_head_and_other_methods(app: App) -> None:
    host, port = app.address
    async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
        async with session.head("/events") as answer:
            assert (answer.status, answer.content_type) == (200, "text/event-stream")
        async with session.post("/events") as answer:
            assert answer.status == 405
        async with session.request("GET", "/events", data=b"x") as answer:
            assert answer.status == 413
    assert events(app).counts().listeners == 0


async def test_stopping_ends_the_streams_at_once() -> None:
    app = App(Options(settings("vm"), ("127.0.0.1", 0), only({"events"}, TABLE)))
    await app.start()
    stream = await listen(app)
    await stream.next()
    told = events(app)
    begun = time.monotonic()
    await app.stop()
    assert time.monotonic() - begun < 1.0
    assert await stream.reader.read() == b""
    await stream.close()
    told.changed("unit")  # from a source that ends a moment later: nobody is told, nothing breaks


async def test_a_kind_that_nobody_knows_is_a_mistake(app: App) -> None:
    with pytest.raises(ValueError, match="container, unit, service, kernel"):
        events(app).changed("weather")
