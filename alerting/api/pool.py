"""A few threads for queries, a bounded queue before them, a deadline on each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar

from alerting.api.answer import ApiError
from alerting.promql.errors import QueryError, QueryTimeout
from alerting.storage.ports import StorageError

T = TypeVar("T")

_TIMED_OUT = "query timed out in query execution"


@dataclass(slots=True)
class PoolStats:
    """``open``: running and waiting now; the others since the start. ``seconds``: waiting and running together."""

    queries: int = 0
    refused: int = 0
    timeouts: int = 0
    open: int = 0
    seconds: float = 0.0


class QueryPool:
    """Work that must not block the event loop. A query that nobody waits for any more is not begun."""

    def __init__(self, threads: int, waiting: int, seconds: float) -> None:
        self.stats = PoolStats()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="query")
        self._most = threads + waiting
        self._seconds = seconds
        self._lock = Lock()

    async def run(self, work: Callable[[float], T], seconds: float | None = None) -> T:
        """The result of ``work(deadline)``, at most ``seconds`` from now or the pool's own limit. Raises ApiError."""
        limit = self._seconds if seconds is None else min(seconds, self._seconds)
        began = time.monotonic()
        deadline = began + limit
        with self._lock:
            if self.stats.open >= self._most:
                self.stats.refused += 1
                raise ApiError("unavailable", "too many queries are running and waiting; try again later")
            self.stats.open += 1
        self.stats.queries += 1
        future: Future[T] = self._threads.submit(_begin, work, deadline)
        future.add_done_callback(self._done)
        try:
            async with asyncio.timeout(limit + 1):
                return await asyncio.wrap_future(future)
        except (TimeoutError, QueryTimeout) as error:
            self.stats.timeouts += 1
            words = str(error) if isinstance(error, QueryTimeout) else _TIMED_OUT
            raise ApiError("timeout", words) from error
        except QueryError as error:
            raise ApiError(error.kind, str(error)) from error
        except StorageError as error:
            raise ApiError("execution", str(error)) from error
        finally:
            self.stats.seconds += time.monotonic() - began

    def close(self) -> None:
        """Let go of the threads; what waits is dropped, what runs ends by its deadline."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _done(self, _: object) -> None:
        with self._lock:
            self.stats.open -= 1


def _begin(work: Callable[[float], T], deadline: float) -> T:
    if time.monotonic() >= deadline:
        raise QueryTimeout(_TIMED_OUT)
    return work(deadline)
