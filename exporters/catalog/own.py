"""What an exporter tells of itself and of its collectors."""

from __future__ import annotations

from exporters.catalog.metric import Metric

COLLECTOR_SUCCESS = Metric(
    "node_scrape_collector_success",
    "gauge",
    "Whether a collector succeeded. Absent for a collector whose hardware is not here.",
    ("collector",),
)
COLLECTOR_DURATION = Metric(
    "node_scrape_collector_duration_seconds",
    "gauge",
    "Duration of a collector scrape; of one that is stuck, the time since its read began.",
    ("collector",),
)
BUILD_INFO = Metric(
    "tierwatch_exporter_build_info",
    "gauge",
    "A metric with a constant '1' value labeled by version and Python version of the exporter.",
    ("version", "python"),
)
NODE_INFO = Metric(
    "tierwatch_exporter_node_info",
    "gauge",
    "A metric with a constant '1' value labeled by the node's name, tier and board in the inventory.",
    ("node", "tier", "board"),
)

PROCESS_CPU = Metric("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.")
PROCESS_RESIDENT = Metric("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.")
PROCESS_VIRTUAL = Metric("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.")
PROCESS_START = Metric("process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.")
PROCESS_OPEN_FDS = Metric("process_open_fds", "gauge", "Number of open file descriptors.")
PROCESS_MAX_FDS = Metric("process_max_fds", "gauge", "Maximum number of open file descriptors.")

TEXTFILE_MTIME = Metric(
    "node_textfile_mtime_seconds", "gauge", "Unixtime mtime of textfiles successfully read.", ("file",)
)
TEXTFILE_ERROR = Metric(
    "node_textfile_scrape_error", "gauge", "1 if there was an error opening or reading a file, 0 otherwise"
)
