"""Units as ``systemctl`` tells them, where there is systemd and no bus. One child process for all units, in the
background, never in a scrape."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence

from exporters.sources.systemd import AUTO_RESTART, MAX_TIMERS, MAX_UNITS, Details, Reading, SystemdError, Unit

CALL_SECONDS = 10.0
MAX_BYTES = 1024 * 1024
_UNIT = ("Id", "LoadState", "ActiveState", "SubState", "ActiveEnterTimestampMonotonic")
_SERVICE = ("Type", "Result", "NRestarts", "MemoryCurrent", "TasksCurrent", "TasksMax")
_TIMER = ("LastTriggerUSecMonotonic",)

Run = Callable[[Sequence[str]], str]


def systemctl(words: Sequence[str]) -> str:
    """What it prints. Raises SystemdError."""
    command = ["systemctl", "--no-pager", *words]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=CALL_SECONDS,
            check=False,
            env={**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SystemdError(f"systemctl: {error}") from error
    if done.returncode and not done.stdout:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise SystemdError(f"systemctl: {said[0][:200] if said else f'ended with status {done.returncode}'}")
    return done.stdout[:MAX_BYTES].decode("utf-8", "replace")


def read(names: Iterable[str], wall: float, uptime: float, run: Run = systemctl) -> Reading:
    """The units of ``names``, those in trouble, and the timers. ``wall`` and ``uptime`` in seconds, of the same moment:
    systemd's readable times depend on the language, its monotonic ones do not. Raises SystemdError."""
    listing = ["list-units", "--all", "--plain", "--no-legend", "--full"]
    troubled = _first_words(run([*listing, f"--state={','.join(['failed', *sorted(AUTO_RESTART)])}"]))
    timers = _first_words(run([*listing, "--type=timer"]))[:MAX_TIMERS]
    wanted = list(dict.fromkeys([*names, *troubled]))[:MAX_UNITS]
    asked = list(dict.fromkeys([*wanted, *timers]))
    shown: dict[str, Unit] = {}
    if asked:
        properties = f"--property={','.join((*_UNIT, *_SERVICE, *_TIMER))}"
        for unit in blocks(run(["show", properties, "--", *asked]), wall - uptime):
            shown[unit.name] = unit
    manager = pairs(run(["show", "--property=SystemState,NFailedUnits,Version"]))
    failed = number(manager.get("NFailedUnits", ""))
    return Reading(
        at=time.monotonic(),
        source="systemctl",
        units=tuple(shown[name] for name in wanted if name in shown),
        timers=tuple(shown[name] for name in timers if name in shown and shown[name].details.triggered is not None),
        running=manager.get("SystemState", ""),
        version=manager.get("Version", ""),
        failed=failed,
    )


def blocks(text: str, boot: float) -> list[Unit]:
    """Units of ``systemctl show``: blocks of ``Name=value`` between empty lines, in systemd's order, not in ours.
    ``boot``: seconds since the epoch at which the monotonic clock began."""
    return [_unit(found, boot) for block in text.split("\n\n") if "Id" in (found := pairs(block))]


def pairs(text: str) -> dict[str, str]:
    return {name: value for name, sign, value in (line.partition("=") for line in text.splitlines()) if sign}


def number(text: str) -> int | None:
    """``[not set]``, ``infinity``, the largest number and nothing at all are unknown."""
    return int(text) if text.isascii() and text.isdigit() and int(text) != 2**64 - 1 else None


def _unit(values: dict[str, str], boot: float) -> Unit:
    started = number(values.get("ActiveEnterTimestampMonotonic", ""))
    triggered = number(values.get("LastTriggerUSecMonotonic", ""))
    details = Details(
        type=values.get("Type", ""),
        result=values.get("Result", ""),
        restarts=number(values.get("NRestarts", "")),
        memory=number(values.get("MemoryCurrent", "")),
        tasks=number(values.get("TasksCurrent", "")),
        tasks_max=number(values.get("TasksMax", "")),
        started=boot + started / 1e6 if started else None,
        triggered=boot + triggered / 1e6 if triggered else None,
    )
    return Unit(
        values["Id"],
        values.get("LoadState", ""),
        values.get("ActiveState", ""),
        values.get("SubState", ""),
        details=details,
    )


def _first_words(text: str) -> list[str]:
    return [words[0] for words in (line.split() for line in text.splitlines()) if words]
