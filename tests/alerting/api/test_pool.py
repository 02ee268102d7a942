"""The threads for queries, without a server before them."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from types import SimpleNamespace
from typing import cast

from aiohttp import web

from alerting.api.answer import ApiError
from alerting.api.pool import QueryPool
from alerting.promql.budget import Patience

HERE = cast(web.Request, SimpleNamespace(transport=SimpleNamespace(is_closing=lambda: False)))
GONE = cast(web.Request, SimpleNamespace(transport=None))


class Body:
    """What a request brought."""


async def test_what_nobody_waits_for_any_more_is_held_by_nobody() -> None:
    pool, go = QueryPool(threads=1, waiting=8, seconds=60.0), threading.Event()
    busy = asyncio.ensure_future(pool.run(HERE, lambda _: go.wait(60)))
    await asyncio.sleep(0)

    async def given_up() -> weakref.ref[Body]:
        body = Body()

        def work(_: Patience) -> Body:
            return body

        try:
            await pool.run(GONE, work)
        except ApiError as error:
            assert error.kind == "canceled"
        return weakref.ref(body)

    found = [await given_up() for _ in range(3)]
    await asyncio.sleep(0)
    gc.collect()
    assert [body() for body in found] == [None, None, None], "the only thread is busy, so they are still in the queue"
    go.set()
    assert await busy
    assert (pool.stats.open, pool.stats.canceled) == (0, 3)
    pool.close()
