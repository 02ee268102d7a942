"""What Docker Engine answers, read: lists, inspections, events of API 1.24 to 1.52. Pure: JSON values in, facts out.

Formats: https://docs.docker.com/reference/api/engine/ and ``daemon/container/state.go`` of moby. Only the keys named
here are read. Everything else (``Config.Env``, arguments, mounts) may hold secrets and is dropped with the answer.
"""

from __future__ import annotations

import codecs
import json
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

STATES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
HEALTHS = ("starting", "healthy", "unhealthy")
_PODMAN_STATES = {"configured": "created", "initialized": "created", "stopped": "exited", "stopping": "running"}
MAX_TEXT = 200
MAX_EVENT_CHARS = 256 * 1024

_HEALTH_IN_STATUS = re.compile(r"\((?:health: )?(starting|healthy|unhealthy)\)")


class BadAnswer(ValueError):
    """Not what the API promises; the message says what."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A container in the list of all. ``health`` is empty when it has no check."""

    id: str
    name: str
    image: str
    state: str
    health: str


@dataclass(frozen=True, slots=True)
class Container:
    """What is known of a container. Times in seconds since the epoch, None for never; memory in bytes, 0 unlimited.

    ``cpu_quota`` and ``cpu_period`` in microseconds, quota 0 unlimited. ``pid`` 0: no process.
    """

    id: str
    name: str
    image: str
    state: str
    health: str = ""
    exit_code: int = 0
    oom_killed: bool = False
    restarts: int = 0
    started: float | None = None
    finished: float | None = None
    pid: int = 0
    memory_limit: int = 0
    cpu_quota: int = 0
    cpu_period: int = 0
    restart_policy: str = ""
    own_network: bool = True
    stop_signal: int = signal.SIGTERM
    compose_project: str = ""
    compose_service: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """``action`` without its detail: ``health_status: healthy`` is ``health_status``. ``signal`` 0: none is told."""

    action: str
    id: str
    name: str
    signal: int = 0
    exit_code: int | None = None


def listed(answer: object) -> list[Listed]:
    """``GET /containers/json``. Entries without an id are left out. Raises BadAnswer."""
    if not isinstance(answer, list):
        raise BadAnswer("the list of containers is no list")
    found = []
    for entry in answer:
        if not isinstance(entry, dict) or not _text(entry.get("Id")):
            continue
        found.append(
            Listed(
                _text(entry["Id"]),
                _own_name(entry.get("Names")),
                _text(entry.get("Image")),
                _state(entry.get("State")),
                _listed_health(entry),
            )
        )
    return found


def _own_name(names: object) -> str:
    """Without the names that old links gave it (``/other/alias``)."""
    candidates = [_text(name) for name in names] if isinstance(names, list) else []
    own = [name for name in candidates if name.count("/") <= 1] or candidates
    return own[0].removeprefix("/") if own else ""


def _listed_health(entry: Mapping[str, Any]) -> str:
    """From API 1.52 on a key of its own, before that within the words for people."""
    health = _text(_part(entry, "Health").get("Status"))
    if health:
        return health if health in HEALTHS else ""
    found = _HEALTH_IN_STATUS.search(_text(entry.get("Status")))
    return found[1] if found else ""


def inspected(answer: object) -> Container:
    """``GET /containers/ID/json``. Raises BadAnswer when it is about nothing."""
    if not isinstance(answer, dict) or not _text(answer.get("Id")):
        raise BadAnswer("the answer about a container names none")
    state, config, host = (_part(answer, key) for key in ("State", "Config", "HostConfig"))
    labels = _part(config, "Labels")
    quota, period = _cpu_limit(host)
    network = _text(host.get("NetworkMode"))
    health = _text(_part(state, "Health").get("Status"))
    running = _state(state.get("Status")) in ("running", "paused")  # Docker's Running is true while it restarts, too
    return Container(
        id=_text(answer["Id"]),
        name=_text(answer.get("Name")).removeprefix("/"),
        image=_text(config.get("Image")),
        state=_state(state.get("Status")),
        health=health if health in HEALTHS else "",
        exit_code=_number(state.get("ExitCode")),
        oom_killed=state.get("OOMKilled") is True,
        restarts=_number(answer.get("RestartCount")),
        started=moment(state.get("StartedAt")),
        finished=None if running else moment(state.get("FinishedAt")),
        pid=_number(state.get("Pid")) if running else 0,
        memory_limit=_number(host.get("Memory")),
        cpu_quota=quota,
        cpu_period=period,
        restart_policy=_text(_part(host, "RestartPolicy").get("Name")) or "no",
        own_network=network != "host" and not network.startswith("container:"),
        stop_signal=signal_number(config.get("StopSignal")) or signal.SIGTERM,
        compose_project=_text(labels.get("com.docker.compose.project")),
        compose_service=_text(labels.get("com.docker.compose.service")),
    )


def _cpu_limit(host: Mapping[str, Any]) -> tuple[int, int]:
    """Quota and period in microseconds; ``--cpus`` is NanoCpus, which the kernel is told as a quota of 100 ms."""
    if nano := _number(host.get("NanoCpus")):
        return nano // 10_000, 100_000
    quota = _number(host.get("CpuQuota"))
    return (quota, _number(host.get("CpuPeriod")) or 100_000) if quota > 0 else (0, 0)


def event_of(answer: object) -> Event | None:
    """A line of ``GET /events``; None when it is not about a container. Without the keys that API 1.52 dropped."""
    if not isinstance(answer, dict) or answer.get("Type") != "container":
        return None
    actor = _part(answer, "Actor")
    told = _part(actor, "Attributes")
    action = _text(answer.get("Action")).partition(":")[0].strip()
    code = _text(told.get("exitCode"))
    return Event(
        action,
        _text(actor.get("ID")),
        _text(told.get("name")),
        signal_number(told.get("signal")),
        int(code) if code.isdecimal() else None,
    )


class EventText:
    """Cuts the stream of events, JSON objects one behind the other, into objects."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._json = json.JSONDecoder()
        self._rest = ""

    def feed(self, data: bytes) -> list[object]:
        """The objects that are complete now. Raises BadAnswer for anything else than objects."""
        text = self._rest + self._decode(data)
        found: list[object] = []
        start = 0
        while True:
            start = _skip_space(text, start)
            if start == len(text):
                break
            if text[start] != "{":
                raise BadAnswer("the stream of events holds something else than events")
            try:
                value, start = self._json.raw_decode(text, start)
            except ValueError:
                break  # the rest of it has not come yet
            found.append(value)
        self._rest = text[start:]
        if len(self._rest) > MAX_EVENT_CHARS:
            raise BadAnswer("an event does not end")
        return found


def _skip_space(text: str, start: int) -> int:
    while start < len(text) and text[start] in " \t\r\n":
        start += 1
    return start


def signal_number(told: object) -> int:
    """``"9"``, ``SIGQUIT``, ``QUIT``, ``RTMIN+3``; 0 for anything that is no signal."""
    text = _text(told).upper().removeprefix("SIG")
    if text.isdecimal():
        return int(text)
    base, _, more = text.partition("+")
    found = getattr(signal, f"SIG{base}", None)
    return int(found) + (int(more) if more.isdecimal() else 0) if isinstance(found, signal.Signals) else 0


def moment(told: object) -> float | None:
    """RFC 3339 with any number of fraction digits; None for the year 1, which is Go's word for never."""
    try:
        value = datetime.fromisoformat(_text(told))
    except ValueError:
        return None
    return value.timestamp() if value.year > 1 and value.tzinfo is not None else None


def version_of(told: object) -> tuple[int, int] | None:
    """``1.41`` as numbers that can be compared; None when it is no version."""
    major, _, minor = _text(told).partition(".")
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else None


def _state(told: object) -> str:
    """One of ``STATES``, or empty for one that nobody has heard of."""
    state = _text(told).lower()
    return state if state in STATES else _PODMAN_STATES.get(state, "")


def _part(answer: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = answer.get(key)
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value[:MAX_TEXT] if isinstance(value, str) else ""


def _number(value: object) -> int:
    """0 for anything else, and for what no 64 bits hold."""
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 62 else 0
