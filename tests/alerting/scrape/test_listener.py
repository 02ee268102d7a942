"""Holding a stream: when a node is scraped, when it is gone, when it is only polled; all with short times."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from alerting.scrape import listener as module
from alerting.scrape.http import HttpPages
from alerting.scrape.listener import Listener, Room
from alerting.scrape.source import HostGone, NoStream, ScrapeError
from exporters.app import App, Options
from exporters.registry import TABLE
from tests.exporters.support import only, settings
from tests.support import hostile_server as hs
from tests.support.machine import slack
from tests.support.ports import free_port

HELLO = b"id: 0\nevent: hello\ndata: a 1\n\n"
BEAT = b"id: 0\nevent: beat\ndata:\n\n"


class Source:
    """A stream fed by the test; ``error`` is what opening it raises, ``there`` what a knock raises."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.there: Exception | None = None
        self.opened = 0
        self.knocks = 0
        self.bytes: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()

    @asynccontextmanager
    async def listen(self, url: str) -> AsyncGenerator[AsyncIterator[bytes]]:
        self.opened += 1
        if self.error is not None:
            raise self.error
        yield self._read()

    async def _read(self) -> AsyncIterator[bytes]:
        while (data := await self.bytes.get()) is not None:
            if isinstance(data, Exception):
                raise data
            yield data

    async def knock(self, url: str, timeout: float) -> None:  # noqa: ASYNC109
        self.knocks += 1
        if isinstance(self.there, HostGone):
            await asyncio.sleep(timeout)
        if self.there is not None:
            raise self.there


class Target:
    def __init__(self) -> None:
        self.wakes = 0
        self.gone_for: list[tuple[float, str]] = []

    def wake(self) -> None:
        self.wakes += 1

    def gone(self, reason: str) -> None:
        self.gone_for.append((time.monotonic(), reason))


class Held:
    def __init__(self, room: Room, source: Source, name: str = "node/a") -> None:
        self.source = source
        self.room = room
        self.target = Target()
        self.listener = Listener(name, "http://a/events", self.target, room)

    async def until(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.005)


@asynccontextmanager
async def held(*sources: Source) -> AsyncIterator[list[Held]]:
    """A listener a source, all of one room (whose knocks are those of the first)."""
    rooms = [Room(source, jitter=lambda: 0.5) for source in sources]
    for room in rooms[1:]:
        room.hearings, room.stats = rooms[0].hearings, rooms[0].stats
    found = [Held(room, source, f"node/{at}") for at, (room, source) in enumerate(zip(rooms, sources, strict=True))]
    tasks = [asyncio.get_running_loop().create_task(one.listener.run()) for one in found]
    try:
        yield found
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENCE_S", 30.0)
    monkeypatch.setattr(module, "OVERDUE_S", 0.1)
    monkeypatch.setattr(module, "TOGETHER_S", 0.4)
    monkeypatch.setattr(module, "KNOCK_S", 0.05)
    monkeypatch.setattr(module, "BACKOFF_S", (0.05, 0.2))


@pytest.fixture
def _short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENCE_S", 0.3)


async def test_a_change_wakes_and_a_beat_does_not() -> None:
    source = Source()
    async with held(source) as [one]:
        await source.bytes.put(HELLO)
        await one.until(lambda: one.target.wakes == 1)
        for _ in range(5):
            await source.bytes.put(BEAT)
        await source.bytes.put(b"id: 3\nevent: change\ndata: 3 unit\n\n")
        await one.until(lambda: one.target.wakes == 2)
        assert (one.room.stats.open, one.room.stats.received, one.room.stats.missed) == (1, 3, 0)
        await source.bytes.put(b"id: 5\nevent: beat\ndata:\n\n")
        await one.until(lambda: one.target.wakes == 3)
        assert one.room.stats.missed == 2
    assert one.room.stats.open == 0
    assert not one.room.hearings


async def test_a_broken_stream_wakes_and_is_opened_again() -> None:
    source = Source()
    async with held(source) as [one]:
        await source.bytes.put(HELLO)
        await one.until(lambda: one.target.wakes == 1)
        for end in (None, ScrapeError("the connection failed")):
            before = one.target.wakes
            await source.bytes.put(end)
            await source.bytes.put(HELLO)
            await one.until(lambda before=before: one.target.wakes > before)  # type: ignore[misc]
        await one.until(lambda: source.opened == 3)
        assert one.room.stats.broken == 2
        assert one.target.gone_for == []
        assert source.knocks == 0


@pytest.mark.usefixtures("_short_silence")
async def test_three_missed_beats_and_a_machine_that_does_not_answer_is_gone() -> None:
    source = Source()
    source.there = HostGone("cannot connect to a: no answer within 0.05s")
    async with held(source) as [one]:
        silent = time.monotonic()
        await source.bytes.put(HELLO)
        await one.until(lambda: one.target.gone_for != [])
        when, reason = one.target.gone_for[0]
        assert 0.3 + 2 * 0.05 <= when - silent < 0.3 + 2 * 0.05 + slack()
        assert reason == "cannot connect to a: no answer within 0.05s"
        assert (source.knocks, one.target.wakes) == (2, 2)
        assert (one.room.stats.silent, one.room.stats.gone, one.room.stats.broken) == (1, 1, 1)


@pytest.mark.usefixtures("_short_silence")
@pytest.mark.parametrize("answer", [None, ScrapeError("connection refused")], ids=["answers", "refuses"])
async def test_three_missed_beats_of_a_machine_that_is_there_are_a_scrape(answer: Exception | None) -> None:
    source = Source()
    source.there = answer
    async with held(source) as [one]:
        await source.bytes.put(HELLO)
        await one.until(lambda: source.opened == 2)
        assert one.target.wakes == 2
        assert one.target.gone_for == []
        assert source.knocks == 1


@pytest.mark.usefixtures("_short_silence")
async def test_a_scrape_that_succeeds_says_the_node_is_there() -> None:
    source = Source()
    source.there = HostGone("no answer")
    async with held(source) as [one]:
        await source.bytes.put(HELLO)
        await one.until(lambda: source.knocks == 1)
        one.listener.answered()
        await one.until(lambda: source.opened == 2)
        assert one.target.gone_for == []


async def test_nodes_that_go_together_are_told_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENCE_S", 1.0)
    monkeypatch.setattr(module, "TOGETHER_S", 20.0)
    sources = [Source() for _ in range(3)]
    undecided: list[int] = []

    def told(_: str) -> None:
        undecided.append(sum(not hearing.decided for hearing in all_of_them[0].room.hearings.values()))

    for source in sources:
        source.there = HostGone("no answer")
    async with held(*sources) as all_of_them:
        for one in all_of_them:
            monkeypatch.setattr(one.target, "gone", told)
        for source in sources:
            await source.bytes.put(HELLO)
            await asyncio.sleep(0.1)  # their beats are not in step
        await all_of_them[0].until(lambda: len(undecided) == 3)
    assert undecided[0] == 0  # the first was not told before the last was known


async def test_nodes_that_go_together_are_told_in_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is known last would be told alone if the others only looked now and then whether they still wait."""
    monkeypatch.setattr(module, "SILENCE_S", 1.0)
    monkeypatch.setattr(module, "TOGETHER_S", 20.0)
    loop, seen = asyncio.get_running_loop(), list[str]()

    def turns(left: int) -> None:
        """Of the loop, which are nothing beside the time of a timer."""
        if left:
            loop.call_soon(turns, left - 1)
        else:
            seen.append("later")

    def gone(_: str) -> None:
        seen.append("gone")
        if len(seen) == 1:
            turns(3)

    sources = [Source() for _ in range(3)]
    for source in sources:
        source.there = HostGone("no answer")
    async with held(*sources) as all_of_them:
        for one in all_of_them:
            monkeypatch.setattr(one.target, "gone", gone)
        for source in sources:
            await source.bytes.put(HELLO)
            await asyncio.sleep(0.1)  # their beats are not in step
        await all_of_them[0].until(lambda: len(seen) == 4)
    assert seen == ["gone", "gone", "gone", "later"]


async def test_our_own_stall_is_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENCE_S", 0.6)
    source = Source()
    source.there = HostGone("no answer")
    async with held(source) as [one]:
        await source.bytes.put(HELLO)
        await one.until(lambda: one.target.wakes == 1)
        for _ in range(3):
            await source.bytes.put(BEAT)
            time.sleep(0.6 + module.LATE_S + 0.1)  # noqa: ASYNC251 (this is the stall)
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert (one.room.stats.silent, source.knocks) == (0, 0)


async def test_an_exporter_without_events_is_polled() -> None:
    source = Source()
    source.error = NoStream("404")
    async with held(source) as [one]:
        await one.until(lambda: one.room.stats.unsupported == 1)
        await asyncio.sleep(0.3)
        assert source.opened == 1
        one.listener.answered()
        await asyncio.sleep(0.1)
        assert (source.opened, one.target.wakes) == (1, 0)
    assert one.room.stats.unsupported == 0


async def test_tries_grow_rarer_and_end_when_the_node_answers() -> None:
    source = Source()
    source.error = ScrapeError("connection refused")
    begun = time.monotonic()
    async with held(source) as [one]:
        await one.until(lambda: source.opened == 8)
        assert time.monotonic() - begun > 0.05 + 0.1 + 5 * 0.2 - 0.01
        one.room.jitter = lambda: 1000.0  # the pause that begins now lasts for minutes
        await one.until(lambda: source.opened == 9)
        source.error = None
        one.listener.answered()
        await one.until(lambda: source.opened == 10)


async def test_a_stream_that_says_nonsense_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    source = Source()
    async with held(source) as [one]:
        await source.bytes.put(HELLO + b"id: x\nevent: beat\n\n")
        await one.until(lambda: "the stream of events is given up" in caplog.text)
        await asyncio.sleep(0.3)
        assert (source.opened, one.room.stats.open) == (1, 0)


@pytest.mark.usefixtures("_short_silence")
async def test_a_stream_that_is_held_back_on_its_way_is_not_open_and_costs_no_scrapes() -> None:
    """A proxy that waits for the end of an answer before it passes it on."""
    source = Source()
    async with held(source) as [one]:
        await one.until(lambda: source.opened == 1)
        await asyncio.sleep(1.0)
        assert (source.opened, source.knocks, one.target.wakes, one.room.stats.open) == (1, 0, 0, 0)


async def test_a_stream_that_floods_is_given_up() -> None:
    source = Source()
    async with held(source) as [one]:
        await source.bytes.put(HELLO)
        for _ in range(40):
            await source.bytes.put(b": " + b"x" * 1000 + b"\n")
        await one.until(lambda: one.room.stats.broken == 1)
        await asyncio.sleep(0.3)
        assert source.opened == 1


# --- the door: real connections ---------------------------------------------------------------------------------------


async def test_the_stream_of_a_real_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENCE_S", 3.1)
    app = App(Options(settings("vm"), ("127.0.0.1", 0), only({"events"}, TABLE)))
    await app.start()
    host, port = app.address
    async with HttpPages() as pages:
        target, room = Target(), Room(pages)
        listener = Listener("node/a", f"http://{host}:{port}/events", target, room)
        task = asyncio.get_running_loop().create_task(listener.run())
        one = Held(room, Source())
        await one.until(lambda: target.wakes == 1)
        assert app.events is not None
        begun = time.monotonic()
        app.events.changed("unit")
        await one.until(lambda: target.wakes == 2)
        assert time.monotonic() - begun < slack()
        await app.stop()
        await one.until(lambda: target.wakes == 3)
        task.cancel()
        await asyncio.wait([task])
    assert (room.stats.received, room.stats.missed, room.stats.gone) == (1, 0, 0)


async def test_a_page_that_is_no_stream() -> None:
    async with hs.hostile(hs.answer(b"x 1\n")) as server, HttpPages() as pages:
        with pytest.raises(NoStream):
            async with pages.listen(server.url):
                pass
    async with hs.hostile(hs.answer(b"", status="404 Not Found")) as server, HttpPages() as pages:
        with pytest.raises(NoStream, match="404"):
            async with pages.listen(server.url):
                pass


async def test_knocks() -> None:
    async with hs.hostile(hs.hang) as server, HttpPages() as pages:
        await pages.knock(server.url, 30)
    async with HttpPages() as pages:
        with pytest.raises(ScrapeError, match="Connection refused"):
            await pages.knock(f"http://127.0.0.1:{free_port()}/metrics", 30)
