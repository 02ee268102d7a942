"""From which value on a reading is yellow or red: the alert rules' numbers, so that a colour and an alert agree."""

from __future__ import annotations

from dataclasses import dataclass

from config import thresholds
from config.thresholds import Levels


@dataclass(frozen=True, slots=True)
class Limit:
    """``warning`` and ``critical`` in the unit of the reading; None where nothing of that severity exists."""

    warning: float | None = None
    critical: float | None = None


def _of(levels: Levels | None) -> Limit:
    if levels is None:
        return Limit()
    return Limit(levels.warning.value, levels.critical.value if levels.critical else None)


MEMORY = _of(thresholds.MEMORY_USED)
FILESYSTEM = _of(thresholds.FILESYSTEM_USED)
INODES = _of(thresholds.INODES_USED)
FLASH_LIFE = _of(thresholds.FLASH_LIFE_USED)
LOAD_PER_CORE = _of(thresholds.LOAD_PER_CORE)
CPU_WAIT = _of(thresholds.CPU_WAITING)
MEMORY_STALL = _of(thresholds.MEMORY_STALLED)
IO_STALL = _of(thresholds.IO_STALLED)
DISK_BUSY = _of(thresholds.DISK_BUSY)
BLOCKED = _of(thresholds.PROCESSES_BLOCKED)
CONNTRACK = _of(thresholds.CONNTRACK_USED)
CLOCK_SKEW = _of(thresholds.CLOCK_SKEW)
PI_TEMPERATURE = _of(thresholds.PI_TEMPERATURE)
JETSON_TEMPERATURE = _of(thresholds.JETSON_TEMPERATURE)
GPU_TEMPERATURE = _of(thresholds.JETSON_GPU_TEMPERATURE)
EMC = _of(thresholds.EMC_USED)
GPU = _of(thresholds.GPU_USED)
SCRAPE = _of(thresholds.SCRAPE_DURATION)
PAGE = _of(thresholds.PAGE_SERIES)
COLLECTOR = _of(thresholds.COLLECTOR_DURATION)
EXPORTER_MEMORY = _of(thresholds.EXPORTER_MEMORY)
AGGREGATOR_MEMORY = _of(thresholds.AGGREGATOR_MEMORY)
NOTIFICATION_AGE = _of(thresholds.NOTIFICATION_WAITING)
REDIS_MEMORY = _of(thresholds.REDIS_MEMORY)
PG_CONNECTIONS = _of(thresholds.POSTGRES_CONNECTIONS)
PG_TRANSACTION = _of(thresholds.POSTGRES_TRANSACTION)
PG_LAG = _of(thresholds.POSTGRES_LAG)
PACKETS_LOST = _of(thresholds.PACKETS_LOST)
ANSWER = _of(thresholds.SERVICE_ANSWER)
CONTAINER_MEMORY = _of(thresholds.CONTAINER_MEMORY)
CONTAINER_THROTTLED = _of(thresholds.CONTAINER_THROTTLED)
OPEN_FILES = _of(thresholds.OPEN_FILES_USED)

# Readings that are 0 when all is well.
ANY = Limit(None, 1.0)
ANY_WARNING = Limit(1.0, None)
# The share of a model that is on the CPU: OllamaOnCpu fires when less than 0.99 is on the GPU.
ON_CPU = Limit(0.0101, 1.0)
# Days that are left; worse is less.
CERTIFICATE_WARNING, CERTIFICATE_CRITICAL = 20.0, 3.0


def temperature_of(board: str) -> Limit:
    """The limits of a board's hottest sensor; none for a board without a rule of its own."""
    return _of(thresholds.temperature_levels(board))
