"""The numbers that rules and dashboards share: where a reading turns yellow and where red.

The rule files are plain Prometheus files and repeat these numbers; a test holds the two together. Why a number is
what it is stands beside its rule.
"""

from __future__ import annotations

from typing import NamedTuple


class Threshold(NamedTuple):
    """``alert`` fires when the reading is above ``value`` (and whatever else its rule asks for)."""

    alert: str
    value: float


class Levels(NamedTuple):
    """``critical`` is None where nothing of the kind is worth getting up for."""

    warning: Threshold
    critical: Threshold | None = None


# Shares, 0 to 1.
FILESYSTEM_USED = Levels(Threshold("FilesystemAlmostFull", 0.90), Threshold("FilesystemFull", 0.97))
INODES_USED = Levels(Threshold("FilesystemInodesLow", 0.92))
MEMORY_USED = Levels(Threshold("MemoryLow", 0.90), Threshold("MemoryExhausted", 0.96))
FLASH_LIFE_USED = Levels(Threshold("FlashWornOut", 0.9))
DISK_BUSY = Levels(Threshold("DiskSaturated", 0.95))
IO_STALLED = Levels(Threshold("IoStalled", 0.40))
MEMORY_STALLED = Levels(Threshold("MemoryStalled", 0.20))
CPU_WAITING = Levels(Threshold("CpuStarved", 0.70))
CONNTRACK_USED = Levels(Threshold("ConntrackAlmostFull", 0.80))
OPEN_FILES_USED = Levels(Threshold("OpenFilesLow", 0.85))
EMC_USED = Levels(Threshold("JetsonMemoryBandwidthSaturated", 0.90))
GPU_USED = Levels(Threshold("JetsonGpuSaturated", 0.95))
REDIS_MEMORY = Levels(Threshold("RedisMemoryAlmostFull", 0.9))
POSTGRES_CONNECTIONS = Levels(Threshold("PostgresConnectionsHigh", 0.8))
PACKETS_LOST = Levels(Threshold("PacketsLost", 0.1))
CONTAINER_MEMORY = Levels(Threshold("ContainerMemoryHigh", 0.9))
CONTAINER_THROTTLED = Levels(Threshold("ContainerThrottled", 0.25))
RAIL_CURRENT = Levels(Threshold("JetsonPowerNearLimit", 0.95))

# Load of five minutes divided by cores.
LOAD_PER_CORE = Levels(Threshold("CpuOverloaded", 4))

# Counts.
PROCESSES_BLOCKED = Levels(Threshold("ProcessesBlocked", 8))
PAGE_SERIES = Levels(Threshold("PageNearItsLimit", 16_000))

# Bytes.
EXPORTER_MEMORY = Levels(Threshold("ExporterMemoryHigh", 120 * 2**20))
AGGREGATOR_MEMORY = Levels(Threshold("AggregatorMemoryHigh", 400 * 2**20))

# Degrees Celsius.
PI_TEMPERATURE = Levels(Threshold("PiHot", 77), Threshold("PiOverheating", 84))
JETSON_TEMPERATURE = Levels(Threshold("JetsonHot", 85), Threshold("JetsonOverheating", 95))
JETSON_GPU_TEMPERATURE = Levels(Threshold("JetsonGpuHot", 85), Threshold("JetsonOverheating", 95))
DISK_TEMPERATURE = Levels(Threshold("DiskHot", 72))

# Seconds.
CLOCK_SKEW = Levels(Threshold("ClockSkew", 10))
COLLECTOR_DURATION = Levels(Threshold("CollectorSlow", 1))
SCRAPE_DURATION = Levels(Threshold("ScrapeSlow", 3))
POSTGRES_TRANSACTION = Levels(Threshold("PostgresLongTransaction", 1800))
POSTGRES_LAG = Levels(Threshold("PostgresReplicaBehind", 60))
SERVICE_ANSWER = Levels(Threshold("ServiceSlow", 1))
NOTIFICATION_WAITING = Levels(Threshold("NotificationsWaiting", 300))


def temperature_levels(board: str) -> Levels | None:
    """The levels of a board's hottest sensor (``node:temperature_celsius:max``); None for a board nobody knows."""
    if board.startswith("raspberry-pi-"):
        return PI_TEMPERATURE
    return JETSON_TEMPERATURE if board.startswith("jetson-") else None


def every() -> dict[str, Levels]:
    """All of them by name."""
    return {name: value for name, value in globals().items() if isinstance(value, Levels)}
