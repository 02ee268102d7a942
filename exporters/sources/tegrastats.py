"""One line of tegrastats, token by token.

The line has no grammar that lasted: every major release of Jetson Linux changed tokens, order, units and case, and
which tokens appear depends on root. So a line is cut at blanks, each known name takes the value behind it, and whatever
is not known is passed over (``unknown``). What the tool prints without knowing it is dropped here:

* ``PMIC@100C`` and ``PMIC@50C`` are constants; ``-256C`` is a sensor that is switched off.
* ``EMC_FREQ 0%`` without a clock is a constant too (no root); with ``@MHz`` it is a measurement.
* ``GR3D2_FREQ`` repeats the load of ``GR3D_FREQ`` for a second cluster; ``NC`` rails are not connected.

Power and temperature come as one value, as current/average, or as current/average/maximum since tegrastats started;
only the current value is taken. Nothing is made of the tool's clock, of IRAM (boot memory on the chip), of what swap
caches, and of MTS (shares of the cores' own translation). The field glossary of each release is NVIDIA's Jetson Linux
Developer Guide, "tegrastats Utility".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

MAX_LINE = 16_384  # the longest recorded line is under 800 characters
COLDEST, HOTTEST = -55.0, 200.0  # degrees Celsius a sensor of these chips can mean
MEGA = 1e6
MOST_UNKNOWN = 16

_TOKEN = re.compile(r"\([^()]*\)|[^\s()]+", re.ASCII)
_MEMORY = re.compile(r"(\d{1,9})/(\d{1,9})([kMG])B", re.ASCII)
_BLOCK = re.compile(r"\(lfb (\d{1,6})x(\d{1,6})([kMG])B\)", re.ASCII)
_CORES = re.compile(r"\[([^\[\]]*)\](?:@(-?\d{1,6}))?", re.ASCII)
_CORE = re.compile(r"(?:(\d{1,3})%)?(?:@(\d{1,6}))?", re.ASCII)
_PERCENT = re.compile(r"(\d{1,3})%", re.ASCII)
_CLOCK = re.compile(r"@\[?(\d{1,6}(?:,\d{1,6}){0,7})\]?", re.ASCII)
_CLOCKED = re.compile(r"(?:\d{1,3}%)?(?:@\d{1,6}|@\[\d{1,6}(?:,\d{1,6}){0,7}\])?", re.ASCII)
_ARRAY = re.compile(r"\[(\d{1,3}%(?:@\d{1,6})?(?:,\d{1,3}%(?:@\d{1,6})?){0,7})\]", re.ASCII)
_TEMPERATURE = re.compile(
    r"([A-Za-z][A-Za-z0-9_.-]{0,31})@(-?\d{1,4}(?:\.\d{1,4})?)C(?:/-?\d{1,4}(?:\.\d{1,4})?C){0,2}", re.ASCII
)
_POWER = re.compile(r"(-?\d{1,7})mW(?:/-?\d{1,7}mW){0,2}", re.ASCII)
_BARE_POWER = re.compile(r"(-?\d{1,7})/-?\d{1,7}", re.ASCII)  # up to release 32, which has these rails:
_BARE_RAIL = re.compile(r"(?:POM|VDD|VIN|SYS)[A-Z0-9_]*|GPU|CPU|SOC|CV|NC", re.ASCII)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}", re.ASCII)
_ENGINE = re.compile(r"((?:NVENC|NVDEC|NVJPG|MSENC|NVDLA|OFA|PVA|VIC|VDE|SE|APE)\d{0,2})(?:_FREQ)?", re.ASCII)
_PASSED_OVER = re.compile(
    r"\d{2}-\d{2}-\d{4}|\d{2}:\d{2}:\d{2}|\(cached \d+[kMG]B\)|\(lfb \d+[kMG]B\)|MTS|fg|bg|\d{1,3}%", re.ASCII
)
_SCALE = {"k": 1024, "M": 1024**2, "G": 1024**3}


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes."""

    used: int
    size: int


@dataclass(frozen=True, slots=True)
class Clocked:
    """A unit with a load (0 to 1) and a clock (Hz); None is not told."""

    ratio: float | None = None
    hertz: float | None = None
    active: bool = True


@dataclass(slots=True)
class Tegrastats:
    """What one line tells. Unknown is None or no entry. Names of sensors and engines are in lower case."""

    ram: Memory | None = None
    largest_free_block: int | None = None
    swap: Memory | None = None
    cores: tuple[Clocked, ...] = ()
    """Each core; one that is offline is not active."""
    emc: Clocked | None = None
    gpu: Clocked | None = None
    engines: dict[str, Clocked] = field(default_factory=dict)
    temperatures: dict[str, float] = field(default_factory=dict)
    """Degrees Celsius."""
    rails: dict[str, float] = field(default_factory=dict)
    """Watts. A rail may be negative: the monitors have an offset."""
    unknown: list[str] = field(default_factory=list)
    """Words that nothing could be made of."""


def parse(line: str) -> Tegrastats:
    """Reads a line; never raises. A line that is none gives an object without ``ram``."""
    tokens: list[str] = _TOKEN.findall(line[:MAX_LINE])
    found = Tegrastats()
    place = 0
    while place < len(tokens):
        name = tokens[place]
        value = tokens[place + 1] if place + 1 < len(tokens) else ""
        place += 1 + _take(found, name, value)
    return found


def _take(found: Tegrastats, name: str, value: str) -> int:
    """Fills in what ``name`` and the token behind it tell; returns how many tokens behind it were used."""
    if temperature := _TEMPERATURE.fullmatch(name):
        _temperature(found, temperature[1], float(temperature[2]))
        return 0
    if block := _BLOCK.fullmatch(name):
        if found.largest_free_block is None and int(block[1]) > 0:
            found.largest_free_block = int(block[2]) * _SCALE[block[3]]
        return 0
    if reader := _READERS.get(name.upper()):
        # An AGX Xavier has rails that are called like units: "CPU 311/311".
        taken = reader(found, value) or _rail(found, name, value)
    elif engine := _ENGINE.fullmatch(name.upper()):
        taken = _engine(found, engine[1], value)
    else:
        taken = _rail(found, name, value)
    if not taken and not _PASSED_OVER.fullmatch(name) and len(found.unknown) < MOST_UNKNOWN:
        found.unknown.append(name[:32])
    return int(taken)


def _ram(found: Tegrastats, value: str) -> bool:
    if (memory := _memory(value)) is None:
        return False
    found.ram = memory
    return True


def _swap(found: Tegrastats, value: str) -> bool:
    if (memory := _memory(value)) is None:
        return False
    found.swap = memory
    return True


def _iram(_found: Tegrastats, value: str) -> bool:
    return _memory(value) is not None  # on-chip boot memory: nothing an owner can act on


def _memory(value: str) -> Memory | None:
    match = _MEMORY.fullmatch(value)
    if match is None:
        return None
    scale = _SCALE[match[3]]
    return Memory(int(match[1]) * scale, int(match[2]) * scale)


def _cpu(found: Tegrastats, value: str) -> bool:
    match = _CORES.fullmatch(value)
    if match is None:
        return False
    found.cores = tuple(_core(word, match[2] or "") for word in match[1].split(",")[:64])
    return True


def _core(word: str, common_clock: str) -> Clocked:
    """``2%@102``, ``off``; the oldest releases tell one clock behind the bracket, -1 where it is unknown."""
    if word == "off":
        return Clocked(active=False)
    told = _CORE.fullmatch(word)
    percent, clock = told.groups() if told else (None, None)
    megahertz = int(clock or common_clock or 0)
    return Clocked(_share(percent) if percent else None, megahertz * MEGA if megahertz > 0 else None)


def _emc(found: Tegrastats, value: str) -> bool:
    unit = _clocked(value)
    if unit is None:
        return False
    if unit.hertz is not None:
        found.emc = unit
    return True


def _gpu(found: Tegrastats, value: str) -> bool:
    unit = _clocked(value)
    if unit is None:
        return False
    found.gpu = unit
    return True


def _repeated(_found: Tegrastats, value: str) -> bool:
    return _clocked(value) is not None


def _engine(found: Tegrastats, name: str, value: str) -> bool:
    unit: Clocked | None
    if value == "off":
        unit = Clocked(active=False)
    elif array := _ARRAY.fullmatch(value):
        units = [unit for part in array[1].split(",") if (unit := _clocked(part)) is not None]
        shares = [unit.ratio for unit in units if unit.ratio is not None]
        clocks = [unit.hertz for unit in units if unit.hertz is not None]
        unit = Clocked(max(shares, default=None), max(clocks, default=None))
    elif value.isascii() and value.isdigit() and len(value) <= 6:  # up to release 35: MHz, shown only while in use
        unit = Clocked(hertz=int(value) * MEGA) if int(value) else Clocked(active=False)
    else:
        unit = _clocked(value)
    if unit is None:
        return False
    found.engines[name.lower()] = unit
    return True


def _clocked(value: str) -> Clocked | None:
    """``7%``, ``7%@408``, ``@408``, ``7%@[305,305]``, ``@[314,314,314]``. A clock of 0 is unknown (no root, gated)."""
    if not value or not _CLOCKED.fullmatch(value):
        return None
    percent = _PERCENT.match(value)
    clock = _CLOCK.search(value)
    hertz = max(int(part) for part in clock[1].split(",")) * MEGA if clock else 0.0
    return Clocked(_share(percent[1]) if percent else None, hertz or None)


def _share(percent: str) -> float | None:
    value = int(percent)
    return value / 100 if value <= 100 else None


def _temperature(found: Tegrastats, name: str, celsius: float) -> None:
    sensor = name.lower()
    if "pmic" not in sensor and COLDEST <= celsius <= HOTTEST:
        found.temperatures[sensor] = celsius


def _rail(found: Tegrastats, name: str, value: str) -> bool:
    power = _POWER.fullmatch(value)
    if power is None and _BARE_RAIL.fullmatch(name):
        power = _BARE_POWER.fullmatch(value)
    if power is None or not _NAME.fullmatch(name):
        return False
    if name.upper() != "NC" and "PMIC" not in name.upper():
        found.rails.setdefault(name, int(power[1]) / 1000)
    return True


_READERS: dict[str, Callable[[Tegrastats, str], bool]] = {
    "RAM": _ram,
    "SWAP": _swap,
    "IRAM": _iram,
    "CPU": _cpu,
    "EMC": _emc,
    "EMC_FREQ": _emc,
    "GR3D": _gpu,
    "GR3D_FREQ": _gpu,
    "GR3D2_FREQ": _repeated,
    "GR3D_PCI": _repeated,
}
