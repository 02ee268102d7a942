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

from alerting.scrape.events import MAX_BYTES_A_SECOND, Message, Reader
from exporters import web
from exporters.app import App, Options
from exporters.events import (
    BEAT,
    COMMENTED_BEATS,
    COMMENTS,
    DEBOUNCE,
    MAX_LISTENERS,
    TRUST_SECONDS,
    Events,
    TooMany,
    message,
)
from exporters.registry import TABLE
from tests.exporters.support import FAR, only, settings


class Told(NamedTuple):
    number: int
    event: str
    data: str


class Stream:
    """A listener that reads as it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def next(self) -> Told:
        found: dict[str, str] = {}
        async with asyncio.timeout(FAR):
            while True:
                line = (await self.reader.readuntil(b"\n")).decode().rstrip("\r\n")
                name, colon, value = line.partition(": ")
                if colon:
                    found[name] = value
                elif not line and "event" in found:
                    return Told(int(found["id"]), found["event"], found.get("data", ""))

    async def news(self) -> Told:
        """The next message that is no beat."""
        while (told := await self.next()).event == "beat":
            pass
        return told

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


async def test_a_change_is_told_at_once(app: App) -> None:
    stream = await listen(app)
    hello = await stream.next()
    speaker, beat = hello.data.split()
    assert (hello.event, hello.number, len(speaker), beat) == ("hello", 0, 16, "1")
    waited = []
    for number in range(1, 4):
        begun = time.monotonic()
        events(app).changed("container")
        assert await stream.news() == (number, "change", "1 container")
        waited.append(time.monotonic() - begun)
    assert min(waited) < BEAT / 2, "a change does not wait for a beat"
    await stream.close()


async def test_each_second_has_a_beat(app: App) -> None:
    begun = time.monotonic()
    stream = await listen(app)
    await stream.next()
    for number in range(1, 3):
        assert await stream.next() == (0, "beat", "")
        assert time.monotonic() - begun >= number * BEAT
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
        assert await stream.news() == (1, "change", "1 kernel")
    for stream in streams:
        await stream.close()
    async with asyncio.timeout(FAR):
        while (await page(app))["tierwatch_exporter_event_listeners"]:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def test_a_newcomer_starts_at_the_present(app: App) -> None:
    first = await listen(app)
    await first.next()
    events(app).changed("service")
    await first.news()
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
    # More than is on its way to one who reads, whose kernel may acknowledge after 40 ms.
    monkeypatch.setattr(web, "MAX_UNREAD_BYTES", 4096)
    monkeypatch.setattr("exporters.events.DEBOUNCE", 0.0)
    deaf = await deaf_client(app, room=2048)
    hearing = await listen(app)
    await hearing.next()
    sent = 0
    async with asyncio.timeout(FAR):
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


async def deaf_client(app: App, room: int = 16384) -> socket.socket:
    """Asks for the stream and never reads, as a program that was stopped. The kernel holds little for it (``room``, in
    bytes)."""
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    deaf.setblocking(False)
    await asyncio.get_running_loop().sock_connect(deaf, app.address)
    await asyncio.get_running_loop().sock_sendall(deaf, b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
    return deaf


async def read_on(stream: Stream) -> None:
    """Take whatever comes, as it comes."""
    while await stream.next():
        pass


async def test_who_never_reads_loses_its_stream_when_somebody_else_wants_one(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(web, "BEAT", 0.05)  # eight are longer than a kernel waits before it acknowledges
    deaf = [await deaf_client(app) for _ in range(2)]
    hearing = [await listen(app) for _ in range(MAX_LISTENERS - len(deaf))]
    for stream in hearing:
        await stream.next()
    async with asyncio.timeout(FAR), asyncio.TaskGroup() as group:
        readers = [group.create_task(read_on(stream)) for stream in hearing]
        while events(app).counts().listeners < MAX_LISTENERS:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        more = await listen(app)
        assert b"503" in await more.reader.readline()
        while events(app).counts().cut < len(deaf):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        newcomer = await listen(app)
        assert (await newcomer.next()).event == "hello"
        assert not any(reader.done() for reader in readers)
        for reader in readers:
            reader.cancel()
    told = await page(app)
    assert told["tierwatch_exporter_event_listeners_cut_total"] == len(deaf)
    assert told["tierwatch_exporter_event_listeners"] == len(hearing) + 1
    assert [record.getMessage() for record in caplog.records if record.name == "exporters.web"] == [
        "cut a stream of events that its listener does not read"
    ]
    for one in deaf:
        one.close()
    for stream in [*hearing, more, newcomer]:
        await stream.close()


async def test_beats_have_comments_only_after_somebody_was_refused_and_not_for_ever() -> None:
    now = 1000.0
    found = Events(lambda: now)
    found.attach()
    listener, _ = found.listen()
    assert COMMENTS not in listener.take(read=True)
    for _ in range(MAX_LISTENERS - 1):
        found.listen()

    def beats(number: int) -> list[bool]:
        return [COMMENTS in listener.take(read=True) for _ in range(number)]

    with pytest.raises(TooMany):
        found.listen()
    assert listener.take(read=False) == b"id: 0\nevent: beat\ndata: \n\n"
    assert beats(COMMENTED_BEATS + 1) == [True] * COMMENTED_BEATS + [False]
    now += TRUST_SECONDS - 1
    with pytest.raises(TooMany):
        found.listen()
    assert beats(1) == [False]
    now += 1
    with pytest.raises(TooMany):
        found.listen()
    assert beats(2) == [True, True]


def test_an_aggregator_passes_over_the_comments_and_does_not_find_them_too_much() -> None:
    beat = message(7, "beat", "") + COMMENTS
    assert Reader().feed(beat * 2) == [Message("beat", 7), Message("beat", 7)]
    assert 7 * len(beat) < MAX_BYTES_A_SECOND  # what gathers while it stands still for 7 s


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
    took = []
    for _ in range(3):
        app = App(Options(settings("vm"), ("127.0.0.1", 0), only({"events"}, TABLE)))
        await app.start()
        stream = await listen(app)
        await stream.next()
        told = events(app)
        begun = time.monotonic()
        await app.stop()
        took.append(time.monotonic() - begun)
        async with asyncio.timeout(FAR):
            await stream.reader.read()
        await stream.close()
        told.changed("unit")  # from a source that ends a moment later: nobody is told, nothing breaks
    assert min(took) < 1.5, "it does not wait the 3 s that an answer under way is given"


async def test_a_kind_that_nobody_knows_is_a_mistake(app: App) -> None:
    with pytest.raises(ValueError, match="container, unit, service, kernel"):
        events(app).changed("weather")
