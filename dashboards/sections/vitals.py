"""Processor, memory, heat, disk of every node in view: bars for now, graphs for the time before."""

from __future__ import annotations

from dashboards import limits, look, names
from dashboards.board import Section, Tile, note
from dashboards.queries import Query, by, increase, pick, rate
from dashboards.view import View
from exporters.catalog.host import CPU_SECONDS, PRESSURE, PROCS_BLOCKED, vmstat_field


def bars(view: View) -> list[Tile]:
    """One bar a node: processor, memory, fullest file system, hottest zone."""
    house, scope, count = view.house, view.exporters, view.count
    return [
        house.bars(
            "Processor now",
            note(
                "Share of processor time in use, over two minutes.",
                "Boards are there to compute: busy is fine. Busy and nothing to do is not.",
                "Busy without a reason: top on that node; docker stats.",
            ),
            [Query(pick(names.CPU_UTILIZATION, scope))],
            "percentunit",
            bars=count,
            decimals=0,
        ),
        house.bars(
            "Memory now",
            note(
                "Share of the memory that programs could not get any more. Caches do not count.",
                "At the end the kernel kills a process, usually the largest: a model or a database.",
                "Yellow and red as the alerts: stop or restart the largest process (ps aux --sort=-rss | head).",
            ),
            [Query(pick(names.MEMORY_USED, scope))],
            "percentunit",
            limits=limits.MEMORY,
            bars=count,
            decimals=0,
        ),
        house.bars(
            "Fullest disk now",
            note(
                "The fullest file system of each node, as df counts.",
                "A full disk stops databases and containers.",
                "Clean up there: docker system prune; journalctl --vacuum-size=200M; du -xhd2 / | sort -h.",
            ),
            [Query(by("node", "max", pick(names.FILESYSTEM_USED, scope)))],
            "percentunit",
            limits=limits.FILESYSTEM,
            bars=count,
            decimals=0,
        ),
        house.bars(
            "Hottest sensor now",
            note(
                "The hottest thermal zone of each board. Colours by the board's own limits: a Pi brakes from 80 °C, a"
                " Jetson from 97 °C.",
                "A hot board slows down, and everything on it.",
                "Check fan and dust; then look for what keeps it busy.",
            ),
            [Query(pick(names.TEMPERATURE, scope))],
            "celsius",
            limits=limits.Limit() if view.single else view.temperature_limits(),
            bars=count,
            high=100,
            decimals=0,
        ),
    ]


def graphs(view: View) -> list[Tile]:
    """The same over time."""
    house, scope, count = view.house, view.exporters, view.count
    return [
        house.graph(
            "Processor",
            note(
                "Share of processor time in use, all cores together.",
                "Shows when work came and whether it went again.",
                "Click a line for the node. A plateau at 100 % for hours: a job that hangs, or too much for the board.",
            ),
            [Query(pick(names.CPU_UTILIZATION, scope))],
            "percentunit",
            lines=count,
            high=1,
        ),
        house.graph(
            "Memory",
            note(
                "Share of the memory that programs could not get any more.",
                "A line that only climbs is a leak; steps are models that were loaded.",
                "Dashed: MemoryLow and MemoryExhausted. Restart what leaks, or use a smaller model.",
            ),
            [Query(pick(names.MEMORY_USED, scope))],
            "percentunit",
            lines=count,
            high=1,
            limit=limits.MEMORY,
        ),
        house.graph(
            "Temperature",
            note(
                "The hottest thermal zone of each board.",
                "Heat that comes with load is fine; heat that stays is a fan or dust.",
                "Near the limit (Pi 80 °C, Jetson 97 °C): clean the fan, give it air, reduce the load.",
            ),
            [Query(pick(names.TEMPERATURE, scope))],
            "celsius",
            lines=count,
            low=None,
            limit=view.common_temperature(),
        ),
        traffic(view),
    ]


def traffic(view: View) -> Tile:
    scope = view.exporters
    return view.house.graph(
        "Network traffic",
        note(
            "Bytes a second over physical interfaces; sent is drawn downwards.",
            "Shows model downloads, backups and image traffic, and a node that went silent.",
            "Near 118 MB/s a gigabit link is full: move a transfer to the night, or look for who does it.",
        ),
        [
            Query(pick(names.NETWORK_RECEIVE, scope), view.name() + " received" if not view.single else "received"),
            Query(pick(names.NETWORK_TRANSMIT, scope), view.name() + " sent" if not view.single else "sent"),
        ],
        "Bps",
        lines=2 * view.count,
        mirrored=" ?sent$",
    )


def pressure(view: View, *, collapsed: bool = True) -> Section:
    """Who waits: load and the kernel's pressure figures."""
    return Section("Pressure: who waits for what", [*_waiting(view), *_victims(view)], collapsed=collapsed)


def _waiting(view: View) -> list[Tile]:
    house, scope, count = view.house, view.exporters, view.count
    return [
        house.graph(
            "Load per core",
            note(
                "Processes that want to run, for each core, over five minutes.",
                "Above 1 they wait for each other.",
                "Dashed: CpuOverloaded after half an hour. On the node: top -b -n 1 | head -20.",
            ),
            [Query(pick(names.LOAD_PER_CORE, scope))],
            "short",
            lines=count,
            limit=limits.LOAD_PER_CORE,
            width=8,
        ),
        house.graph(
            "Waiting for the processor",
            note(
                "Share of time in which some process waited for a core. Needs psi=1 on Raspberry Pi OS.",
                "Tells overload from mere use: a busy board without waiting is fine.",
                "Dashed: CpuStarved after half an hour. Move a service, or lower its priority.",
            ),
            [Query(rate(PRESSURE["cpu", "some"], scope))],
            "percentunit",
            lines=count,
            limit=limits.CPU_WAIT,
            width=8,
        ),
        house.graph(
            "Stalled for memory",
            note(
                "Share of time in which no process made progress for want of memory.",
                "The board pages itself to death long before the memory is full.",
                "Dashed: MemoryStalled. Stop the largest process; use a smaller model.",
            ),
            [Query(rate(PRESSURE["memory", "full"], scope))],
            "percentunit",
            lines=count,
            limit=limits.MEMORY_STALL,
            width=8,
        ),
    ]


def _victims(view: View) -> list[Tile]:
    """What comes of it."""
    house, scope, count = view.house, view.exporters, view.count
    swap = [
        Query(rate(vmstat_field("pswpin"), scope), view.name() + " in" if not view.single else "in"),
        Query(rate(vmstat_field("pswpout"), scope), view.name() + " out" if not view.single else "out"),
    ]
    return [
        house.graph(
            "Swap",
            note(
                "Pages a second that come from and go to swap; out is drawn downwards.",
                "Both ways at once is thrashing and wears the flash.",
                "Use a smaller model, stop a service, or turn swap off where flash is precious.",
            ),
            swap,
            "suffix: pages/s",
            lines=2 * count,
            mirrored=" ?out$",
            width=12,
        ),
        house.graph(
            "Killed for want of memory",
            note(
                "Processes that the kernel killed because memory ran out.",
                "A service that vanished without a word is usually here.",
                "On the node: sudo dmesg -T | grep -i 'killed process'; give it a limit or a larger board.",
            ),
            [Query(increase(vmstat_field("oom_kill"), scope))],
            "short",
            lines=count,
            width=6,
        ),
        house.graph(
            "Processes that hang",
            note(
                "Processes in the kernel that cannot be interrupted.",
                "They wait for a disk or a network mount that does not answer.",
                "Dashed: ProcessesBlocked. On the node: ps -eo pid,stat,wchan:30,cmd | awk '$2 ~ /D/'.",
            ),
            [Query(pick(PROCS_BLOCKED, scope))],
            "short",
            lines=count,
            limit=limits.BLOCKED,
            width=6,
        ),
    ]


def processor_modes(view: View) -> Tile:
    """Where processor time goes on one node."""
    scope = view.exporters
    return view.house.graph(
        "Processor by mode",
        note(
            "Where the processor's time goes; idle is left out.",
            "iowait is the disk, system is the kernel (network, containers), steal does not exist on a board.",
            "Much iowait: look at the disk. Much softirq: look at the network.",
        ),
        [
            Query(
                f"{by('mode', 'sum', rate(CPU_SECONDS, scope, mode='!=idle'))}"
                f" / scalar(count({pick(CPU_SECONDS, scope, mode='idle')}))",
                "{{mode}}",
            )
        ],
        "percentunit",
        lines=7,
        high=1,
        stack=True,
        colours=look.MODES,
    )
