"""Units as systemd's manager tells them over the bus, and its signals (org.freedesktop.systemd1(5)).

A reading asks for lists first and for details second; after a signal only the units that it named are asked again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from exporters.sources.system_bus import Answer, Refused, Remote, Signal, SystemBus
from exporters.sources.systemd import AUTO_RESTART, MAX_TIMERS, MAX_UNITS, Details, Reading, Unit, known, moment

_NAME = "org.freedesktop.systemd1"
_PATH = "/org/freedesktop/systemd1"
_SYSTEMD = Remote(_NAME)
_MANAGER = f"{_NAME}.Manager"
_UNIT = f"{_NAME}.Unit"
_SERVICE = f"{_NAME}.Service"
_TIMER = f"{_NAME}.Timer"
_SERVICE_PROPERTIES = ("Type", "Result", "NRestarts", "MemoryCurrent", "TasksCurrent", "TasksMax")


class BusUnits:
    """Asks one bus. Use by one thread; ``close`` when done. Every method raises SystemdError."""

    def __init__(self, path: str, wanted: Sequence[str]) -> None:
        """Connects and subscribes. ``wanted``: names of units that are always told."""
        self._wanted = tuple(wanted)
        self._details: dict[str, Details] = {}
        self._timers: tuple[Unit, ...] = ()
        self._version = ""
        self._dirty: set[str] = set()
        self.noticed: set[str] = set()
        """Names of units that a signal showed in trouble; whoever reads takes them out."""
        self.signalled = False
        """Whether a signal asks for another reading."""
        self._reading = False
        self._within: list[tuple[str, tuple[str, str]]] = []
        self.bus = SystemBus(path, self._signal)
        try:
            self._subscribe()
        except BaseException:
            self.bus.close()
            raise

    def close(self) -> None:
        self.bus.close()

    def _subscribe(self) -> None:
        """First the matches, then the subscription (without it PID 1 sends nothing), then whoever asks reads: nothing
        falls between."""
        self.bus.match(
            sender=_NAME,
            interface="org.freedesktop.DBus.Properties",
            member="PropertiesChanged",
            path_namespace=f"{_PATH}/unit",
            arg0=_UNIT,
        )
        of_manager = {"sender": _NAME, "interface": _MANAGER, "path": _PATH}
        for name in self._wanted:
            self.bus.match(**of_manager, member="UnitNew", arg0=name)
            self.bus.match(**of_manager, member="UnitRemoved", arg0=name)
            self.bus.match(**of_manager, member="JobRemoved", arg2=name)
        self.bus.match(**of_manager, member="Reloading")
        self.bus.match(
            sender="org.freedesktop.DBus", interface="org.freedesktop.DBus", member="NameOwnerChanged", arg0=_NAME
        )
        self._subscribed()

    def _subscribed(self) -> None:
        answer = self.bus.call(_SYSTEMD.method(_PATH, _MANAGER, "Subscribe"))
        if not (isinstance(answer, Refused) and answer.name.endswith("AlreadySubscribed")):
            self.bus.expect(answer)

    def read(self, more: Iterable[str] = (), *, whole: bool) -> Reading:
        """The wanted units, those of ``more``, and all that are in trouble. ``whole``: also what no signal tells
        (memory, tasks, timers), of all of them. Afterwards ``signalled`` says whether there is news that came too late
        for it."""
        self.signalled, self._reading, self._within = False, True, []
        names = list(dict.fromkeys([*self._wanted, *more]))[:MAX_UNITS]
        asked = [
            _SYSTEMD.method(_PATH, _MANAGER, "ListUnitsByNames", "as", names),
            _SYSTEMD.method(_PATH, _MANAGER, "ListUnitsFiltered", "as", ["failed", *sorted(AUTO_RESTART)]),
            _SYSTEMD.property(_PATH, _MANAGER, "SystemState"),
            _SYSTEMD.property(_PATH, _MANAGER, "NFailedUnits"),
        ]
        if whole:
            self._subscribed()  # also after a restart of systemd, which forgets its subscribers
            asked += [
                _SYSTEMD.property(_PATH, _MANAGER, "Version"),
                _SYSTEMD.method(_PATH, _MANAGER, "ListUnitsByPatterns", "asas", [], ["*.timer"]),
            ]
        named, troubled, state, failed, *rest = (self.bus.expect(answer) for answer in self.bus.call_all(asked))
        dirty, self._dirty = self._dirty, set()
        units = {unit.name: unit for unit in map(_unit, (*named[0], *troubled[0]))}
        listed = list(units.values())[:MAX_UNITS]
        if whole:
            self._details = {}
            self._version = str(_variant(rest[0]))
            timers = [_unit(row) for row in rest[1][0]][:MAX_TIMERS]
            self._timers = tuple(unit for unit in self._detailed(timers, set()) if unit.details.triggered is not None)
        detailed = tuple(self._detailed(listed, dirty))
        self._reading = False
        self.signalled = self.signalled or self._came_too_late(units)
        return Reading(
            at=time.monotonic(),
            source="bus",
            units=detailed,
            timers=self._timers,
            running=str(_variant(state)),
            version=self._version,
            failed=known(_variant(failed)),
        )

    def _detailed(self, units: Sequence[Unit], dirty: set[str]) -> list[Unit]:
        """The units with their details: asked for, or remembered when nothing has changed."""
        ask = [unit for unit in units if unit.load == "loaded" and self._stale(unit, dirty)]
        questions = [(unit, interface, name) for unit in ask for interface, name in _properties(unit)]
        answers = self.bus.call_all(
            [_SYSTEMD.property(unit.path, interface, name) for unit, interface, name in questions]
        )
        values: dict[str, dict[str, Any]] = {unit.path: {} for unit in ask}
        for (unit, _, name), answer in zip(questions, answers, strict=True):
            if not isinstance(answer, Refused):  # gone meanwhile, or a systemd that does not have it yet
                values[unit.path][name] = _variant(answer)
        self._details.update({path: details(found) for path, found in values.items()})
        return [unit.with_details(self._details.get(unit.path, Details())) for unit in units]

    def _stale(self, unit: Unit, dirty: set[str]) -> bool:
        return unit.path in dirty or unit.path not in self._details

    def _came_too_late(self, units: Mapping[str, Unit]) -> bool:
        """Whether signals told within a reading what its answers do not say. They mostly repeat them: to answer for a
        unit that does not run systemd loads it, and tells that of it and of those that it belongs to."""
        paths = {unit.path: (unit.active, unit.sub) for unit in units.values()}
        contradicted = any(path in paths and paths[path] != state for path, state in self._within)
        return contradicted or not self._dirty.isdisjoint(paths) or not self.noticed <= units.keys()

    def _signal(self, signal: Signal) -> None:
        if signal.member == "PropertiesChanged":
            changed = signal.body[1] if len(signal.body) > 1 and isinstance(signal.body[1], dict) else {}
            active, sub = (str(changed.get(name, ("", ""))[1]) for name in ("ActiveState", "SubState"))
            name = unescape(signal.path.rpartition("/")[2])
            if sub == "failed" or sub in AUTO_RESTART:
                self.noticed.add(name)
            elif signal.path not in self._details and name not in self._wanted:
                return  # of the hundreds that nobody asked for
            self._dirty.add(signal.path)
            if self._reading:
                self._within.append((signal.path, (active, sub)))
                return
        elif self._reading and signal.member in ("UnitNew", "UnitRemoved"):
            return
        self.signalled = True


def details(values: dict[str, Any]) -> Details:
    """From properties by name."""
    return Details(
        type=str(values.get("Type", "")),
        result=str(values.get("Result", "")),
        restarts=known(values.get("NRestarts")),
        memory=known(values.get("MemoryCurrent")),
        tasks=known(values.get("TasksCurrent")),
        tasks_max=known(values.get("TasksMax")),
        started=moment(values.get("ActiveEnterTimestamp")),
        triggered=moment(values.get("LastTriggerUSec")),
    )


def unescape(label: str) -> str:
    """The name in the last part of an object path: ``nginx_2eservice`` is ``nginx.service`` (sd_bus_path_encode(3))."""
    first, *rest = label.split("_")
    try:
        return first + "".join(chr(int(part[:2], 16)) + part[2:] for part in rest)
    except ValueError:
        return label


def _properties(unit: Unit) -> list[tuple[str, str]]:
    found = [(_UNIT, "ActiveEnterTimestamp")]
    if unit.name.endswith(".service"):
        found += [(_SERVICE, name) for name in _SERVICE_PROPERTIES]
    elif unit.name.endswith(".timer"):
        found.append((_TIMER, "LastTriggerUSec"))
    return found


def _unit(row: Sequence[Any]) -> Unit:
    """A row of ListUnits: name, description, load, active, sub, following, path, job number, type and path."""
    return Unit(str(row[0]), str(row[2]), str(row[3]), str(row[4]), str(row[6]))


def _variant(answer: Answer | tuple[Any, ...]) -> Any:
    """The value of an answer that is one variant, which jeepney gives as (signature, value)."""
    return answer[0][1] if not isinstance(answer, Refused) else None
