"""What the kernel's log says of trouble. node_exporter has no names for it."""

from __future__ import annotations

from exporters.catalog.metric import Metric

KERNEL_EVENTS = Metric(
    "tierwatch_kernel_log_events_total",
    "counter",
    "Troubles that the kernel logged since the exporter started: oom_kill, under_voltage, io_error, filesystem_error, "
    "hung_task, lockup, over_current.",
    ("event",),
)
KERNEL_READABLE = Metric(
    "tierwatch_kernel_log_readable",
    "gauge",
    "Whether the exporter may read the kernel's log; without that there are no counts, which is not the same as none.",
)
KERNEL_LOST = Metric(
    "tierwatch_kernel_log_lost_total",
    "counter",
    "Records of the kernel's log that were overwritten before they were read.",
)
