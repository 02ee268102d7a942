"""The loop that takes messages out of the outbox and hands them to the sender.

One message in flight for each URL, different URLs at the same time. The result is written down before the next
message of that line is taken, so a crash repeats at most the one message that was in flight.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from alerting.clock import Clock
from alerting.notify.message import late
from alerting.notify.outbox import Head, Outbox
from alerting.notify.sender import Delivery, Sender
from alerting.storage.database import DatabaseDamaged
from alerting.storage.ports import StorageError
from config.secrets import Secret

log = logging.getLogger(__name__)

_LONGEST_SLEEP_S = 30.0
_PRUNE_EVERY_S = 3600.0
_AFTER_STORAGE_ERROR_S = 1.0
_LOOK_AGAIN_S = 0.2
_LAST_TRIES_S = 3.0


class Deliverer:
    """``run`` it as a task; ``kick`` it from any thread when something was queued."""

    def __init__(
        self,
        outbox: Outbox,
        sender: Sender,
        urls: Mapping[str, Sequence[Secret]],
        clock: Clock,
        on_damaged: Callable[[int], None] = lambda _: None,
    ) -> None:
        """``on_damaged``, called on a worker thread with the time, mends a database that turned out damaged."""
        self._outbox = outbox
        self._sender = sender
        self._urls = urls
        self._clock = clock
        self._on_damaged = on_damaged
        self._unwritten: dict[tuple[str, int], str] = {}
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._in_flight: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._preparing: asyncio.Task[None] | None = None
        self._adopting: asyncio.Task[None] | None = None
        self._reloading = asyncio.Lock()

    async def run(self) -> None:
        """Deliver until cancelled; the tries in flight then have a moment to end: a message that is given up once it is
        on its way is told again at the next start. It stays in the outbox."""
        self._loop = asyncio.get_running_loop()
        pruned = -_PRUNE_EVERY_S
        adopted = False
        try:
            while True:
                self._wake.clear()
                try:
                    if not adopted:
                        await asyncio.to_thread(self._outbox.adopt, self._urls, self._clock.now_ms())
                        adopted = True
                    if time.monotonic() - pruned >= _PRUNE_EVERY_S:
                        pruned = time.monotonic()
                        await asyncio.to_thread(self._outbox.prune, self._clock.now_ms())
                    sleep_s = await self._start_due()
                except StorageError as error:
                    log.warning("the outbox cannot be read: %s", error)
                    await self._mend(error)
                    sleep_s = _AFTER_STORAGE_ERROR_S
                try:
                    async with asyncio.timeout(sleep_s):
                        await self._wake.wait()
                except TimeoutError:
                    self._stay_ready()
        finally:
            self._loop = None
            await self._end()
            await self._sender.close()

    def kick(self) -> None:
        """Look into the outbox now. Callable from any thread; does nothing while ``run`` does not run."""
        self._call(self._wake.set)

    def prepare(self) -> None:
        """A message is likely within seconds. Callable from any thread."""
        self._call(self._start_preparing)

    async def reload(self, urls: Mapping[str, Sequence[Secret]]) -> None:
        """Go on with other URLs; what waits is tried again at once. Raises StorageError, and then nothing changed."""
        await self._reloading.acquire()
        try:
            # A try in flight belongs to the old URLs: its result must be written before the lines move.
            while self._in_flight:
                await asyncio.wait(self._in_flight.values(), timeout=_LOOK_AGAIN_S)
                for error in self._unwritten.values():
                    raise StorageError(f"what became of a message cannot be written down: {error}")
        except BaseException:
            self._reloading.release()
            raise
        # Who asked may leave; lines that have moved go to the new URLs all the same.
        self._adopting = asyncio.get_running_loop().create_task(self._adopt(urls))
        await asyncio.shield(self._adopting)

    async def _adopt(self, urls: Mapping[str, Sequence[Secret]]) -> None:
        """By whoever holds ``_reloading``; gives it back."""
        try:
            await asyncio.to_thread(self._outbox.adopt, urls, self._clock.now_ms())
            self._urls = urls
        finally:
            self._reloading.release()
        self.kick()

    async def _start_due(self) -> float:
        """Start a try for every line that is due and free; returns the seconds to sleep."""
        async with self._reloading:
            # Lines that are busy before the outbox is read: what is read of them may be out of date at once. The end
            # of a try wakes the loop.
            busy = set(self._in_flight)
            heads = await asyncio.to_thread(self._outbox.heads)
            now = self._clock.now_ms()
            sleep_s = _LONGEST_SLEEP_S
            for head in heads:
                line = (head.receiver, head.url_index)
                if line in busy:
                    continue
                if head.is_due(now):
                    task = asyncio.get_running_loop().create_task(self._deliver(head), name=f"deliver {head.id}")
                    self._in_flight[line] = task
                else:
                    sleep_s = min(sleep_s, max((head.next_ms - now) / 1000, 0.01))
            return sleep_s

    async def _deliver(self, head: Head) -> None:
        line = (head.receiver, head.url_index)
        try:
            delivery = await self._try(head)
            while True:
                try:
                    state = await asyncio.to_thread(self._outbox.record, head, delivery, self._clock.now_ms())
                    break
                except StorageError as error:
                    # Not written down, the message would be sent again: keep the line busy until it is.
                    if line not in self._unwritten:
                        log.warning("cannot write down that message %d was %s: %s", head.id, delivery.outcome, error)
                    self._unwritten[line] = str(error)
                    await self._mend(error)
                    await asyncio.sleep(_AFTER_STORAGE_ERROR_S)
            place = f"{head.receiver} (URL {head.url_index + 1})"
            if delivery.outcome == "delivered":
                log.info("told %s: %s", place, head.title)
            elif state == "lost":
                log.error(
                    "gave up telling %s after %d tries: %s: %s", place, head.attempts + 1, head.title, delivery.reason
                )
            else:
                log.warning("could not tell %s, will try again: %s: %s", place, head.title, delivery.reason)
        finally:
            self._unwritten.pop(line, None)
            self._in_flight.pop(line, None)
            self._wake.set()

    async def _try(self, head: Head) -> Delivery:
        urls = self._urls.get(head.receiver, ())
        if head.url_index >= len(urls):
            return Delivery("failed", "its URL is not in the configuration any more")
        body = late(head.body, head.queued_ms, self._clock.now_ms())
        try:
            return await self._sender.send(urls[head.url_index], head.title, body, head.kind)
        except Exception as error:
            # Not the error's text: it may quote the URL.
            log.warning("the sender failed in an unexpected way: %s", type(error).__name__)
            return Delivery("failed", f"internal error: {type(error).__name__}")

    async def _mend(self, error: StorageError) -> None:
        if isinstance(error, DatabaseDamaged):
            with suppress(StorageError):
                await asyncio.to_thread(self._on_damaged, self._clock.now_ms())

    def _call(self, function: object) -> None:
        loop = self._loop
        if loop is not None and callable(function):
            with suppress(RuntimeError):  # the loop has just been closed
                loop.call_soon_threadsafe(function)

    def _stay_ready(self) -> None:
        """Failures do not announce themselves: the first message after a quiet month is as quick as the second."""
        if any(self._urls.values()):
            self._start_preparing()

    def _start_preparing(self) -> None:
        if self._loop is not None and (self._preparing is None or self._preparing.done()):
            self._preparing = asyncio.get_running_loop().create_task(self._prepare())

    async def _prepare(self) -> None:
        try:
            await self._sender.prepare()
        except Exception as error:
            log.warning("the sender could not get ready: %s", type(error).__name__)

    async def _end(self) -> None:
        if self._in_flight:
            await asyncio.wait(self._in_flight.values(), timeout=_LAST_TRIES_S)
        tasks = [*self._in_flight.values(), *([self._preparing] if self._preparing else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with self._reloading:
            pass  # lines that are moving have moved
