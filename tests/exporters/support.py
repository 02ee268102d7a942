"""What tests of the exporter share: recorded trees, a whole page of one, collectors that misbehave."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Sequence
from pathlib import Path

from exporters.catalog.metric import Metric
from exporters.collector import Family
from exporters.collectors.board import BoardSensors
from exporters.collectors.own import Identity
from exporters.registry import Settings
from exporters.sources.board import BoardPaths
from exporters.sources.files import Roots

HOSTS = Path(__file__).resolve().parents[1] / "fixtures" / "host"
NOW = 1_795_421_985.5
IDENTITY = Identity("PI41", "4", "raspberry-pi-4", "0.0.0", "3.11.0")


def roots(name: str) -> Roots:
    """The trees of a recorded host."""
    return Roots(f"{HOSTS}/{name}/proc", f"{HOSTS}/{name}/sys", f"{HOSTS}/{name}")


def settings(name: str, textfile_directory: str | None = None) -> Settings:
    """Settings that read a recorded host at a fixed time."""
    return Settings(
        identity=IDENTITY,
        roots=roots(name),
        textfile_directory=textfile_directory,
        board=BoardSensors(BoardPaths.below(HOSTS / name)),
        wall=lambda: NOW,
    )


def samples(families: Sequence[Family]) -> dict[tuple[str, ...], float]:
    """(metric name, label values in the metric's order) -> value."""
    return {(family.metric.name, *labels): value for family in families for labels, value in family.rows}


def statvfs_result(size: int = 1000, free: int = 400, available: int = 300) -> os.statvfs_result:
    """As of a file system with blocks of 4096 bytes; sizes in blocks."""
    return os.statvfs_result((4096, 4096, size, free, available, 100, 60, 60, 0, 255))


# A deadline in seconds that no test reaches, however busy the machine is.
FAR = 60.0
# Where what hangs must be given up, each of these is tried, until one is long enough for this machine to do the rest.
DEADLINES = (0.3, 1.0, 5.0, 20.0)

EXAMPLE = Metric("tierwatch_example", "gauge", "An example.", ("name",))


class Constant:
    """A collector that always gives one sample."""

    def __init__(self, value: float = 1.0, name: str = "a") -> None:
        self.calls = 0
        self._family = Family(EXAMPLE, [((name,), value)])

    def collect(self) -> Sequence[Family]:
        self.calls += 1
        return [self._family]


class Hanging:
    """A collector that does not return before ``release`` is set."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.entered = 0

    def collect(self) -> Sequence[Family]:
        self.entered += 1
        self.release.wait(2 * FAR)
        return [Family(EXAMPLE, [(("late",), 1.0)])]


class Stepped:
    """A collector each of whose calls waits until the test lets it go on (``go``); counts its calls, and how many of
    them ran at the same time."""

    def __init__(self) -> None:
        self.calls = 0
        self.at_once = 0
        self.go = threading.Semaphore(0)
        self._inside = 0
        self._counting = threading.Lock()

    def collect(self) -> Sequence[Family]:
        with self._counting:
            self.calls += 1
            self._inside += 1
            self.at_once = max(self.at_once, self._inside)
        self.go.acquire(timeout=FAR)
        with self._counting:
            self._inside -= 1
        return [Family(EXAMPLE, [(("a",), 1.0)])]


class Raising:
    """A collector that fails in the way it is told; ``error`` None makes it work."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    def collect(self) -> Sequence[Family]:
        if self.error is not None:
            raise self.error
        return [Family(EXAMPLE, [(("raising",), 1.0)])]


def only(names: Collection[str], table: Collection[str]) -> frozenset[str]:
    """What to disable so that only these collectors of the table run."""
    return frozenset(table) - frozenset(names)
