"""What only a Jetson has: GPU, memory shared with it and its bandwidth, power rails, engines, fan."""

from __future__ import annotations

from dashboards import limits, look
from dashboards.board import Section, Tile, note
from dashboards.columns import Column
from dashboards.queries import Query, Scope, by, increase, pick, rate, ratio
from dashboards.view import View
from exporters.catalog import board
from exporters.catalog.sensors import ZONE_TEMP

GPU_ZONE = "=~(?i:gpu.*)"
# Boards without a power monitor, memory bandwidth reading and fan signal: what is left of that section is the zones.
PLAIN_BOARDS = frozenset({"jetson-nano-2gb"})
NOT_A_SENSOR = "!~(?i:pmic.*|thermal-fan-est)"  # a constant, and an estimate


def scope_of(view: View) -> Scope:
    return view.exporters.where(board="=~jetson-.*")


def gpu_bars(view: View) -> list[Tile]:
    """GPU, memory, power as they are now."""
    house, scope, count = view.house, scope_of(view), _count(view)
    return [
        house.bars(
            "GPU now",
            note(
                "Share of time the GPU was busy at its current clock since the last read.",
                "Answers wait for it. No bar: the board did not tell, which is not the same as idle.",
                "100 % for hours: curl -s localhost:11434/api/ps tells what runs.",
            ),
            [Query(pick(board.JETSON_GPU_UTILIZATION, scope))],
            "percentunit",
            limits=limits.GPU,
            bars=count,
            decimals=0,
            width=8,
        ),
        house.bars(
            "Shared memory now",
            note(
                "Memory in use of what CPU and GPU share, as tegrastats counts it.",
                "A model must fit into the rest; a Jetson has no memory of its own for the GPU.",
                "Full: ollama stop MODEL, or a smaller model.",
            ),
            [
                Query(
                    ratio(pick(board.JETSON_MEMORY_USED, scope), pick(board.JETSON_MEMORY_SIZE, scope)),
                )
            ],
            "percentunit",
            limits=limits.MEMORY,
            bars=count,
            decimals=0,
            width=8,
        ),
        house.bars(
            "GPU temperature now",
            note(
                "The GPU's own thermal zone.",
                "It slows down from about 97 °C, and answers take longer.",
                "Check fan and dust; a smaller power mode: sudo nvpmodel -m.",
            ),
            [Query(by("node", "max", pick(ZONE_TEMP, scope, type=GPU_ZONE)))],
            "celsius",
            limits=limits.GPU_TEMPERATURE,
            bars=count,
            high=100,
            decimals=0,
            width=8,
        ),
    ]


def gpu(view: View) -> list[Tile]:
    house, scope, count = view.house, scope_of(view), _count(view)
    return [
        house.graph(
            "GPU utilization",
            note(
                "Share of time the GPU was busy, right for any time range, and the highest second between two scrapes.",
                "The work that the cluster is there for.",
                "Flat at 0 while people wait: the model runs on the CPU; look at the container's GPU access.",
            ),
            [
                Query(rate(board.JETSON_GPU_BUSY, scope), view.name()),
                Query(pick(board.JETSON_GPU_UTILIZATION_MAX, scope), f"{view.name()} peak"),
            ],
            "percentunit",
            lines=2 * count,
            high=1,
            limit=limits.GPU,
        ),
        house.graph(
            "GPU clock",
            note(
                "The GPU's current clock.",
                "100 % busy at a low clock is not much work; a clock that stays low under load is throttling.",
                "Compare with the temperature; sudo nvpmodel -q tells the power mode.",
            ),
            [Query(pick(board.JETSON_GPU_FREQUENCY, scope), view.name())],
            "hertz",
            lines=count,
        ),
        house.graph(
            "Memory of CPU and GPU",
            note(
                "Memory in use, shared by CPU and GPU, in bytes.",
                "Steps are models being loaded and dropped.",
                "Compare with the size of the model that should fit.",
            ),
            [Query(pick(board.JETSON_MEMORY_USED, scope), view.name())],
            "bytes",
            lines=count,
        ),
        house.graph(
            "Largest free block",
            note(
                "The largest contiguous piece of free memory.",
                "Large GPU allocations fail when it is small, though much memory is free in pieces.",
                "A model that does not load: restart the container, or the board.",
            ),
            [Query(pick(board.JETSON_MEMORY_LFB, scope), view.name())],
            "bytes",
            lines=count,
        ),
    ]


def power_and_heat(view: View) -> list[Tile]:
    return [*_power(view), *_heat_and_memory(view)]


def _power(view: View) -> list[Tile]:
    house, scope, count = view.house, scope_of(view), _count(view)
    return [
        house.graph(
            "Power of the module",
            note(
                "Power that the whole module draws, on boards that measure their input.",
                "What the work costs, and how near the supply is to its end.",
                "At the limit of the power mode the board brakes: JetsonPowerNearLimit.",
            ),
            [Query(pick(board.JETSON_POWER_TOTAL, scope), view.name())],
            "watt",
            lines=count,
            width=6,
        ),
        house.table(
            "Power mode",
            note(
                "The power mode (nvpmodel) that is set.",
                "It sets how many cores run and how fast; an update can change it without a word.",
                "sudo nvpmodel -q; sudo nvpmodel -m NUMBER sets another.",
            ),
            [Query(pick(board.JETSON_POWER_MODE_INFO, scope), "", table=True)],
            [
                *([] if view.single else [Column("node", "Node", width=90)]),
                Column("id", "Number", width=70),
                Column("mode", "Name"),
            ],
            rows=count,
            width=6,
            empty="not told",
        ),
        house.graph(
            "Power by rail",
            note(
                "Power drawn on each measured rail. Never add them up: a measured input holds the others.",
                "Shows what the work costs, and which part of the chip does it.",
                "Near the limit of the power mode the board throttles: sudo nvpmodel -q.",
            ),
            [Query(pick(board.JETSON_POWER, scope), view.name("rail"))],
            "watt",
            lines=4 * count,
            by_node=False,
            width=12,
        ),
    ]


def _heat_and_memory(view: View) -> list[Tile]:
    house, scope, count = view.house, scope_of(view), _count(view)
    return [
        house.graph(
            "Zone temperatures",
            note(
                "Every thermal zone; tj is the hottest place of the chip.",
                "GPU and CPU zones tell which of them makes the heat.",
                "Dashed: JetsonHot. Check fan and dust, reduce the power mode.",
            ),
            [Query(pick(ZONE_TEMP, scope, type=NOT_A_SENSOR), view.name("type"))],
            "celsius",
            lines=8 * count,
            low=None,
            limit=limits.JETSON_TEMPERATURE,
            by_node=False,
        ),
        house.graph(
            "Memory bandwidth",
            note(
                "Share of the memory bandwidth (EMC) in use; only where tegrastats really knows, as root.",
                "Language models are limited by it long before the GPU is.",
                "Dashed: JetsonMemoryBandwidthSaturated. A smaller or stronger quantised model needs less.",
            ),
            [Query(pick(board.JETSON_EMC_UTILIZATION, scope), view.name())],
            "percentunit",
            lines=count,
            high=1,
            limit=limits.EMC,
        ),
        house.graph(
            "Memory clock",
            note(
                "Clock of the memory controller (EMC).",
                "It follows the power mode; a low clock makes everything on the board slow.",
                "sudo nvpmodel -q; choose a larger mode if heat and supply allow.",
            ),
            [Query(pick(board.JETSON_EMC_FREQUENCY, scope), view.name())],
            "hertz",
            lines=count,
        ),
        house.graph(
            "Fan drive",
            note(
                "How strongly the fan is driven, 0 to 1.",
                "Driven and not turning (beside this graph) is a dead fan: the alert FanStopped.",
                "Check the plug, and that nothing blocks it.",
            ),
            [Query(pick(board.JETSON_FAN_DUTY, scope), view.name("fan"))],
            "percentunit",
            lines=count,
            high=1,
        ),
        house.graph(
            "Fan speed",
            note(
                "Turns a minute, where the fan has a speed signal.",
                "A speed that sinks at the same drive over months is dust or a worn bearing.",
                "Clean or replace the fan.",
            ),
            [Query(pick(board.JETSON_FAN_RPM, scope), view.name("fan"))],
            "rotrpm",
            lines=count,
        ),
    ]


def engines(view: View) -> list[Tile]:
    house, scope, count = view.house, scope_of(view), _count(view)
    return [
        house.timeline(
            "Media and inference engines",
            note(
                "Which fixed-function engines are powered and clocked: video, JPEG, DLA, audio.",
                "Shows whether work runs on the engine it was meant for.",
                "An engine that never switches on: the software does not use it.",
            ),
            [Query(pick(board.JETSON_ENGINE_ACTIVE, scope), view.name("engine"))],
            look.ON_OFF,
            rows=10,
        ),
        house.graph(
            "Cores online",
            note(
                "CPU cores that are switched on; power modes switch cores off.",
                "Explains a load per core that changed with nothing else changing.",
                "sudo nvpmodel -q; choose a mode with more cores.",
            ),
            [Query(pick(board.JETSON_CPUS_ONLINE, scope), view.name())],
            "short",
            lines=count,
            width=6,
            decimals=0,
        ),
        house.graph(
            "tegrastats and jtop restarts",
            note(
                "How often tegrastats, or the child that asks jtop, had to be started again.",
                "Memory, engine and bandwidth readings are missing in between.",
                "On the node: timeout 5 tegrastats --interval 1000; journalctl -u tierwatch-exporter -n 50.",
            ),
            [
                Query(increase(board.JETSON_TEGRASTATS_RESTARTS, scope), view.name()),
                Query(increase(board.JETSON_JTOP_RESTARTS, scope), f"{view.name()} jtop"),
            ],
            "short",
            lines=2 * count,
            width=6,
        ),
        house.table(
            "Where readings come from",
            note(
                "Which source answers for each reading: the kernel's files or tegrastats.",
                "Explains a reading that is missing or looks different after an update.",
                "A source that changed by itself: journalctl -u tierwatch-exporter on the node.",
            ),
            [Query(pick(board.JETSON_SOURCE_INFO, scope), "", table=True)],
            [
                *([] if view.single else [Column("node", "Node", width=90)]),
                Column("reading", "Reading"),
                Column("source", "Source"),
            ],
            rows=min(14, 7 * count),
            width=12,
            sort="Reading" if view.single else "Node",
            descending=False,
        ),
        house.graph(
            "Engine load",
            note(
                "Share of time an engine was busy, where the board tells it.",
                "Near 100 %: the engine is the bottleneck.",
                "Spread video work, or let the GPU do a part of it.",
            ),
            [Query(pick(board.JETSON_ENGINE_UTILIZATION, scope), view.name("engine"))],
            "percentunit",
            lines=4 * count,
            high=1,
            by_node=False,
        ),
    ]


def section_gpu(view: View, title: str, *, collapsed: bool = False, bars: bool = True) -> Section:
    return Section(title, [*(gpu_bars(view) if bars else []), *gpu(view)], collapsed=collapsed)


def section_power(
    view: View, title: str = "Jetson power, heat, memory bandwidth", *, collapsed: bool = False
) -> Section:
    return Section(title, power_and_heat(view), collapsed=collapsed)


def section_engines(view: View, title: str = "Jetson engines and sources", *, collapsed: bool = True) -> Section:
    return Section(title, engines(view), collapsed=collapsed)


def has_power_monitor(view: View) -> bool:
    """Whether any board in view measures its power."""
    return any(node.board not in PLAIN_BOARDS for node in view.family("jetson").values())


def _count(view: View) -> int:
    return 1 if view.single else len(view.family("jetson"))
