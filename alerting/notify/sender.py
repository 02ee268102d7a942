"""The port through which a message leaves, and a fake one for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from alerting.notify.message import Kind
from config.secrets import Secret


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one try. ``reason`` is for people and holds no secret; ``retry`` is False when the service
    refused this very message, so that trying again is of little use."""

    outcome: Literal["delivered", "failed", "timeout"]
    reason: str = ""
    retry: bool = True


class Sender(Protocol):
    async def send(self, url: Secret, title: str, body: str, kind: Kind) -> Delivery:
        """Try once, within a deadline of the sender's own. Never raises for what a receiver does."""

    async def prepare(self) -> None:
        """A message may come soon: get ready now what takes time."""

    async def close(self) -> None:
        """End everything that was started."""


@dataclass(slots=True)
class FakeSender:
    """Records what it is given. ``answer`` decides what becomes of it; ``delay_s`` is how long a try takes."""

    answer: Callable[[str, str], Delivery] = lambda _url, _title: Delivery("delivered")
    delay_s: float = 0.0
    sent: list[tuple[str, str, str]] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)
    overlaps: int = 0
    prepared: int = 0

    async def send(self, url: Secret, title: str, body: str, kind: Kind) -> Delivery:
        del kind
        text = url.reveal()
        self.overlaps += text in self.busy
        self.busy.add(text)
        await asyncio.sleep(self.delay_s)
        self.busy.discard(text)
        delivery = self.answer(text, title)
        if delivery.outcome == "delivered":
            self.sent.append((text, title, body))
        return delivery

    async def prepare(self) -> None:
        self.prepared += 1

    async def close(self) -> None:
        self.busy.clear()
