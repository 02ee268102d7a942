"""Power rails of a Jetson: the INA3221 monitors on I2C, in the layouts of both kernel generations.

* Jetson Linux up to 32: industrial I/O, ``iio:deviceK/rail_name_N`` and ``in_powerN_input`` in mW, N from 0.
* Since 34: hwmon, ``hwmon/hwmonK/inN_label``, ``inN_input`` in mV, ``currN_input`` in mA, N from 1; no power file.

A chip has three channels; what later kernels number higher is a sum of shunt voltages. Channels called ``NC`` are not
connected. The Nano 2GB has no monitor at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from exporters.sources.board import read_int, read_text

TOTAL_RAILS = ("VDD_IN", "POM_5V_IN", "VIN")
_NOT_CONNECTED = re.compile(r"(?:^|[^A-Z0-9])NC(?:$|[^A-Z0-9])")


class RailsUnreadable(Exception):
    """There are power monitors and not one of their rails can be read."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One rail's files: power in mW if the kernel has it, else voltage in mV and current in mA."""

    rail: str
    power: Path | None
    voltage: Path
    current: Path


def read_rails(sys: Path) -> dict[str, float]:
    """Watts by rail; empty when the board has no monitor. A rail that cannot be read is left out.

    Raises RailsUnreadable when there are channels and none can be read.
    """
    watts: dict[str, float] = {}
    fault: Exception | None = None
    channels = find_channels(sys)
    for channel in channels:
        try:
            watts.setdefault(channel.rail, _watts(channel))
        except (OSError, ValueError) as error:
            fault = error
    if channels and not watts:
        raise RailsUnreadable(f"none of {len(channels)} power rails can be read: {fault}") from fault
    return watts


def total_watts(rails: Mapping[str, float]) -> float | None:
    """What the input rail says. None on boards that do not measure it: a sum of parts would miss the carrier board."""
    return next((rails[name] for name in TOTAL_RAILS if name in rails), None)


def find_channels(sys: Path) -> list[Channel]:
    """The connected channels of every INA3221, in order of bus address. Never raises."""
    channels: list[Channel] = []
    for chip in sorted((sys / "bus/i2c/devices").glob("*")):
        try:
            if "ina3221" not in read_text(chip / "name"):
                continue
        except OSError:
            continue
        for folder in sorted(chip.glob("iio:device*")):
            channels += _named(
                (folder / f"rail_name_{n}", f"in_power{n}_input", f"in_voltage{n}_input", f"in_current{n}_input")
                for n in range(3)
            )
        for folder in sorted(chip.glob("hwmon/hwmon*")):
            channels += _named((folder / f"in{n}_label", None, f"in{n}_input", f"curr{n}_input") for n in range(1, 4))
    return channels


def _named(candidates: Iterable[tuple[Path, str | None, str, str]]) -> list[Channel]:
    channels = []
    for label, power, voltage, current in candidates:
        try:
            rail = read_text(label)[:64]
        except OSError:
            continue
        if not rail or _NOT_CONNECTED.search(rail.upper()):
            continue
        folder = label.parent
        channels.append(Channel(rail, folder / power if power else None, folder / voltage, folder / current))
    return channels


def _watts(channel: Channel) -> float:
    if channel.power is not None:
        try:
            return read_int(channel.power) / 1e3
        except FileNotFoundError:
            pass  # some 32.x kernels have voltage and current alone
    return read_int(channel.voltage) * read_int(channel.current) / 1e6
