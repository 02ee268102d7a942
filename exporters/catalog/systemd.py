"""What systemd tells of its units: node_exporter 1.5's names where it has one, with its help texts."""

from __future__ import annotations

from exporters.catalog.metric import Metric

UNIT_STATE = Metric("node_systemd_unit_state", "gauge", "Systemd unit", ("name", "state", "type"))
UNIT_START = Metric(
    "node_systemd_unit_start_time_seconds", "gauge", "Start time of the unit since unix epoch in seconds.", ("name",)
)
UNIT_TASKS = Metric("node_systemd_unit_tasks_current", "gauge", "Current number of tasks per Systemd unit", ("name",))
UNIT_TASKS_MAX = Metric("node_systemd_unit_tasks_max", "gauge", "Maximum number of tasks per Systemd unit", ("name",))
RESTARTS = Metric("node_systemd_service_restart_total", "counter", "Service unit count of Restart triggers", ("name",))
TIMER_LAST = Metric(
    "node_systemd_timer_last_trigger_seconds", "gauge", "Seconds since epoch of last trigger.", ("name",)
)
RUNNING = Metric(
    "node_systemd_system_running",
    "gauge",
    "Whether the system is operational (see 'systemctl is-system-running')",
)
VERSION = Metric("node_systemd_version", "gauge", "Detected systemd version", ("version",))

WANTED = Metric(
    "tierwatch_systemd_unit_wanted",
    "gauge",
    "1 when a unit that a service of the inventory names is known to systemd, 0 when there is no such unit.",
    ("name", "service"),
)
RESULT = Metric(
    "tierwatch_systemd_unit_result",
    "gauge",
    "How a service ended last, as systemd calls it (success, exit-code, signal, oom-kill, timeout, ...); always 1.",
    ("name", "result"),
)
AUTO_RESTART = Metric(
    "tierwatch_systemd_unit_auto_restart",
    "gauge",
    "1 while a service has ended and waits to be started again: twice in a row is a crash loop, which is never failed.",
    ("name",),
)
MEMORY = Metric(
    "tierwatch_systemd_unit_memory_bytes", "gauge", "Memory of a unit's processes, where systemd counts it.", ("name",)
)
FAILED = Metric(
    "tierwatch_systemd_units_failed", "gauge", "Units that have failed, also those without series of their own."
)
SOURCE = Metric(
    "tierwatch_systemd_source_info",
    "gauge",
    "Where the readings come from: bus (told at once) or systemctl (asked each quarter of a minute); always 1.",
    ("source",),
)
AGE = Metric("tierwatch_systemd_reading_age_seconds", "gauge", "Age of the readings of systemd's units.")
