"""What a reading of systemd's units is, whichever way it came. Facts of org.freedesktop.systemd1(5)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

ACTIVE_STATES: Final = ("activating", "active", "deactivating", "failed", "inactive")
# Unlike "failed", a crash loop is not failed: between two starts it is activating/auto-restart.
AUTO_RESTART: Final = frozenset({"auto-restart", "auto-restart-queued"})
# systemd says "not known" with the largest number.
UNKNOWN: Final = 2**64 - 1
MAX_UNITS: Final = 128
MAX_TIMERS: Final = 32


@dataclass(frozen=True, slots=True)
class Details:
    """What only some kinds of units have; None or empty is unknown. ``memory`` in bytes, times in seconds since the
    epoch."""

    type: str = ""
    result: str = ""
    restarts: int | None = None
    memory: int | None = None
    tasks: int | None = None
    tasks_max: int | None = None
    started: float | None = None
    triggered: float | None = None


@dataclass(frozen=True, slots=True)
class Unit:
    """``load``: loaded, not-found, masked, ...; ``active`` and ``sub`` as systemd calls them."""

    name: str
    load: str
    active: str
    sub: str
    path: str = ""
    details: Details = Details()

    @property
    def waits_to_restart(self) -> bool:
        return self.sub in AUTO_RESTART

    @property
    def troubled(self) -> bool:
        return self.active == "failed" or self.waits_to_restart

    def with_details(self, details: Details) -> Unit:
        return replace(self, details=details)

    def state(self) -> tuple[object, ...]:
        """What makes an event when it changes; memory and tasks do not."""
        return self.name, self.load, self.active, self.waits_to_restart, self.details.result, self.details.restarts


@dataclass(frozen=True, slots=True)
class Reading:
    """``at``: monotonic seconds; ``running``: what ``systemctl is-system-running`` says; ``failed``: of all units."""

    at: float
    source: str
    units: tuple[Unit, ...] = ()
    timers: tuple[Unit, ...] = ()
    running: str = ""
    version: str = ""
    failed: int | None = None

    def state(self) -> tuple[object, ...]:
        """What makes an event when it changes."""
        return tuple(unit.state() for unit in self.units), self.running, self.failed


class SystemdError(Exception):
    """systemd cannot be asked; the message says how and why."""


def unit_name(name: str) -> str:
    """As systemctl completes it: ``nginx`` is ``nginx.service``."""
    suffixes = (".service", ".socket", ".timer", ".mount", ".target", ".path", ".slice", ".scope", ".swap", ".device")
    return name if name.endswith((*suffixes, ".automount")) else f"{name}.service"


def known(number: object) -> int | None:
    """A number of systemd's, None where it says that it does not know."""
    return number if isinstance(number, int) and number != UNKNOWN else None


def moment(microseconds: object) -> float | None:
    """Seconds since the epoch; None for never."""
    number = known(microseconds)
    return number / 1e6 if number else None
