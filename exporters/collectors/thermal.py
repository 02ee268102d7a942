"""Thermal zones and cooling devices."""

from __future__ import annotations

import re
from collections.abc import Sequence

from exporters.catalog import sensors
from exporters.collector import Family, NoData
from exporters.collectors.shape import Row, families
from exporters.sources.files import Roots, attribute, entries, number

# Beyond these a "temperature" is a driver's way to say that the sensor is off: -256 of a power-gated Jetson engine,
# -273.15, an error number read as thousandths, or the largest number there is. No board runs there.
COLDEST_CELSIUS = -60.0
HOTTEST_CELSIUS = 300.0

_ENTRY = re.compile(r"(thermal_zone|cooling_device)(\d+)")


class ThermalZones:
    """``/sys/class/thermal`` (Documentation/driver-api/thermal/sysfs-api.rst).

    A zone that cannot be read now has no sample.
    """

    def __init__(self, roots: Roots) -> None:
        self._folder = roots.sys("class/thermal")

    def collect(self) -> Sequence[Family]:
        temperatures: list[Row] = []
        current: list[Row] = []
        maximum: list[Row] = []
        for name in entries(self._folder):
            entry = _ENTRY.fullmatch(name)
            if entry is None:
                continue
            folder = f"{self._folder}/{name}"
            labels = (entry[2], attribute(f"{folder}/type") or "")
            if entry[1] == "thermal_zone":
                millidegrees = number(f"{folder}/temp")
                if millidegrees is not None and COLDEST_CELSIUS < millidegrees / 1000 < HOTTEST_CELSIUS:
                    temperatures.append((labels, millidegrees / 1000))
                continue
            for file, rows in (("cur_state", current), ("max_state", maximum)):
                state = number(f"{folder}/{file}")
                if state is not None:
                    rows.append((labels, state))
        found = families(
            {sensors.ZONE_TEMP: temperatures, sensors.COOLING_CURRENT: current, sensors.COOLING_MAX: maximum}
        )
        if not found:
            raise NoData("no thermal zones")
        return found
