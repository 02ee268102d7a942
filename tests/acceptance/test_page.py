"""The status page in a real browser: live without reload, readable on a phone, light and dark."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.aggregator import Aggregator, write_config
from tests.support.browser import browser
from tests.support.node_page import NodePage
from tests.support.receiver import HttpReceiver

pytestmark = pytest.mark.acceptance

_STATE = "document.querySelector('#node-ONE')?.dataset.state"
_SIZES = [("light", 1280, False), ("dark", 1280, False), ("light", 390, True), ("dark", 390, True)]


async def test_a_node_goes_and_comes_back_before_the_eyes_of_who_looks(tmp_path: Path) -> None:
    with NodePage() as node, HttpReceiver() as phone, Aggregator(tmp_path) as aggregator:
        write_config(aggregator.config, node_port=node.port, url=phone.url())
        await asyncio.to_thread(aggregator.start)
        async with browser() as tab:
            await tab.show(1280, 900, scheme="light")
            await tab.open(aggregator.url)
            await tab.wait_for(f"{_STATE} === 'up'")
            assert await tab.ask("document.querySelector('#verdict').dataset.state") == "ok"
            assert await tab.ask("document.querySelector('#live').dataset.state") == "live"
            await tab.ask("window.loadedOnce = true")

            await asyncio.to_thread(node.down)
            await tab.wait_for(f"{_STATE} === 'down'")
            await tab.wait_for("document.querySelector('.alert .summary')?.textContent === 'ONE is down'")
            assert "ONE is down" in await tab.ask("document.querySelector('#verdict').textContent")
            assert await tab.ask("document.querySelector('.flow').dataset.state") == "broken"
            assert "since" in await tab.ask("document.querySelector('.alert .since').textContent")
            await asyncio.to_thread(phone.wait_for, 1, 15)
            await tab.wait_for("document.querySelector('.journal .outcome')?.dataset.state === 'delivered'")

            await asyncio.to_thread(node.up)
            await tab.wait_for(f"{_STATE} === 'up'")
            await tab.wait_for("document.querySelector('#verdict').dataset.state === 'ok'")
            assert await tab.ask("window.loadedOnce"), "the page was loaded again"
            assert tab.errors == []


async def test_every_size_and_scheme_fits_and_can_be_read(tmp_path: Path) -> None:
    with NodePage() as node, HttpReceiver() as phone, Aggregator(tmp_path) as aggregator:
        write_config(aggregator.config, node_port=node.port, url=phone.url())
        await asyncio.to_thread(aggregator.start)
        async with browser() as tab:
            backgrounds = set()
            for scheme, width, mobile in _SIZES:
                await tab.show(width, 900, scheme="dark" if scheme == "dark" else "light", mobile=mobile)
                await tab.open(aggregator.url)
                await tab.wait_for(f"{_STATE} === 'up'")
                assert await tab.ask("document.documentElement.scrollWidth") <= width, f"scrolls sideways at {width}"
                backgrounds.add(await tab.ask("getComputedStyle(document.body).backgroundColor"))
                smallest = await tab.ask(
                    "Math.min(...[...document.querySelectorAll('body *')].filter(e => e.childElementCount === 0 && "
                    "e.textContent.trim()).map(e => parseFloat(getComputedStyle(e).fontSize)))"
                )
                assert smallest >= 11, f"text of {smallest} px"
                await tab.picture(tmp_path / f"{scheme}-{width}.png")
                assert (tmp_path / f"{scheme}-{width}.png").stat().st_size > 10_000
            assert len(backgrounds) == 2, "light and dark look the same"
            assert tab.errors == []


async def test_a_dead_aggregator_is_said_and_what_is_shown_is_called_old(tmp_path: Path) -> None:
    with NodePage() as node, HttpReceiver() as phone, Aggregator(tmp_path) as aggregator:
        write_config(aggregator.config, node_port=node.port, url=phone.url())
        await asyncio.to_thread(aggregator.start)
        async with browser() as tab:
            await tab.open(aggregator.url)
            await tab.wait_for(f"{_STATE} === 'up'")
            aggregator.kill()
            await tab.wait_for("document.querySelector('#live').dataset.state === 'lost'")
            assert "no contact" in await tab.ask("document.querySelector('#live').textContent")
            assert await tab.ask("document.body.classList.contains('stale')")


async def test_labels_that_look_like_markup_stay_text(tmp_path: Path) -> None:
    rules = """\
groups:
  - name: test
    rules:
      - alert: Nasty
        expr: up{job="node"} == 1
        labels: {severity: warning}
        annotations: {summary: "<img src=x onerror='window.broken = 1'><b>bold</b>"}
"""
    with NodePage() as node, HttpReceiver() as phone, Aggregator(tmp_path) as aggregator:
        write_config(aggregator.config, node_port=node.port, url=phone.url(), rules=rules)
        await asyncio.to_thread(aggregator.start)
        async with browser() as tab:
            await tab.open(aggregator.url)
            await tab.wait_for("document.querySelector('.alert .summary')?.textContent.startsWith('<img')")
            assert await tab.ask("document.querySelectorAll('.alert b, .alert img').length") == 0
            assert not await tab.ask("window.broken")
