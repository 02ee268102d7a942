"""The one door to D-Bus (jeepney): calls and signals of the system bus, each within a time.

Format: https://dbus.freedesktop.org/doc/dbus-specification.html. Only what is asked for is read: properties one by one,
because GetAll of a service would bring its environment, with its passwords, into this process.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jeepney import (
    DBusAddress,
    HeaderFields,
    MatchRule,
    Message,
    MessageType,
    Parser,
    Properties,
    message_bus,
    new_method_call,
)
from jeepney.auth import BEGIN, AuthenticationError, Authenticator
from jeepney.bus import get_bus

from exporters.sources.systemd import SystemdError

CALL_SECONDS = 5.0
_READ = 64 * 1024
# The answers we ask for are far smaller; a bus that sends this much is no system bus.
_MOST_BUFFERED = 8 * 1024 * 1024
ADDRESS = "DBUS_SYSTEM_BUS_ADDRESS"


@dataclass(frozen=True, slots=True)
class Signal:
    path: str
    member: str
    body: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """An error that a call was answered with, such as ``org.freedesktop.systemd1.NoSuchUnit``."""

    name: str


Answer = tuple[Any, ...] | Refused


class SystemBus:
    """One connection. Not for several threads. Every method raises SystemdError when the bus fails."""

    def __init__(self, path: str, on_signal: Callable[[Signal], None]) -> None:
        """``path``: of the socket, unless the environment names a bus of its own."""
        self._on_signal = on_signal
        self._serial = 0
        self._parser = Parser()
        self._buffered = 0
        address: Any = path
        try:
            if os.environ.get(ADDRESS):
                address = get_bus("SYSTEM")
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        except (OSError, RuntimeError, ValueError) as error:
            raise SystemdError(f"system bus: {error}") from error
        try:
            self._socket.settimeout(CALL_SECONDS)
            self._socket.connect(address)
            self._authenticate()
            self.call(message_bus.Hello())
        except (OSError, AuthenticationError) as error:
            self.close()
            raise SystemdError(f"system bus {path}: {error}") from error
        except SystemdError:
            self.close()
            raise

    def close(self) -> None:
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def _authenticate(self) -> None:
        talk = Authenticator()
        for request in talk:
            self._socket.sendall(request)
            answer = self._socket.recv(1024)
            if not answer:
                raise AuthenticationError(b"the bus hung up")
            talk.feed(answer)
        self._socket.sendall(BEGIN)

    def match(self, **rule: str) -> None:
        """Ask for signals that match; ``arg0`` to ``arg3`` are conditions on text arguments."""
        conditions = {name: rule.pop(name) for name in list(rule) if name.startswith("arg")}
        found = MatchRule(type="signal", **rule)
        for name, value in conditions.items():
            found.add_arg_condition(int(name[3:]), value)
        self.expect(self.call(message_bus.AddMatch(found)))

    def call(self, message: Message) -> Answer:
        return self.call_all([message])[0]

    def call_all(self, messages: Sequence[Message]) -> list[Answer]:
        """The answers in order; all are asked before the first is waited for."""
        places: dict[int, int] = {}
        answers: list[Answer | None] = [None] * len(messages)
        end = time.monotonic() + CALL_SECONDS
        data = b""
        for place, message in enumerate(messages):
            self._serial += 1
            places[self._serial] = place
            data += message.serialise(self._serial)
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise SystemdError(f"system bus: {error}") from error
        while places:
            message = self._next(end)
            place_of = places.pop(message.header.fields.get(HeaderFields.reply_serial, 0), None)
            if place_of is None:
                self._other(message)
            elif message.header.message_type is MessageType.error:
                answers[place_of] = Refused(message.header.fields.get(HeaderFields.error_name, "an error"))
            else:
                answers[place_of] = message.body
        return [answer for answer in answers if answer is not None]

    def pump(self) -> None:
        """Hand on the signals that are here, without waiting."""
        while True:
            try:
                message = self._next(0.0)
            except TimeoutError:
                return
            self._other(message)

    def _other(self, message: Message) -> None:
        fields = message.header.fields
        if message.header.message_type is MessageType.signal:
            self._on_signal(
                Signal(fields.get(HeaderFields.path, ""), fields.get(HeaderFields.member, ""), message.body)
            )

    def _next(self, end: float) -> Message:
        """The next message; ``end`` 0: TimeoutError when there is none now, else SystemdError at that time."""
        while True:
            try:
                message = self._parser.get_next_message()
            except Exception as error:  # what is no D-Bus fails in the parser in many ways
                raise SystemdError(f"system bus: unreadable: {type(error).__name__}") from error
            if message is not None:
                self._buffered = 0
                return message
            wait = max(0.0, end - time.monotonic()) if end else 0.0
            try:
                # poll, not select: it has no limit on file numbers
                poll = select.poll()
                poll.register(self._socket, select.POLLIN)
                if not poll.poll(wait * 1000):
                    if not end:
                        raise TimeoutError
                    raise SystemdError(f"system bus: no answer within {CALL_SECONDS:g} s")
                data = self._socket.recv(_READ)
            except TimeoutError:
                raise
            except OSError as error:
                raise SystemdError(f"system bus: {error}") from error
            if not data:
                raise SystemdError("system bus: it hung up")
            self._buffered += len(data)
            if self._buffered > _MOST_BUFFERED:
                raise SystemdError(f"system bus: a message of more than {_MOST_BUFFERED} bytes")
            self._parser.add_data(data)

    @staticmethod
    def expect(answer: Answer) -> tuple[Any, ...]:
        """The answer, when it is one. Raises SystemdError."""
        if isinstance(answer, Refused):
            raise SystemdError(f"system bus: {answer.name}")
        return answer


@dataclass(frozen=True, slots=True)
class Remote:
    """Somebody on the bus, by name; makes the messages to ask it."""

    name: str

    def method(self, path: str, interface: str, member: str, signature: str = "", *body: Any) -> Message:
        address = DBusAddress(path, self.name, interface)
        return new_method_call(address, member, signature or None, body)

    def property(self, path: str, interface: str, member: str) -> Message:
        """Ask for one property; the answer is a variant."""
        return Properties(DBusAddress(path, self.name, interface)).get(member)
