"""File systems and disks, under node_exporter's names; the wear of eMMC and SD cards, which it does not know."""

from __future__ import annotations

from exporters.catalog.metric import Metric

_MOUNT = ("device", "mountpoint", "fstype")

FS_SIZE = Metric("node_filesystem_size_bytes", "gauge", "Filesystem size in bytes.", _MOUNT)
FS_FREE = Metric("node_filesystem_free_bytes", "gauge", "Filesystem free space in bytes.", _MOUNT)
FS_AVAIL = Metric(
    "node_filesystem_avail_bytes", "gauge", "Filesystem space available to non-root users in bytes.", _MOUNT
)
FS_FILES = Metric("node_filesystem_files", "gauge", "Filesystem total file nodes.", _MOUNT)
FS_FILES_FREE = Metric("node_filesystem_files_free", "gauge", "Filesystem total free file nodes.", _MOUNT)
FS_READONLY = Metric("node_filesystem_readonly", "gauge", "Filesystem read-only status.", _MOUNT)
FS_DEVICE_ERROR = Metric(
    "node_filesystem_device_error",
    "gauge",
    "Whether an error occurred while getting statistics for the given device.",
    _MOUNT,
)

_SECONDS = 0.001  # the kernel counts milliseconds
_SECTOR = 512.0

# In the order of the numbers of /proc/diskstats: metric and the factor from the kernel's unit.
DISK_COLUMNS: tuple[tuple[Metric, float], ...] = tuple(
    (Metric(f"node_disk_{name}", "gauge" if name == "io_now" else "counter", text, ("device",)), factor)
    for name, factor, text in (
        ("reads_completed_total", 1.0, "The total number of reads completed successfully."),
        ("reads_merged_total", 1.0, "The total number of reads merged."),
        ("read_bytes_total", _SECTOR, "The total number of bytes read successfully."),
        ("read_time_seconds_total", _SECONDS, "The total number of seconds spent by all reads."),
        ("writes_completed_total", 1.0, "The total number of writes completed successfully."),
        ("writes_merged_total", 1.0, "The number of writes merged."),
        ("written_bytes_total", _SECTOR, "The total number of bytes written successfully."),
        ("write_time_seconds_total", _SECONDS, "This is the total number of seconds spent by all writes."),
        ("io_now", 1.0, "The number of I/Os currently in progress."),
        ("io_time_seconds_total", _SECONDS, "Total seconds spent doing I/Os."),
        ("io_time_weighted_seconds_total", _SECONDS, "The weighted # of seconds spent doing I/Os."),
        ("discards_completed_total", 1.0, "The total number of discards completed successfully."),
        ("discards_merged_total", 1.0, "The total number of discards merged."),
        ("discarded_sectors_total", 1.0, "The total number of sectors discarded successfully."),
        ("discard_time_seconds_total", _SECONDS, "This is the total number of seconds spent by all discards."),
        ("flush_requests_total", 1.0, "The total number of flush requests completed successfully"),
        (
            "flush_requests_time_seconds_total",
            _SECONDS,
            "This is the total number of seconds spent by all flush requests.",
        ),
    )
)

DISK_INFO = Metric(
    "node_disk_info",
    "gauge",
    "Info of /sys/block/<block_device>.",
    ("device", "major", "minor", "path", "wwn", "model", "serial", "revision"),
)
DISK_FILESYSTEM_INFO = Metric(
    "node_disk_filesystem_info",
    "gauge",
    "Info about disk filesystem.",
    ("device", "type", "usage", "uuid", "version"),
)

MMC_LIFE_USED = Metric(
    "tierwatch_mmc_life_used_ratio",
    "gauge",
    "Share of its rated life an eMMC or SD device says it has used, rounded up to a tenth; 1.1: more than rated."
    " area is a (single-level cells) or b (multi-level cells).",
    ("device", "area"),
)
MMC_RESERVE = Metric(
    "tierwatch_mmc_reserve_state",
    "gauge",
    "Spare blocks of an eMMC device: 1 normal, 2 warning (80 percent used), 3 urgent (90 percent used).",
    ("device",),
)
