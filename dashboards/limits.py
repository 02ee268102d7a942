"""From which value on a reading is yellow or red: the alert rules' numbers, so that a colour and an alert agree."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """``warning`` and ``critical`` in the unit of the reading; None where no rule of that severity exists.

    ``alerts``: the rules that hold these numbers, warning first.
    """

    warning: float | None = None
    critical: float | None = None
    alerts: tuple[str, ...] = ()


MEMORY = Limit(0.90, 0.96, ("MemoryLow", "MemoryExhausted"))
FILESYSTEM = Limit(0.90, 0.97, ("FilesystemAlmostFull", "FilesystemFull"))
INODES = Limit(0.92, None, ("FilesystemInodesLow",))
FLASH_LIFE = Limit(0.9, None, ("FlashWornOut",))
LOAD_PER_CORE = Limit(4.0, None, ("CpuOverloaded",))
CPU_WAIT = Limit(0.70, None, ("CpuStarved",))
MEMORY_STALL = Limit(0.20, None, ("MemoryStalled",))
IO_STALL = Limit(0.40, None, ("IoStalled",))
DISK_BUSY = Limit(0.95, None, ("DiskSaturated",))
BLOCKED = Limit(8.0, None, ("ProcessesBlocked",))
CONNTRACK = Limit(0.80, None, ("ConntrackAlmostFull",))
CLOCK_SKEW = Limit(10.0, None, ("ClockSkew",))
PI_TEMPERATURE = Limit(77.0, 84.0, ("PiHot", "PiOverheating"))
JETSON_TEMPERATURE = Limit(85.0, 95.0, ("JetsonHot", "JetsonOverheating"))
EMC = Limit(0.90, None, ("JetsonMemoryBandwidthSaturated",))
GPU = Limit(0.95, None, ("JetsonGpuSaturated",))
SCRAPE = Limit(3.0, None, ("ScrapeSlow",))
PAGE = Limit(16000.0, None, ("PageNearItsLimit",))
COLLECTOR = Limit(1.0, None, ("CollectorSlow",))
EXPORTER_MEMORY = Limit(120 * 1024.0**2, None, ("ExporterMemoryHigh",))
AGGREGATOR_MEMORY = Limit(400 * 1024.0**2, None, ("AggregatorMemoryHigh",))
NOTIFICATION_AGE = Limit(300.0, None, ("NotificationsWaiting",))
OPEN_FILES = Limit(0.85, None, ("OpenFilesLow",))

# No rule: a reading that can only be 0 when all is well.
ANY = Limit(None, 1.0)
ANY_WARNING = Limit(1.0, None)

BY_FAMILY = {"raspberry-pi": PI_TEMPERATURE, "jetson": JETSON_TEMPERATURE}


def temperature_of(board: str) -> Limit:
    """The temperature limits of a board of the inventory; none for a board without a rule of its own."""
    return next((limit for family, limit in BY_FAMILY.items() if board.startswith(family)), Limit())
