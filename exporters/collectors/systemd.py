"""systemd's units: those that the inventory names, and those in trouble, whoever they are."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from exporters.catalog import systemd as catalog
from exporters.catalog.metric import Metric
from exporters.collector import CollectorFailed, Family
from exporters.collectors.shape import Row, families, single
from exporters.sources.systemd import ACTIVE_STATES, Reading, Unit, unit_name
from exporters.sources.systemd_watch import STALE_SECONDS, UnitWatch

if TYPE_CHECKING:
    from exporters.registry import Settings

FIRST_SECONDS = 0.5


def watched(settings: Settings) -> Systemd:
    """The collector, with a watch that begins now and ends with the exporter."""
    services: dict[str, list[str]] = {}
    for service in settings.services:
        if service.unit:
            services.setdefault(unit_name(service.unit), []).append(service.name)
    roots = settings.roots
    watch = UnitWatch(
        list(services),
        lambda: settings.changed("unit"),
        bus_path=roots.root("run/dbus/system_bus_socket"),
        wall=settings.wall,
        polled=roots.root("") == "/",
    )
    watch.start()
    settings.on_stop(watch.stop)
    return Systemd(watch, services)


class Systemd:
    """Gives the newest reading of a watch; nothing is asked in a scrape."""

    def __init__(
        self,
        watch: UnitWatch,
        services: Mapping[str, Sequence[str]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``services``: of the inventory, by the unit they name. ``clock``: monotonic seconds."""
        self._watch = watch
        self._services = services
        self._clock = clock

    def collect(self) -> Sequence[Family]:
        reading = self._watch.latest(FIRST_SECONDS)
        if reading is None:
            raise CollectorFailed(self._watch.fault or "systemd has not answered yet")
        age = self._clock() - reading.at
        if age > STALE_SECONDS:
            raise CollectorFailed(self._watch.fault or f"systemd has not answered for {age:.0f} s")
        return [*read_units(reading, self._services), single(catalog.AGE, max(0.0, age))]


def read_units(reading: Reading, services: Mapping[str, Sequence[str]]) -> list[Family]:
    """A reading as families. A unit that is not there has no state."""
    rows: dict[Metric, list[Row]] = {}

    def add(metric: Metric, value: float | None, *labels: str) -> None:
        if value is not None:
            rows.setdefault(metric, []).append((labels, float(value)))

    for unit in reading.units:
        here = unit.load not in ("not-found", "masked")
        for service in services.get(unit.name, ()):
            add(catalog.WANTED, float(here), unit.name, service)
        if here:
            _unit(unit, add)
    for timer in reading.timers:
        add(catalog.TIMER_LAST, timer.details.triggered, timer.name)
    if reading.running:
        add(catalog.RUNNING, float(reading.running == "running"))
    add(catalog.FAILED, reading.failed)
    if found := re.match(r"[0-9]{3,}(?:\.[0-9]+)?", reading.version):
        add(catalog.VERSION, float(found[0]), reading.version)
    add(catalog.SOURCE, 1.0, reading.source)
    return families(rows)


def _unit(unit: Unit, add: Callable[..., None]) -> None:
    details = unit.details
    for state in ACTIVE_STATES:
        # reloading is a way of being active, maintenance of being inactive; node_exporter has no states for them
        active = {"reloading": "active", "refreshing": "active", "maintenance": "inactive"}.get(
            unit.active, unit.active
        )
        add(catalog.UNIT_STATE, float(active == state), unit.name, state, details.type)
    add(catalog.UNIT_START, details.started if unit.active == "active" else None, unit.name)
    add(catalog.UNIT_TASKS, details.tasks, unit.name)
    add(catalog.UNIT_TASKS_MAX, details.tasks_max, unit.name)
    add(catalog.MEMORY, details.memory, unit.name)
    if unit.name.endswith(".service"):
        add(catalog.RESTARTS, details.restarts, unit.name)
        add(catalog.AUTO_RESTART, float(unit.waits_to_restart), unit.name)
        if details.result:
            add(catalog.RESULT, 1.0, unit.name, details.result)
