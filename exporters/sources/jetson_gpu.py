"""Load and clock of a Jetson's integrated GPU from sysfs: no root, no child process.

The kernel gives the load in per mille in ``load`` of the GPU's device. Its address differs from chip to chip and
release to release, so it is found over the devfreq class: the entry whose device tree node is called ``gpu`` or after
a GPU generation; the ``load`` beside its device is it. At early boot the entry may be missing, so the search goes on
until it is found. AGX Thor (tegra264) has a clock here but no load.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from exporters.sources.board import read_int, read_text
from exporters.sources.board_sampling import Window

GENERATIONS = frozenset({"gp10b", "gv11b", "ga10b", "gb10b"})
REPROBE_SECONDS = 5.0
MAX_AGE_SECONDS = 3.5
PER_MILLE = 1000


@dataclass(frozen=True, slots=True)
class GpuFiles:
    """Where load (integer, 0 to 1000) and clock (Hz) are; None is not found."""

    load: Path | None
    clock: Path | None


def find_gpu(sys: Path) -> GpuFiles:
    """Searches the devfreq class, then the fixed places of older releases. Never raises."""
    best = GpuFiles(None, None)
    for entry in _entries(sys / "class/devfreq"):
        if not _is_gpu(entry):
            continue
        clock = entry / "cur_freq"
        load = (entry / "device").resolve() / "load"
        found = GpuFiles(load if load.is_file() else None, clock if clock.is_file() else None)
        if found.load is not None:
            return found
        if best.clock is None:  # Thor: gpu-gpc-0 (graphics) sorts before gpu-nvd-0 (video)
            best = found
    for device in (sys / "devices/gpu.0", sys / "devices/platform/gpu.0"):
        load = device / "load"
        if load.is_file():
            clocks = [entry / "cur_freq" for entry in _entries(device / "devfreq")]
            return GpuFiles(load, best.clock or next((clock for clock in clocks if clock.is_file()), None))
    return best


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _is_gpu(entry: Path) -> bool:
    try:
        name = read_text(entry / "device/of_node/name")
    except OSError:
        name = entry.name  # a PCI device (Thor) has no device tree node
    return name in GENERATIONS or "gpu" in name


class GpuSampler:
    """Reads the load at every tick into a window, the clock when asked."""

    def __init__(self, sys: Path) -> None:
        self._sys = sys
        self._files = GpuFiles(None, None)
        self._probed: float | None = None
        self._missing_since: float | None = None
        self.window = Window(MAX_AGE_SECONDS)
        self.fault = ""
        """Why the load known to be there could not be read at the last tick; empty when all is well."""

    def tick(self, now: float) -> None:
        """One sample. ``now``: monotonic seconds."""
        if self._files.load is None and (self._probed is None or now - self._probed >= REPROBE_SECONDS):
            self._files = find_gpu(self._sys)
            self._probed = now
        load = self._files.load
        if load is None:
            if self._missing_since is None:
                self._missing_since = now
            return
        self._missing_since = None
        try:
            value = read_int(load)
        except (OSError, ValueError) as error:
            self.fault = f"{load}: {error}"
            if not load.exists():  # a driver that was loaded again may be elsewhere
                self._files = GpuFiles(None, None)
            return
        if not 0 <= value <= PER_MILLE:
            self.fault = f"{load}: {value} is not a share of {PER_MILLE}"
            return
        self.fault = ""
        self.window.add(value / PER_MILLE, now)

    def missing_seconds(self, now: float) -> float:
        """For how long there has been no load file to read; 0 when there is one."""
        since = self._missing_since  # a tick may forget it meanwhile
        return 0.0 if since is None else now - since

    def clock_hertz(self) -> float | None:
        """The clock at this moment; None when there is none to read."""
        clock = self._files.clock
        if clock is None:
            return None
        try:
            hertz = read_int(clock)
        except (OSError, ValueError):
            return None
        return float(hertz) if hertz > 0 else None
