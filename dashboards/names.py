"""Series that no exporter serves: what a scrape and the rules leave behind, and what the aggregator tells of itself.

They are Metrics like the exporters' own, so that queries are written in one way. Recorded series are those of
``config/rules``.
"""

from __future__ import annotations

from exporters.catalog.metric import Metric
from exporters.catalog.network import RECEIVE, TRANSMIT
from exporters.catalog.storage import DISK_COLUMNS

# What every scrape leaves behind.
UP = Metric("up", "gauge", "1 when the last scrape of the target succeeded, else 0.")
SCRAPE_DURATION = Metric("scrape_duration_seconds", "gauge", "How long the last scrape took.")
SCRAPE_SAMPLES = Metric("scrape_samples_scraped", "gauge", "Samples on the page of the last scrape.")
SCRAPE_ADDED = Metric("scrape_series_added", "gauge", "Series that the last scrape brought for the first time.")

# What evaluating the alert rules leaves behind, one series for each alert while it is pending or firing.
ALERTS = Metric("ALERTS", "gauge", "1 while an alert is pending or firing.", ("alertname", "alertstate", "severity"))

# Recorded by the rules of config/rules.
CPU_UTILIZATION = Metric("node:cpu_utilization:ratio", "gauge", "Share of CPU time not idle.")
LOAD_PER_CORE = Metric("node:load_per_core:ratio", "gauge", "Five-minute load per core.")
MEMORY_USED = Metric("node:memory_used:ratio", "gauge", "Share of the memory that is not available.")
SWAP_USED = Metric("node:swap_used:ratio", "gauge", "Share of the swap space in use.")
FILESYSTEM_USED = Metric(
    "node:filesystem_used:ratio",
    "gauge",
    "Share of a file system in use, as df counts.",
    ("device", "mountpoint", "fstype"),
)
DISK_BUSY = Metric("node:disk_busy:ratio", "gauge", "Share of time the busiest disk was busy.")
NETWORK_RECEIVE = Metric("node:network_receive_bytes:rate2m", "gauge", "Bytes a second in, physical interfaces.")
NETWORK_TRANSMIT = Metric("node:network_transmit_bytes:rate2m", "gauge", "Bytes a second out, physical interfaces.")
TEMPERATURE = Metric("node:temperature_celsius:max", "gauge", "Temperature of the hottest zone.")

RECORDED: tuple[Metric, ...] = (
    CPU_UTILIZATION,
    LOAD_PER_CORE,
    MEMORY_USED,
    SWAP_USED,
    FILESYSTEM_USED,
    DISK_BUSY,
    NETWORK_RECEIVE,
    NETWORK_TRANSMIT,
    TEMPERATURE,
)

# The aggregator's own page.
RULE_FAILURES = Metric(
    "tierwatch_rule_evaluation_failures_total", "counter", "Rule evaluations that failed.", ("rule_group",)
)
RULES_MISSED = Metric(
    "tierwatch_rule_group_iterations_missed_total", "counter", "Evaluations skipped for want of time.", ("rule_group",)
)
NOTIFY_OLDEST = Metric(
    "tierwatch_notify_oldest_waiting_seconds", "gauge", "Age of the oldest notification not delivered.", ("receiver",)
)
NOTIFY_FAILURES = Metric(
    "tierwatch_notify_failures_total", "counter", "Attempts to deliver a notification that failed.", ("receiver",)
)
STORAGE_FAILURES = Metric("tierwatch_storage_flush_failures_total", "counter", "Writes to the disk that failed.")
CONFIG_TAKEN = Metric(
    "tierwatch_config_last_reload_successful", "gauge", "1 when the newest configuration was taken, else 0."
)

AGGREGATOR: tuple[Metric, ...] = (
    RULE_FAILURES,
    RULES_MISSED,
    NOTIFY_OLDEST,
    NOTIFY_FAILURES,
    STORAGE_FAILURES,
    CONFIG_TAKEN,
)
SYNTHETIC: tuple[Metric, ...] = (UP, SCRAPE_DURATION, SCRAPE_SAMPLES, SCRAPE_ADDED, ALERTS)

# Hardware monitors: the exporter makes these names of the kernel's file names.
HWMON_FAN = Metric("node_hwmon_fan_rpm", "gauge", "Measured fan speed in turns a minute.", ("chip", "sensor"))
HWMON_TEMPERATURE = Metric("node_hwmon_temp_celsius", "gauge", "Temperature of a sensor.", ("chip", "sensor"))
HARDWARE_MONITORS: tuple[Metric, ...] = (HWMON_FAN, HWMON_TEMPERATURE)

_DISK = {metric.name.removeprefix("node_disk_"): metric for metric, _ in DISK_COLUMNS}
_NETWORK = {metric.name.removeprefix("node_network_"): metric for metric in (*RECEIVE, *TRANSMIT)}


def disk(column: str) -> Metric:
    """A disk statistic by the end of its name: ``read_bytes_total``. KeyError when there is none."""
    return _DISK[column]


def network(column: str) -> Metric:
    """An interface statistic by the end of its name: ``receive_errs_total``. KeyError when there is none."""
    return _NETWORK[column]
