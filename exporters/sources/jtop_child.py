"""What jtop's service knows beyond sysfs and tegrastats, by a child of ours that may hang or die (``jtop_reader``).

Asked only where jetson-stats is installed beside the exporter: that is the owner's decision, for its library must be
of the service's own version.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from exporters.sources.line_child import FIRST_BACKOFF, LineChild
from exporters.sources.tegrastats import Clocked

INTERVAL_SECONDS = 1.0
MAX_ENGINES = 64


@dataclass(frozen=True, slots=True)
class JtopReading:
    """None and empty are what it does not tell."""

    gpu: Clocked | None = None
    emc: Clocked | None = None
    engines: Mapping[str, Clocked] = field(default_factory=dict)


def reader_command() -> list[str] | None:
    """The reader with this interpreter; None when jetson-stats is not installed for it."""
    return [sys.executable, "-m", "exporters.sources.jtop_reader"] if find_spec("jtop") is not None else None


def parse(line: str) -> JtopReading | None:
    """A line of the reader; None for anything else."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    told = found.get("engines")
    engines = (
        {
            str(name): Clocked(None, _number(unit.get("hertz")), unit.get("active") is True)
            for name, unit in list(told.items())[:MAX_ENGINES]
            if isinstance(unit, dict)
        }
        if isinstance(told, dict)
        else {}
    )
    return JtopReading(_clocked(found, "gpu"), _clocked(found, "emc"), engines)


def _clocked(found: dict[str, Any], name: str) -> Clocked | None:
    ratio, hertz = _number(found.get(name)), _number(found.get(f"{name}_hertz"))
    return None if ratio is None and hertz is None else Clocked(ratio, hertz)


def _number(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    except OverflowError:
        return None


class JtopChild(LineChild[JtopReading]):
    """Keeps one reader running in a thread and holds its newest sample."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        interval: float = INTERVAL_SECONDS,
        first_backoff: float = FIRST_BACKOFF,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``command``: program and leading arguments; ``--interval`` in seconds is added."""
        super().__init__(
            [*command, "--interval", f"{interval:g}"],
            name="jtop",
            interval=interval,
            first_backoff=first_backoff,
            clock=clock,
        )

    def parse(self, line: str) -> JtopReading | None:
        return parse(line)

    def load(self, reading: JtopReading) -> float | None:
        return reading.gpu.ratio if reading.gpu is not None else None
