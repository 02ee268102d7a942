"""What a Raspberry Pi's firmware says about its supply and its throttling.

* Kernel driver ``rpi_volt`` (hwmon): ``in0_lcrit_alarm`` is 1 when the supply was below its limit in the driver's last
  polling window of 2 s. World-readable, no child process; read at least as often to see each fall.
* ``vcgencmd get_throttled`` prints ``throttled=0x50005``: bits 0 to 3 under-voltage, ARM clock capped, throttled, soft
  temperature limit at the moment; bits 16 to 19 the same since boot (Raspberry Pi documentation, "vcgencmd").
  Its exit status may be 0 with an error text, so the text decides.
* ``soc:firmware/get_throttled`` in sysfs (hex without 0x) is deprecated: newer kernels always answer 0, so only another
  value is believed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from exporters.sources.board import read_int, read_text

ALARM_PERIOD_SECONDS = 1.0
ALARM_MAX_AGE_SECONDS = 5.0
REASONS = ("under_voltage", "frequency_capped", "throttled", "soft_temperature_limit")
"""In the order of the firmware's bits, from bit 0 and again from bit 16."""
SINCE_BOOT_BIT = 16

_THROTTLED = re.compile(r"throttled=0x([0-9a-fA-F]{1,8})(?![0-9a-fA-F])")
_CLOCK = re.compile(r"frequency\([0-9]{1,3}\)=([0-9]{1,12})(?![0-9])")
_HEX = re.compile(r"[0-9a-fA-F]{1,8}")


@dataclass(frozen=True, slots=True)
class Throttling:
    """The firmware's limits by reason: at the moment, and at least once since boot."""

    now: dict[str, bool]
    since_boot: dict[str, bool]


def throttling_of(bits: int) -> Throttling:
    """Splits the firmware's word."""
    return Throttling(
        {reason: bool(bits >> bit & 1) for bit, reason in enumerate(REASONS)},
        {reason: bool(bits >> SINCE_BOOT_BIT + bit & 1) for bit, reason in enumerate(REASONS)},
    )


def parse_throttled(text: str) -> Throttling | None:
    """Reads the answer to ``get_throttled``; None when the text is something else."""
    match = _THROTTLED.search(text)
    return throttling_of(int(match[1], 16)) if match else None


def parse_clock(text: str) -> float | None:
    """Hertz out of the answer to ``measure_clock arm``; None when the text is something else, or 0."""
    match = _CLOCK.search(text)
    return float(match[1]) or None if match else None


def throttling_of_sysfs(sys: Path) -> Throttling | None:
    """The deprecated attribute; None unless it says something other than the 0 that newer kernels always answer."""
    try:
        text = read_text(sys / "devices/platform/soc/soc:firmware/get_throttled")
    except OSError:
        return None
    bits = int(text, 16) if _HEX.fullmatch(text) else 0
    return throttling_of(bits) if bits else None


def cpu_clock(sys: Path) -> float | None:
    """Hertz as the kernel's CPU frequency driver has it; the measured one needs root, the asked-for one does not."""
    for name in ("cpuinfo_cur_freq", "scaling_cur_freq"):
        try:
            kilohertz = read_int(sys / "devices/system/cpu/cpu0/cpufreq" / name)
        except (OSError, ValueError):
            continue
        if kilohertz > 0:
            return kilohertz * 1000.0
    return None


def find_alarm(sys: Path) -> Path | None:
    """The alarm file of the driver ``rpi_volt``; its hwmon number differs from boot to boot."""
    for folder in sorted((sys / "class/hwmon").glob("hwmon*")):
        try:
            if read_text(folder / "name") == "rpi_volt" and (folder / "in0_lcrit_alarm").is_file():
                return folder / "in0_lcrit_alarm"
        except OSError:
            continue
    return None


class UndervoltageWatch:
    """Reads the alarm at every tick and counts how often it rose."""

    def __init__(self, sys: Path) -> None:
        self._sys = sys
        self._file: Path | None = None
        self._alarm: bool | None = None
        self._read_at: float | None = None
        self.events = 0
        """Times the alarm went from 0 to 1 while we watched."""
        self.fault = ""
        """Why the alarm could not be read at the last tick; empty when all is well, or when there is none."""

    def tick(self, now: float) -> None:
        """One sample. ``now``: monotonic seconds."""
        if self._file is None:
            self._file = find_alarm(self._sys)
            if self._file is None:
                return
        try:
            alarm = read_int(self._file) != 0
        except (OSError, ValueError) as error:
            self.fault = f"{self._file}: {error}"
            self._file = None  # found again by name at the next tick
            return
        if alarm and self._alarm is False:
            self.events += 1
        self._alarm, self._read_at, self.fault = alarm, now, ""

    @property
    def seen(self) -> bool:
        """Whether the alarm has been read at all, however long ago."""
        return self._read_at is not None

    def alarm(self, now: float) -> bool | None:
        """Whether the supply is too low; None when nothing recent is known."""
        if self._read_at is None or now - self._read_at > ALARM_MAX_AGE_SECONDS:
            return None
        return self._alarm
