"""The few figures a node's card shows: which query answers each, and how it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from alerting.page.services import ByService
from config.thresholds import FILESYSTEM_USED, MEMORY_USED, Levels, temperature_levels

Level = Literal["ok", "warning", "critical"]


@dataclass(frozen=True, slots=True)
class Vital:
    """``query`` answers one value by ``node``. ``full``: the value at which the bar is full.

    ``levels``: where the alert rules of a board see trouble; the bar changes its colour there. ``only``: the figure is
    for boards whose name starts so; for all when empty.
    """

    key: str
    title: str
    help: str
    query: str
    show: Callable[[float], str]
    full: float
    levels: Callable[[str], Levels | None] = lambda _board: None
    only: str = ""

    def level(self, value: float, board: str) -> Level:
        levels = self.levels(board)
        if levels is None:
            return "ok"
        if levels.critical is not None and value > levels.critical.value:
            return "critical"
        return "warning" if value > levels.warning.value else "ok"


def _percent(value: float) -> str:
    return f"{value * 100:.0f} %"


def _celsius(value: float) -> str:
    return f"{value:.0f} °C"


VITALS: tuple[Vital, ...] = (
    Vital(
        "cpu",
        "processor",
        "Share of processor time in use over the last minute, all cores",
        '1 - avg by (node) (rate(node_cpu_seconds_total{job="node",mode="idle"}[1m]))',
        _percent,
        full=1,
    ),
    Vital(
        "memory",
        "memory",
        "Share of memory that programs could not get any more",
        "max by (node) (1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes)",
        _percent,
        full=1,
        levels=lambda _board: MEMORY_USED,
    ),
    Vital(
        "disk",
        "disk",
        "The fullest file system",
        "max by (node) (1 - node_filesystem_avail_bytes / (node_filesystem_size_bytes > 0))",
        _percent,
        full=1,
        levels=lambda _board: FILESYSTEM_USED,
    ),
    Vital(
        "temperature",
        "hottest",
        "The hottest thermal zone",
        'max by (node) (node_thermal_zone_temp{type!="PMIC-Die"})',
        _celsius,
        full=100,
        levels=temperature_levels,
    ),
    Vital(
        "gpu",
        "GPU",
        "Share of time the GPU was busy",
        "max by (node) (tierwatch_jetson_gpu_utilization_ratio)",
        _percent,
        full=1,
        only="jetson",
    ),
)

SPARK_QUERY = VITALS[0].query
SPARK_MINUTES = 15
SPARK_POINTS = 60

# What is said about a node beside its figures, while the query has a value for it.
FLAGS: tuple[tuple[str, str, str], ...] = (
    (
        'max by (node) (tierwatch_exporter_replay_info{what="board"} == 1)',
        "replayed hardware",
        "GPU, power and throttling come from recordings, not from this board",
    ),
    (
        'max by (node) (tierwatch_pi_throttle_state{reason="under_voltage"} == 1 or tierwatch_pi_undervoltage == 1)',
        "under-voltage",
        "The supply gives too little: check the power supply and its cable",
    ),
    (
        'max by (node) (tierwatch_pi_throttle_state{reason!="under_voltage"} == 1)',
        "throttled",
        "The firmware slows the board down because of heat or supply",
    ),
    ("max by (node) (node_timex_sync_status == 0)", "clock unsynced", "The clock is not kept by NTP"),
)

# node -> value
ByNode = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Figures:
    """What the queries answered: vital key -> node -> value, spark per node, flags per node (index into FLAGS), what
    exporters say of services."""

    vitals: Mapping[str, ByNode]
    sparks: Mapping[str, list[float | None]]
    flags: Mapping[str, tuple[int, ...]]
    services: ByService = field(default_factory=dict)


NO_FIGURES = Figures({}, {}, {})
