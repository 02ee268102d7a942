"""A few threads for queries, a bounded queue before them, a deadline on each, and an end to those nobody waits for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar

from aiohttp import web

from alerting.api.answer import ApiError
from alerting.promql.budget import Patience
from alerting.promql.errors import QueryCanceled, QueryError, QueryTimeout
from alerting.storage.ports import StorageError

T = TypeVar("T")

_TIMED_OUT = "query timed out in query execution"
_CANCELED = "query was canceled in query execution"
# How often a request that waits for its answer is asked whether its client is still there.
_LOOK_SECONDS = 0.2
# A query ends at its deadline by itself; one that hangs where it does not look at the clock is left behind after this.
_GRACE_SECONDS = 1.0


@dataclass(slots=True)
class PoolStats:
    """``open``: running and waiting now; the others since the start. ``seconds``: waiting and running together."""

    queries: int = 0
    refused: int = 0
    timeouts: int = 0
    canceled: int = 0
    open: int = 0
    seconds: float = 0.0


def is_gone(request: web.Request) -> bool:
    """Whether the client closed the connection."""
    return request.transport is None or request.transport.is_closing()


class QueryPool:
    """Work that must not block the event loop. A query that nobody waits for any more is not begun, or stopped."""

    def __init__(self, threads: int, waiting: int, seconds: float) -> None:
        self.stats = PoolStats()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="query")
        self._most = threads + waiting
        self._seconds = seconds
        self._lock = Lock()
        self._open: set[Patience] = set()
        self._closed = False

    async def run(self, request: web.Request, work: Callable[[Patience], T], seconds: float | None = None) -> T:
        """The result of ``work``, at most ``seconds`` from now or the pool's own limit, and no longer than the client
        of ``request`` is there. ``work`` must ask its patience often. Raises ApiError."""
        limit = self._seconds if seconds is None else min(seconds, self._seconds)
        began = time.monotonic()
        patience = Patience(began + limit)
        self._admit(patience)
        # A cancelled one stays in the queue until a thread is free; by then it holds nothing any more.
        wanted = [work]
        future = self._threads.submit(_begin, wanted, patience)
        future.add_done_callback(lambda _: self._done(patience))
        try:
            return await self._answer(request, future, began + limit + _GRACE_SECONDS)
        except QueryTimeout as error:
            self.stats.timeouts += 1
            raise ApiError("timeout", str(error)) from error
        except QueryError as error:
            self.stats.canceled += error.kind == "canceled"
            raise ApiError(error.kind, str(error)) from error
        except StorageError as error:
            raise ApiError("execution", str(error)) from error
        finally:
            patience.give_up()
            wanted.clear()
            self.stats.seconds += time.monotonic() - began

    def close(self) -> None:
        """Let go of the threads: what waits is dropped, what runs ends within a moment."""
        with self._lock:
            self._closed = True
            for patience in self._open:
                patience.give_up()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _admit(self, patience: Patience) -> None:
        with self._lock:
            if self._closed:
                raise ApiError("unavailable", "the aggregator is stopping")
            if self.stats.open >= self._most:
                self.stats.refused += 1
                raise ApiError("unavailable", "too many queries are running and waiting; try again later")
            self.stats.open += 1
            self.stats.queries += 1
            self._open.add(patience)

    async def _answer(self, request: web.Request, future: Future[T], latest: float) -> T:
        answer = asyncio.wrap_future(future)
        try:
            while True:
                await asyncio.wait((answer,), timeout=_LOOK_SECONDS)
                if answer.done():
                    break
                if is_gone(request):
                    raise QueryCanceled(_CANCELED)
                if time.monotonic() > latest:
                    raise QueryTimeout(_TIMED_OUT)
        finally:
            # Of one that was not begun this is the end; of one that runs, the end of our interest.
            answer.cancel()
        if answer.cancelled():
            raise QueryCanceled(_CANCELED)
        return answer.result()

    def _done(self, patience: Patience) -> None:
        with self._lock:
            self.stats.open -= 1
            self._open.discard(patience)


def _begin(wanted: list[Callable[[Patience], T]], patience: Patience) -> T:
    try:
        patience.check()
    except QueryTimeout as error:
        raise QueryTimeout(_TIMED_OUT) from error
    try:
        work = wanted.pop()
    except IndexError:  # in this moment
        raise QueryCanceled(_CANCELED) from None
    return work(patience)
