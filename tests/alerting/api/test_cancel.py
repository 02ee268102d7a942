"""A client that goes away, and a server that stops, end the queries that ran for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import quote

import numpy as np
import pytest
from aiohttp import web

from alerting.api.app import POOL_STATS, build_app
from alerting.api.pool import PoolStats
from alerting.api.ports import Limits, Services
from alerting.promql.engine import Engine
from tests.support.memory_querier import MemoryQuerier

# Values too different in size to be summed quickly: every window is added up one number at a time.
SLOW = "/api/v1/query_range?query={}&start=190&end=200&step=0.001"
QUERY = "sum_over_time(far_apart[2d])"


def slow_engine() -> Engine:
    querier = MemoryQuerier()
    values = np.tile([1e-300, 1e300, -1e300, 1.0], 50_000)
    querier.put({"__name__": "far_apart"}, enumerate(values.tolist(), 1000))
    return Engine(querier)


@asynccontextmanager
async def served(services: Services) -> AsyncIterator[tuple[web.AppRunner, PoolStats]]:
    app = build_app(services)
    runner = web.AppRunner(app, shutdown_timeout=120.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner, app[POOL_STATS]
    finally:
        await runner.cleanup()


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.fixture
def slow(services: Services) -> Services:
    return replace(services, queries=slow_engine(), limits=Limits(query_seconds=600.0, threads=1))


async def ask(runner: web.AppRunner, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = runner.addresses[0][:2]
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await writer.drain()
    return reader, writer


async def test_a_closed_connection_frees_the_thread(slow: Services) -> None:
    async with served(slow) as (runner, stats):
        _, writer = await ask(runner, SLOW.format(quote(QUERY)))
        await until(lambda: stats.open == 1)
        await asyncio.sleep(0.3)
        assert stats.open == 1, "the query must still run, or nothing is tested"
        writer.close()
        await writer.wait_closed()
        await until(lambda: stats.open == 0)
        assert (stats.canceled, stats.timeouts) == (1, 0)
        # The only thread works again.
        reader, writer = await ask(runner, "/api/v1/query?query=1%2B1")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
        await writer.wait_closed()


async def test_one_that_waits_is_not_begun(slow: Services) -> None:
    async with served(slow) as (runner, stats):
        writers = [(await ask(runner, SLOW.format(quote(QUERY))))[1] for _ in range(3)]
        await until(lambda: stats.open == 3)
        for writer in writers[1:]:
            writer.close()
        await until(lambda: stats.open == 1)
        assert stats.canceled == 2
        writers[0].close()
        await until(lambda: stats.open == 0)
        for writer in writers:
            await writer.wait_closed()


async def test_a_stopping_server_does_not_wait_for_queries(slow: Services) -> None:
    async with served(slow) as (runner, stats):
        reader, writer = await ask(runner, SLOW.format(quote(QUERY)))
        await until(lambda: stats.open == 1)
        async with asyncio.timeout(60):
            await runner.cleanup()
        assert stats.open == 0
        assert (await reader.readline()).startswith(b"HTTP/1.1 499")
        assert b'"errorType":"canceled"' in await reader.read()
        writer.close()
        await writer.wait_closed()
