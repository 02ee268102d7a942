"""A private D-Bus daemon with a systemd1 on it that says what a test wants; its answers have the forms that systemd 252
gives (recorded with busctl from a real one)."""

from __future__ import annotations

import os
import select
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jeepney import (
    DBusAddress,
    HeaderFields,
    Message,
    MessageType,
    message_bus,
    new_error,
    new_method_return,
    new_signal,
)
from jeepney.io.blocking import open_dbus_connection

from tests.support.machine import PATIENCE
from tests.support.peers import need

NAME, PATH = "org.freedesktop.systemd1", "/org/freedesktop/systemd1"
MAX = 2**64 - 1


@dataclass
class FakeUnit:
    """``properties``: what the unit's interfaces have, with D-Bus signatures."""

    name: str
    load: str = "loaded"
    active: str = "active"
    sub: str = "running"
    properties: dict[str, tuple[str, Any]] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return f"{PATH}/unit/{''.join(c if c.isalnum() else f'_{ord(c):02x}' for c in self.name)}"

    def row(self) -> tuple[Any, ...]:
        return (self.name, f"The {self.name}", self.load, self.active, self.sub, "", self.path, 0, "", "/")


def service(name: str, **more: Any) -> FakeUnit:
    """A running service with the usual accounting."""
    found = FakeUnit(name, **more)
    found.properties = {
        "ActiveEnterTimestamp": ("t", 1_795_436_155_308_245),
        "Type": ("s", "simple"),
        "Result": ("s", "success"),
        "NRestarts": ("u", 0),
        "MemoryCurrent": ("t", 5_242_880),
        "TasksCurrent": ("t", 3),
        "TasksMax": ("t", 4915),
    }
    return found


class FakeSystemd:
    """``units`` may be changed at any time; ``tell`` sends the signal of a change. ``asked`` counts calls by member;
    ``before`` is called, in the answering thread, before each answer: what it tells comes within a reading."""

    def __init__(self, address: str) -> None:
        self.units: dict[str, FakeUnit] = {}
        self.state = "running"
        self.mute = False
        self.asked: dict[str, int] = {}
        self.before: Callable[[str, str], None] = lambda *_: None
        """Member of the call, and the property where it asks for one."""
        self._bus = open_dbus_connection(address, auth_timeout=5.0 * PATIENCE)
        self._bus.send_and_get_reply(message_bus.RequestName(NAME), timeout=5 * PATIENCE)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="fake systemd", daemon=True)
        self._thread.start()

    def add(self, unit: FakeUnit) -> FakeUnit:
        self.units[unit.name] = unit
        return unit

    def tell(self, unit: FakeUnit, active: str = "", sub: str = "") -> None:
        """As PID 1 does: the unit's own interface with what changed; ``active`` and ``sub``: states that it had only
        for a moment."""
        changed = {"ActiveState": ("s", active or unit.active), "SubState": ("s", sub or unit.sub)}
        emitter = DBusAddress(unit.path, NAME, "org.freedesktop.DBus.Properties")
        self._bus.send(new_signal(emitter, "PropertiesChanged", "sa{sv}as", (f"{NAME}.Unit", changed, [])))

    def tell_loaded(self, unit: FakeUnit) -> None:
        """As PID 1 does when it is asked for a unit that does not run: it loads it and forgets it again."""
        for member in ("UnitNew", "UnitRemoved"):
            self._bus.send(new_signal(DBusAddress(PATH, NAME, f"{NAME}.Manager"), member, "so", (unit.name, unit.path)))

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5 * PATIENCE)
        self._bus.close()

    def _serve(self) -> None:
        while not self._stop.is_set():
            if not select.select([self._bus.sock], [], [], 0.05)[0]:
                continue
            while True:
                try:
                    message = self._bus.receive(timeout=0)
                except TimeoutError:
                    break
                except OSError:
                    return
                if message.header.message_type is MessageType.method_call and not self.mute:
                    self._bus.send(self._answer(message))

    def _answer(self, message: Message) -> Message:
        fields = message.header.fields
        member, path = fields[HeaderFields.member], fields[HeaderFields.path]
        self.asked[member] = self.asked.get(member, 0) + 1
        self.before(member, message.body[1] if member == "Get" else "")
        if member == "Subscribe":
            return new_method_return(message)
        if member == "ListUnitsByNames":
            rows = [self._named(name) for name in message.body[0]]
        elif member == "ListUnitsFiltered":
            states = message.body[0]
            rows = [unit.row() for unit in self.units.values() if unit.active in states or unit.sub in states]
        elif member == "ListUnitsByPatterns":
            rows = [unit.row() for unit in self.units.values() if unit.name.endswith(".timer")]
        else:
            return self._property(message, path, message.body[1])
        return new_method_return(message, "a(ssssssouso)", (rows,))

    def _named(self, name: str) -> tuple[Any, ...]:
        return self.units.get(name, FakeUnit(name, "not-found", "inactive", "dead")).row()

    def _property(self, message: Message, path: str, name: str) -> Message:
        failed = sum(unit.active == "failed" for unit in self.units.values())
        of_manager = {
            "SystemState": ("s", self.state),
            "NFailedUnits": ("u", failed),
            "Version": ("s", "252.39-1~deb12u2"),
        }
        found = of_manager.get(name) if path == PATH else None
        for unit in self.units.values():
            if unit.path == path:
                found = unit.properties.get(name)
        if found is None:
            return new_error(message, "org.freedesktop.DBus.Error.UnknownProperty", "s", ("no such property",))
        return new_method_return(message, "v", (found,))


@contextmanager
def private_bus(folder: Path) -> Iterator[str]:
    """The path of a socket where a D-Bus daemon of our own listens."""
    socket = folder / "bus"
    daemon = subprocess.Popen(
        [
            need("dbus-daemon"),
            "--session",
            "--nofork",
            "--nopidfile",
            f"--address=unix:path={socket}",
            "--print-address",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "DBUS_VERBOSE": "0"},
    )
    try:
        assert daemon.stdout is not None
        assert daemon.stdout.readline()
        yield str(socket)
    finally:
        daemon.terminate()
        daemon.communicate(timeout=5 * PATIENCE)
