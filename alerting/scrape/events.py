"""The messages of an exporter's stream of events, read from bytes (server-sent events,
https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation).

    id: 17 / event: hello / data: SPEAKER 1       first; numbers of one speaker go on over several streams
    id: 20 / event: change / data: 3 container    changes 18, 19 and 20
    id: 20 / event: beat / data:                  every second without news
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MAX_LINE = 1024
# What a node that speaks as intended never sends: it tells changes at most 20 times a second.
MAX_BYTES_A_SECOND = 32 * 1024

Event = Literal["hello", "change", "beat"]


class StreamError(Exception):
    """The stream is not what an exporter sends; the message says how."""


@dataclass(frozen=True, slots=True)
class Message:
    """``number``: of the newest change it covers; ``count``: how many it tells; ``speaker``: of a hello."""

    event: Event
    number: int
    count: int = 0
    speaker: str = ""


class Reader:
    """Bytes in, messages out. Holds at most one unfinished line and one unfinished message."""

    def __init__(self) -> None:
        self._rest = b""
        self._fields: dict[str, str] = {}

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete now. Raises StreamError."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        read = (self._line(line.removesuffix(b"\r")) for line in lines)
        found = [message for message in read if message is not None]
        if len(self._rest) > MAX_LINE:
            raise StreamError("a line has no end")
        return found

    def _line(self, line: bytes) -> Message | None:
        if len(line) > MAX_LINE:
            raise StreamError("a line is too long")
        if line:
            name, _, value = line.decode("utf-8", "replace").partition(":")
            if name in ("id", "event", "data"):  # others, and comments, are allowed and mean nothing to us
                self._fields[name] = value.removeprefix(" ")
            return None
        fields, self._fields = self._fields, {}
        return _message(fields) if "event" in fields else None


def _message(fields: dict[str, str]) -> Message | None:
    event, data = fields["event"], fields.get("data", "").split()
    if event not in ("hello", "change", "beat"):
        return None  # of a newer exporter
    number = _number(fields.get("id", ""))
    if event == "hello":
        return Message("hello", number, speaker=data[0] if data else "")
    if event == "change":
        return Message("change", number, count=_number(data[0] if data else ""))
    return Message("beat", number)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise StreamError(f"expected a number, got {text[:40]!r}")
    return int(text)


@dataclass(slots=True)
class Numbers:
    """Which changes of a node were told, over all its streams; finds those that were not."""

    speaker: str = ""
    last: int | None = None

    def missed(self, message: Message) -> int:
        """How many changes before this message were never told."""
        if message.event == "hello":
            before = self.last if message.speaker == self.speaker else None
            self.speaker = message.speaker
        else:
            before = self.last
        self.last = message.number
        if before is None:
            return 0
        return max(0, message.number - message.count - before)


@dataclass(slots=True)
class EventStats:
    """Counts since the start, over all nodes. ``open``: streams that speak now; ``unsupported``: nodes whose exporter
    has none. ``received``: changes told; ``missed``: changes that a stream should have told and did not. ``broken``:
    streams that ended; ``silent``: streams that fell silent; ``gone``: nodes found gone after a silence."""

    open: int = 0
    unsupported: int = 0
    received: int = 0
    missed: int = 0
    broken: int = 0
    silent: int = 0
    gone: int = 0
