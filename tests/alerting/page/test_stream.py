from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout, web

from alerting.page.stream import Page


class Source:
    def __init__(self) -> None:
        self.asked = 0
        self.broken = False
        self.figure = 1.0
        self.padding = ""
        self.at_work = 0
        self.most_at_work = 0

    async def __call__(self) -> dict[str, Any]:
        self.asked += 1
        if self.broken:
            raise RuntimeError("no store")
        number = self.asked
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        await asyncio.sleep(0.001)
        self.at_work -= 1
        return {"number": number, "figure": self.figure, "padding": self.padding}


@asynccontextmanager
async def serving(source: Source, refresh_seconds: float = 0.05) -> AsyncIterator[tuple[Page, str]]:
    page = Page(source, refresh_seconds)
    app = web.Application()
    page.add_routes(app)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    running = asyncio.get_running_loop().create_task(page.run())
    try:
        yield page, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await page.close()
        await runner.cleanup()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is counted tells nobody
            await asyncio.sleep(0.01)


async def next_status(response: Any) -> dict[str, Any]:
    async for line in response.content:
        if line.startswith(b"data: {"):
            found: dict[str, Any] = json.loads(line[6:])
            return found
    raise AssertionError("the stream ended")


async def test_the_page_and_its_files_come_with_a_strict_policy() -> None:
    async with serving(Source()) as (_, url), ClientSession() as session:
        for path, kind in (("/", "text/html"), ("/page/page.js", "text/javascript"), ("/page/page.css", "text/css")):
            async with session.get(url + path) as answer:
                assert answer.status == 200
                assert answer.content_type == kind
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
                assert len(await answer.read()) > 100
        async with session.get(url + "/page/..%2Fstatus.py") as answer:
            assert answer.status == 404


async def test_a_browser_gets_the_status_at_once_and_again() -> None:
    source = Source()
    async with serving(source) as (_, url), ClientSession(timeout=ClientTimeout(total=60)) as session:
        async with session.get(url + "/page/stream") as answer:
            assert answer.content_type == "text/event-stream"
            first = await next_status(answer)
            second = await next_status(answer)
        assert second["number"] > first["number"]


async def test_nothing_is_worked_out_while_nobody_looks() -> None:
    source = Source()
    async with serving(source, 0.01):
        await asyncio.sleep(0.1)
    assert source.asked == 0


async def test_a_change_is_sent_without_waiting_for_the_refresh() -> None:
    source = Source()
    async with serving(source, 60) as (page, url), ClientSession(timeout=ClientTimeout(total=60)) as session:
        async with session.get(url + "/page/stream") as answer:
            await next_status(answer)
            page.changed()
            assert (await next_status(answer))["number"] == 2


async def test_a_status_that_fails_once_does_not_end_the_stream() -> None:
    source = Source()
    async with serving(source, 0.02) as (_, url), ClientSession(timeout=ClientTimeout(total=60)) as session:
        async with session.get(url + "/page/stream") as answer:
            await next_status(answer)
            source.broken = True
            asked = source.asked
            await until(lambda: source.asked > asked)
            source.broken = False
            assert (await next_status(answer))["number"] > 1


async def test_browsers_beyond_the_limit_are_turned_away() -> None:
    async with serving(Source(), 60) as (page, url), ClientSession(timeout=ClientTimeout(total=60)) as session:
        page._viewers.update(asyncio.Event() for _ in range(32))
        async with session.get(url + "/page/stream") as answer:
            assert answer.status == 503


async def test_a_number_that_is_no_json_is_not_sent_and_the_stream_goes_on() -> None:
    source = Source()
    source.figure = float("inf")
    async with serving(source) as (page, url), ClientSession(timeout=ClientTimeout(total=60)) as session:
        async with session.get(f"{url}/page/stream") as answer:
            await until(lambda: source.asked >= 2)
            source.figure = 2.0
            page.changed()
            assert (await next_status(answer))["figure"] == 2.0


async def test_many_who_ask_at_once_are_answered_one_after_the_other() -> None:
    source = Source()
    async with serving(source) as (_, url), ClientSession(timeout=ClientTimeout(total=60)) as session:

        async def ask() -> int:
            async with session.get(f"{url}/page/status.json") as answer:
                return answer.status

        assert set(await asyncio.gather(*(ask() for _ in range(50)))) == {200}
    assert source.most_at_work == 1


async def test_a_browser_that_reads_nothing_loses_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alerting.page.stream._STUCK_SECONDS", 0.2)
    source = Source()
    source.padding = "x" * 8_000_000  # more than the kernel takes in for it
    async with serving(source) as (page, url):
        host, port = url.removeprefix("http://").split(":")
        _, asleep = await asyncio.open_connection(host, int(port), limit=1024)
        asleep.write(b"GET /page/stream HTTP/1.1\r\nHost: hub\r\n\r\n")
        await until(lambda: page.viewers == 1)
        await until(lambda: page.viewers == 0)
        asleep.close()
