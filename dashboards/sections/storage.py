"""Disks: how full, how busy, how worn."""

from __future__ import annotations

from dashboards import limits, look, names
from dashboards.board import Section, Tile, note
from dashboards.columns import Column
from dashboards.panels import node_link
from dashboards.queries import Query, by, pick, rate, ratio
from dashboards.view import View
from exporters.catalog.host import PRESSURE
from exporters.catalog.metric import Metric
from exporters.catalog.storage import (
    FS_AVAIL,
    FS_FILES,
    FS_FILES_FREE,
    FS_READONLY,
    FS_SIZE,
    MMC_LIFE_USED,
    MMC_RESERVE,
)

# What a disk of a board can be; partitions have no statistics of their own here, memory disks are memory.
DISKS = "=~(sd|vd|hd|nvme|mmcblk).*"
NO_DISKS = "!~tmpfs|ramfs|rootfs|nfs.*|cifs|fuse.*|squashfs|overlay"
_RESERVE = (
    look.State(1, "enough", look.GREEN),
    look.State(2, "80 % used", look.YELLOW),
    look.State(3, "90 % USED", look.RED),
    look.NO_DATA,
)
_BY_MOUNT = "node, mountpoint"


def table(view: View, *, width: int = 24) -> Tile:
    """Every file system: size, free, used, inodes, read-only."""
    scope = view.exporters

    def mount(metric: Metric) -> str:
        return by(_BY_MOUNT, "max", pick(metric, scope, fstype=NO_DISKS))

    inodes = f"1 - {ratio(mount(FS_FILES_FREE), mount(FS_FILES))}"
    queries = [by(_BY_MOUNT, "max", pick(names.FILESYSTEM_USED, scope)), mount(FS_AVAIL), mount(FS_SIZE), inodes]
    queries.append(mount(FS_READONLY))
    columns = [
        *([] if view.single else [Column("node", "Node", width=90, link=node_link("${__data.fields.Node}"))]),
        Column("mountpoint", "Mounted at"),
        Column("Value #A", "Used", "percentunit", bar=True, limit=limits.FILESYSTEM, decimals=0),
        Column("Value #B", "Free", "bytes", width=100),
        Column("Value #C", "Size", "bytes", width=100),
        Column("Value #D", "Inodes used", "percentunit", width=110, limit=limits.INODES, decimals=0),
        Column("Value #E", "Read-only", width=100, states=look.YES_IS_BAD),
    ]
    return view.house.table(
        "File systems",
        note(
            "Every file system on a disk: how full, how many inodes are used, whether it is read-only.",
            "A full disk stops databases; a read-only one is how a dying card shows itself.",
            "Full: docker system prune; journalctl --vacuum-size=200M. Read-only: sudo dmesg | grep -i error, then save"
            " the data.",
        ),
        [Query(expr, "", table=True) for expr in queries],
        columns,
        rows=2 * view.count,
        width=width,
        sort="Used",
    )


def space(view: View) -> list[Tile]:
    house, scope = view.house, view.exporters
    return [
        house.graph(
            "Space used",
            note(
                "Share of each file system in use, as df counts.",
                "The slope tells when it will be full: a day, a month, never.",
                "Dashed: FilesystemAlmostFull. A steep slope: sudo find / -xdev -mmin -360 -size +50M -ls.",
            ),
            [Query(by(_BY_MOUNT, "max", pick(names.FILESYSTEM_USED, scope)), view.name("mountpoint"))],
            "percentunit",
            lines=2 * view.count,
            high=1,
            limit=limits.FILESYSTEM,
        ),
        house.graph(
            "Disk busy",
            note(
                "Share of time in which the disk had work.",
                "Near 100 % everything that reads or writes waits; an SD card gets there with little.",
                "Dashed: DiskSaturated after half an hour. On the node: sudo iotop -oPa -n 3.",
            ),
            [Query(rate(names.disk("io_time_seconds_total"), scope, device=DISKS), view.name("device"))],
            "percentunit",
            lines=view.count,
            high=1,
            limit=limits.DISK_BUSY,
        ),
    ]


def work(view: View) -> list[Tile]:
    """Throughput, operations, latency, queue, stall."""
    house, scope = view.house, view.exporters

    def disk(column: str) -> str:
        return rate(names.disk(column), scope, device=DISKS)

    both = 2 * view.count
    return [
        house.graph(
            "Disk throughput",
            note(
                "Bytes a second read and written; written is drawn downwards.",
                "Writing wears flash; reading of many megabytes a second is a model or a backup.",
                "On the node: sudo iotop -oPa -n 3 tells who it is.",
            ),
            [
                Query(disk("read_bytes_total"), view.name("device") + " read"),
                Query(disk("written_bytes_total"), view.name("device") + " written"),
            ],
            "Bps",
            lines=both,
            mirrored=" written$",
        ),
        house.graph(
            "Disk operations",
            note(
                "Reads and writes a second; writes are drawn downwards.",
                "A database on a card lives or dies by these, not by the bytes.",
                "Thousands for long: look for missing indexes, or move the database to an SSD.",
            ),
            [
                Query(disk("reads_completed_total"), view.name("device") + " read"),
                Query(disk("writes_completed_total"), view.name("device") + " written"),
            ],
            "iops",
            lines=both,
            mirrored=" written$",
        ),
        house.graph(
            "Time of an operation",
            note(
                "How long a read or a write took on average.",
                "Under 1 ms on an SSD, some 10 ms on a card. Growing without more work: the device is failing.",
                "On the node: sudo dmesg | grep -iE 'mmc|nvme|I/O error'; make a backup first.",
            ),
            [
                Query(
                    ratio(disk("read_time_seconds_total"), disk("reads_completed_total")),
                    view.name("device") + " read",
                ),
                Query(
                    ratio(disk("write_time_seconds_total"), disk("writes_completed_total")),
                    view.name("device") + " written",
                ),
            ],
            "s",
            lines=both,
            by_node=False,
        ),
        stalled(view),
    ]


def stalled(view: View) -> Tile:
    return view.house.graph(
        "Stalled for the disk",
        note(
            "Share of time in which no process made progress because of the disk. Needs psi=1 on Raspberry Pi OS.",
            "This is the disk as the applications feel it.",
            "Dashed: IoStalled. Find the writer with iotop, or give the node a faster disk.",
        ),
        [Query(rate(PRESSURE["io", "full"], view.exporters), view.name())],
        "percentunit",
        lines=view.count,
        limit=limits.IO_STALL,
    )


def health(view: View) -> list[Tile]:
    """Wear of flash and heat of drives; empty where the hardware does not tell."""
    house, scope = view.house, view.exporters
    return [
        house.graph(
            "Flash life used",
            note(
                "The share of its rated life that an eMMC or SD device says it has used, in tenths. Only some tell.",
                "It only grows, so it can wait for daylight, but not for ever.",
                "Dashed: FlashWornOut. Back up, and replace the card or module.",
            ),
            [Query(pick(MMC_LIFE_USED, scope), view.name("device", "area"))],
            "percentunit",
            lines=view.count,
            high=1.1,
            limit=limits.FLASH_LIFE,
            width=8,
        ),
        house.timeline(
            "Spare blocks of flash",
            note(
                "What an eMMC says of the blocks that it keeps for worn ones. Only some tell.",
                "When they are used up, it turns read-only or loses data.",
                "Yellow: back up, and plan another module. Red: do it now.",
            ),
            [Query(pick(MMC_RESERVE, scope), view.name("device"))],
            _RESERVE,
            rows=view.count,
            width=8,
        ),
        house.graph(
            "Drive and chip temperatures",
            note(
                "Temperatures of the hardware monitors: NVMe drives, supplies, sensors on the board.",
                "An NVMe drive slows down from 75 to 85 °C.",
                "Give the drive a heat sink or air.",
            ),
            [Query(pick(names.HWMON_TEMPERATURE, scope), view.name("chip", "sensor"))],
            "celsius",
            lines=2 * view.count,
            low=None,
            by_node=False,
            width=8,
        ),
    ]


def section_health(view: View, title: str = "Wear and heat of disks", *, collapsed: bool = True) -> Section:
    return Section(title, health(view), collapsed=collapsed)


def section(view: View, title: str = "Disks", *, collapsed: bool = False, wear: bool = True) -> Section:
    tiles = [table(view), *space(view), *work(view)]
    return Section(title, [*tiles, *(health(view) if wear else [])], collapsed=collapsed)
