"""Hardware monitors: temperatures, fans, voltages, currents, power and alarms, named as node_exporter names them.

The kernel's attribute files are ``TYPE NUMBER _ ELEMENT`` (Documentation/hwmon/sysfs-interface.rst). The metric is
``node_hwmon_TYPE[_ELEMENT][_UNIT]``, ``input`` being the element that gives no name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from exporters.catalog import sensors
from exporters.catalog.metric import Metric
from exporters.collector import Family, NoData
from exporters.collectors.shape import Row, families
from exporters.collectors.thermal import COLDEST_CELSIUS
from exporters.sources.files import Roots, attribute, entries, is_folder, real_path, to_number

_FILE = re.compile(r"(?P<type>[a-z]+)(?P<number>[0-9]*)(?:_(?P<element>.+))?")
_TYPES = frozenset({"in", "cpu", "fan", "pwm", "temp", "curr", "power", "energy", "humidity", "intrusion"})
_WHOLE_NAMES = frozenset({"vrm", "beep_enable", "update_interval"})
_MILLI, _MICRO = 1e-3, 1e-6
_FAN_SPEEDS = frozenset({"input", "min", "max", "target"})
_POWER_INTERVALS = frozenset({"average_interval", "average_interval_min", "average_interval_max"})


class HardwareMonitors:
    """``/sys/class/hwmon``."""

    def __init__(self, roots: Roots) -> None:
        self._folder = roots.sys("class/hwmon")

    def collect(self) -> Sequence[Family]:
        rows: dict[Metric, list[Row]] = {}
        for name in entries(self._folder):
            folder = f"{self._folder}/{name}"
            if is_folder(folder):
                _chip(folder, rows)
        if not rows:
            raise NoData("no hardware monitors")
        return families(rows)


def _chip(folder: str, rows: dict[Metric, list[Row]]) -> None:
    chip = chip_name(folder)
    if title := clean(attribute(f"{folder}/name") or ""):
        rows.setdefault(sensors.HWMON_CHIP, []).append(((chip, title), 1.0))
    for sensor, kind, elements in _sensors(folder):
        if label := elements.pop("label", ""):
            rows.setdefault(sensors.HWMON_LABEL, []).append(((chip, sensor, label), 1.0))
        # A sensor that is off or broken says so in these; its reading means nothing then.
        silent = to_number(elements.get("enable")) == 0 or to_number(elements.get("fault")) == 1
        for element, text in elements.items():
            value = to_number(text)
            if value is None or (silent and element == "input"):
                continue
            metric, factor = metric_of(kind, element, "" in elements)
            if kind == "temp" and value * factor <= COLDEST_CELSIUS:
                continue  # "no limit" and "no reading" look like this
            rows.setdefault(metric, []).append(((chip, sensor), value * factor))


def chip_name(folder: str) -> str:
    """Stable across boots, unlike hwmonN: bus and device of its path, else the driver's name."""
    device = real_path(f"{folder}/device")
    if device:
        parent, _, name = device.rpartition("/")
        bus, name = clean(parent.rpartition("/")[2]), clean(name)
        if name:
            return f"{bus}_{name}" if bus else name
    return clean(attribute(f"{folder}/name") or "") or clean(folder.rpartition("/")[2])


def clean(text: str) -> str:
    """Lower case, everything else an underscore, none of them at the ends."""
    return re.sub(r"[^a-z0-9:_]", "_", text.lower()).strip("_")


def _sensors(folder: str) -> Iterator[tuple[str, str, dict[str, str]]]:
    """(sensor such as ``temp1``, its type, element -> text) of a monitor; old drivers keep the files in ``device/``."""
    found: dict[str, tuple[str, dict[str, str]]] = {}
    for where in (folder, f"{folder}/device"):
        for name in entries(where):
            split = split_name(name)
            if split is None:
                continue
            sensor, kind, element = split
            text = attribute(f"{where}/{name}")
            if text:
                found.setdefault(sensor, (kind, {}))[1][element] = text
    for sensor, (kind, elements) in sorted(found.items()):
        yield sensor, kind, elements


@lru_cache(maxsize=1024)
def split_name(name: str) -> tuple[str, str, str] | None:
    """``temp1_crit_alarm`` -> (``temp1``, ``temp``, ``crit_alarm``); None for a file that is no sensor's."""
    if name in _WHOLE_NAMES:
        return f"{name}0", name, ""
    match = _FILE.fullmatch(name)
    if match is None or match["type"] not in _TYPES:
        return None
    return f"{match['type']}{match['number'] or 0}", match["type"], match["element"] or ""


@lru_cache(maxsize=1024)
def metric_of(kind: str, element: str, has_bare_file: bool) -> tuple[Metric, float]:
    """Metric and factor from the kernel's unit. ``has_bare_file``: there is ``pwm1`` beside ``pwm1_input``."""
    labels = ("chip", "sensor")
    if kind in _WHOLE_NAMES:
        name, text, factor = {
            "vrm": ("node_hwmon_voltage_regulator_version", "Hardware voltage regulator", 1.0),
            "beep_enable": ("node_hwmon_beep_enabled", "Hardware beep enabled", 1.0),
            "update_interval": (
                "node_hwmon_update_interval_seconds",
                "Hardware monitor update interval",
                _MILLI,
            ),
        }[kind]
        return Metric(name, "gauge", text, labels), factor
    name = f"node_hwmon_{kind}"
    if element == "input":
        name += "_input" if has_bare_file else ""
    elif element:
        name += f"_{clean(element)}"
    suffix, text, factor = _unit(kind, element)
    return Metric(name + suffix, "counter" if kind == "energy" else "gauge", text, labels), factor


def _unit(kind: str, element: str) -> tuple[str, str, float]:
    """(suffix of the name, help, factor)."""
    if element in ("fault", "alarm"):
        return "", f"Hardware sensor {element} status ({kind})", 1.0
    if element == "beep":
        return "_enabled", "Hardware monitor sensor has beeping enabled", 1.0
    fallback = ("", f"Hardware monitor {kind} element {element}", 1.0)
    if kind in ("pwm", "intrusion") or (kind == "temp" and element == "type"):
        return fallback
    if element.endswith("_alarm") or element == "enable":
        # node_exporter names these like readings (in_lcrit_alarm_volts) and rules know the names; but it also scales
        # them (0.001 for an alarm), which is not kept: 1 is an alarm.
        return "" if kind == "fan" else _scaled(kind, element)[0], f"Hardware sensor {element} status ({kind})", 1.0
    if kind == "power" and element == "accuracy":
        return "", "Hardware monitor power meter accuracy, as a ratio", _MICRO
    if kind == "power" and element in _POWER_INTERVALS:
        return "_seconds", f"Hardware monitor power usage update interval ({element})", _MILLI
    if kind == "fan" and element not in _FAN_SPEEDS:
        return fallback
    if kind == "humidity":
        text = "Hardware monitor for humidity, as a ratio (multiply with 100.0 to get the humidity as a percentage)"
        return "", f"{text} ({element})", _MICRO
    return _scaled(kind, element)


def _scaled(kind: str, element: str) -> tuple[str, str, float]:
    suffix, what, factor = {
        "in": ("_volts", "voltage", _MILLI),
        "cpu": ("_volts", "voltage", _MILLI),
        "temp": ("_celsius", "temperature", _MILLI),
        "curr": ("_amps", "current", _MILLI),
        "energy": ("_joule_total", "joules used so far", _MICRO),
        "power": ("_watt", "power usage in watts", _MICRO),
        "fan": ("_rpm", "fan revolutions per minute", 1.0),
    }.get(kind, ("", kind, 1.0))
    return suffix, f"Hardware monitor for {what} ({element})", factor
