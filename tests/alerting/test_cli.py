"""Signals of the aggregator: read the configuration again, stop. With a stand-in for the aggregator itself."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from alerting.app import App
from alerting.cli import _Early, serve
from config.daemon.notify import ServiceManager


class StandIn:
    """Counts; ``slow`` holds a start or a reload up."""

    def __init__(self) -> None:
        self.slow = asyncio.Event()
        self.slow.set()
        self.started = asyncio.Event()
        self.calls: list[str] = []
        self.reloading = 0
        self.most_reloading = 0
        self.fault: Exception | None = None

    async def start(self, given_up: Callable[[], bool]) -> None:
        self.started.set()
        await self.slow.wait()
        self.calls.append("given up" if given_up() else "start")

    async def reload(self) -> None:
        self.calls.append("reload")
        self.reloading += 1
        self.most_reloading = max(self.most_reloading, self.reloading)
        try:
            await self.slow.wait()
        finally:
            self.reloading -= 1
        if self.fault is not None:
            raise self.fault

    async def stop(self) -> None:
        assert not self.reloading, "stopped in the middle of a reload"
        self.calls.append("stop")

    async def wait_failed(self) -> None:
        await asyncio.Event().wait()


@pytest.fixture
async def app() -> StandIn:
    return StandIn()


@asynccontextmanager
async def serving(app: StandIn) -> AsyncIterator[asyncio.Task[int]]:
    """The signals' handlers are the process's own, so they are put back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    task = asyncio.get_running_loop().create_task(serve(cast(App, app), ServiceManager({})))
    await app.started.wait()
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})
        for number, handler in before.items():
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, cast(Any, handler))


async def send(number: signal.Signals, times: int = 1) -> None:
    """Returns when the last one has arrived, and long after that on a machine that is not busy."""
    for _ in range(times):
        os.kill(os.getpid(), number)
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the stand-in tells nobody
            await asyncio.sleep(0.005)


async def test_a_storm_of_signals_is_one_reload_at_a_time_and_one_more_at_the_end(app: StandIn) -> None:
    async with serving(app) as task:
        app.slow.clear()
        await send(signal.SIGHUP, 200)
        await until(lambda: len(app.calls) >= 2)
        await asyncio.sleep(0.05)
        assert app.calls == ["start", "reload"]
        app.slow.set()
        await until(lambda: len(app.calls) >= 3)
        await asyncio.sleep(0.05)
        assert app.calls == ["start", "reload", "reload"]
        assert app.most_reloading == 1
        await send(signal.SIGTERM)
        assert await task == 0
    assert app.calls[-1] == "stop"


async def test_a_signal_during_the_start_is_heeded_after_it(app: StandIn) -> None:
    app.slow.clear()
    async with serving(app) as task:
        await send(signal.SIGHUP)
        assert not task.done()
        app.slow.set()
        await until(lambda: len(app.calls) >= 2)
        assert app.calls == ["start", "reload"]


async def test_a_stop_during_the_start_ends_it(app: StandIn) -> None:
    app.slow.clear()
    async with serving(app) as task:
        await send(signal.SIGTERM)
        assert not task.done()
        app.slow.set()
        assert await task == 0
        assert app.calls == ["given up", "stop"]


async def test_a_stop_does_not_wait_for_a_reload(app: StandIn) -> None:
    async with serving(app) as task:
        app.slow.clear()
        await send(signal.SIGHUP)
        await until(lambda: bool(app.reloading))
        await send(signal.SIGTERM)
        assert await task == 0
        assert app.calls == ["start", "reload", "stop"]


async def test_a_configuration_taken_in_part_ends_the_process(app: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(app) as task:
        app.fault = RuntimeError("half way")
        await send(signal.SIGHUP)
        assert await task == 1
        assert app.calls == ["start", "reload", "stop"]
    assert "taken in part" in caplog.text


async def test_a_wish_to_reload_from_before_the_loop_is_kept(app: StandIn) -> None:
    before = signal.getsignal(signal.SIGHUP)
    try:
        early = _Early()
        os.kill(os.getpid(), signal.SIGHUP)
        task = asyncio.get_running_loop().create_task(serve(cast(App, app), ServiceManager({}), early))
        await until(lambda: len(app.calls) >= 2)
        assert app.calls == ["start", "reload"]
        task.cancel()
        await asyncio.wait({task})
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().remove_signal_handler(number)
        signal.signal(signal.SIGHUP, cast(Any, before))
