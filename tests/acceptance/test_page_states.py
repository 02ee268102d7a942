"""The status page in a real browser, in states that are hard on a layout: many alerts, endless words, nothing known."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp import web

from alerting.model.alert import Alert
from alerting.model.labels import Labels
from alerting.page.services import Seen
from alerting.page.status import JournalEntry, Known, TargetHealth, build_status
from alerting.page.stream import Page
from alerting.page.vitals import NO_FIGURES, Figures
from config.load import load_cluster
from tests.config.support import SHIPPED
from tests.support.browser import Tab, browser

pytestmark = pytest.mark.acceptance

CLUSTER = load_cluster(SHIPPED)
ENDLESS = "averylongwordthatnobodyeverbroke" * 6
WHY = "its check says degraded: healing drives"
READY = "document.querySelector('#node-PI51')?.dataset.state"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def alert(number: int, text: str = "") -> Alert:
    node = list(CLUSTER.nodes)[number % len(CLUSTER.nodes)]
    severity = "critical" if number < 5 else "warning"
    labels = Labels.of({"alertname": f"Alert{number}", "node": node, "severity": severity})
    words = {"summary": f"{node}: {text or number}", "description": f"It is so. {text}", "action": f"Look. {text}"}
    begun = 1_700_000_000_000 + number
    return Alert(labels, words, "firing", 1.0, begun, begun)


def known(*alerts: Alert, text: str = "", up: bool = True) -> Known:
    targets = [TargetHealth(name, "", "up", since_ms=now_ms() - 1000) for name in CLUSTER.nodes] if up else []
    if text:
        targets[1] = TargetHealth("AGX0", "", "down", text, now_ms())
    journal = [JournalEntry(now_ms(), "phone", f"DOWN {text}", "waiting", f"waiting: {text}")] if text else []
    seen = {("PI52", "minio"): [Seen("degraded", WHY)], ("PI51", "kong"): [Seen("down", text)]}
    return Known(CLUSTER, targets, list(alerts), {}, Figures({}, {}, {}, seen), journal, [text] if text else [])


class Shown:
    """What the page shows; to be exchanged at any time."""

    def __init__(self) -> None:
        self.known = known()

    async def __call__(self) -> dict[str, Any]:
        return build_status(self.known, now_ms())


@asynccontextmanager
async def looking(shown: Shown) -> AsyncIterator[tuple[Tab, str]]:
    """A browser, and the address of a page that is made anew each half second."""
    page = Page(shown, 0.5)
    app = web.Application()
    page.add_routes(app)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    running = asyncio.get_running_loop().create_task(page.run())
    try:
        async with browser() as tab:
            yield tab, f"http://127.0.0.1:{runner.addresses[0][1]}/"
            assert tab.errors == []
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await page.close()
        await runner.cleanup()


async def test_nothing_is_wider_than_the_screen() -> None:
    shown = Shown()
    states = {
        "many": known(*map(alert, range(30))),
        "endless": known(alert(0, ENDLESS), text=ENDLESS),
        "nothing": Known(CLUSTER, [], [], {}, NO_FIGURES, [], ["the rules wait until every node was asked once"]),
    }
    async with looking(shown) as (tab, url):
        for width in (360, 800, 1280):
            await tab.show(width, 900, scheme="light", mobile=width < 500)
            for name, state in states.items():
                shown.known = state
                await tab.open(url)
                await tab.wait_for(READY)
                assert await tab.ask("document.documentElement.scrollWidth") <= width, (name, width)


async def test_many_alerts_leave_the_nodes_in_reach_and_stay_as_they_were_opened() -> None:
    shown = Shown()
    shown.known = known(*map(alert, range(30)))
    async with looking(shown) as (tab, url):
        await tab.show(1280, 900, scheme="dark")
        await tab.open(url)
        await tab.wait_for(READY)
        assert await tab.ask("document.querySelector('#alerts-title').textContent") == "Firing (30)"
        assert await tab.ask("document.querySelectorAll('.alert').length") == 10
        opened = "[...document.querySelectorAll('.alert details')].map(e => e.open).slice(0, 4).join()"
        assert await tab.ask(opened) == "true,true,false,false"
        await tab.ask("document.querySelectorAll('.alert summary')[3].click()")
        await tab.ask("document.querySelectorAll('.alert summary')[0].click()")
        await tab.ask("document.querySelector('#alerts-more').click()")
        # The next picture has one alert less, so it is known to be another.
        shown.known = known(*map(alert, range(29)))
        await tab.wait_for("document.querySelector('#alerts-title').textContent === 'Firing (29)'")
        assert await tab.ask(opened) == "false,true,false,true"
        assert await tab.ask("document.querySelectorAll('.alert').length") == 29
        assert await tab.ask("document.querySelector('#alerts-more').textContent") == "Show fewer"


async def test_few_alerts_are_told_in_full_and_reasons_need_no_pointer() -> None:
    shown = Shown()
    shown.known = known(*map(alert, range(3)))
    async with looking(shown) as (tab, url):
        await tab.show(390, 900, scheme="light", mobile=True)
        await tab.open(url)
        await tab.wait_for(READY)
        assert await tab.ask("[...document.querySelectorAll('.alert details')].every(e => e.open)")
        assert await tab.ask("document.querySelector('#alerts-more').hidden")
        assert await tab.ask("document.querySelector('#node-PI52 .why').textContent") == f"MinIO: {WHY}"
