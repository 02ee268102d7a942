"""The phone of the demo: takes what Apprise posts (its ``json://`` form) and shows it in the terminal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

_MAX_BODY = 64 * 1024


@dataclass(frozen=True, slots=True)
class Message:
    """``seconds``: on the monotonic clock, when it arrived."""

    seconds: float
    title: str
    body: str

    @property
    def resolved(self) -> bool:
        return self.title.upper().startswith("RESOLVED")


class Receiver:
    """Keeps what arrived; ``on_message`` is called with each."""

    def __init__(self, on_message: Callable[[Message], None]) -> None:
        self.messages: list[Message] = []
        self._on_message = on_message
        self._arrived = asyncio.Condition()
        self._runner: web.AppRunner | None = None

    async def start(self, host: str = "127.0.0.1") -> tuple[str, int]:
        """Listen on a free port; returns the address."""
        app = web.Application(client_max_size=_MAX_BODY)
        app.router.add_post("/", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, 0)
        await site.start()
        address = self._runner.addresses[0]
        return str(address[0]), int(address[1])

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def wait_for(self, wanted: Callable[[Message], bool], seconds: float, after: int = 0) -> Message | None:
        """The first message from number ``after`` on that is wanted; None when the time is over."""

        def found() -> Message | None:
            return next((message for message in self.messages[after:] if wanted(message)), None)

        async with self._arrived:
            try:
                async with asyncio.timeout(seconds):
                    await self._arrived.wait_for(lambda: found() is not None)
            except TimeoutError:
                return None
            return found()

    async def _take(self, request: web.Request) -> web.Response:
        try:
            data = await request.json()
            message = Message(time.monotonic(), str(data["title"]), str(data["message"]))
        except (ValueError, KeyError, TypeError):
            return web.Response(status=400, text="expected Apprise's JSON: title and message")
        self.messages.append(message)
        self._on_message(message)
        async with self._arrived:
            self._arrived.notify_all()
        return web.Response()
