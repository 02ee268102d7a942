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
SERVICE_STATE = Metric("service:state:min", "gauge", "0 down, 1 unknown, 2 degraded, 3 up.", ("service",))

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
    SERVICE_STATE,
)

# The aggregator's own page.


def _own(name: str, text: str, *labels: str) -> Metric:
    return Metric(f"tierwatch_{name}", "counter" if name.endswith("_total") else "gauge", text, labels)


RULE_SECONDS = _own("rule_evaluation_seconds_total", "Time evaluations took.")
RULE_FAILURES = _own("rule_evaluation_failures_total", "Evaluations that failed.")
RULES_MISSED = _own("rule_evaluations_missed_total", "Times a group was due and the one before still ran.")
NOTIFY_QUEUED = _own("notifications_queued_total", "Messages put into the outbox.", "receiver")
NOTIFY_DELIVERED = _own("notifications_delivered_total", "Messages the receiver accepted.", "receiver")
NOTIFY_FAILURES = _own("notification_failed_attempts_total", "Attempts that failed and are repeated.", "receiver")
NOTIFY_GIVEN_UP = _own("notifications_given_up_total", "Messages given up.", "receiver")
NOTIFY_WAITING = _own("notifications_waiting", "Messages in the outbox.", "receiver")
NOTIFY_OLDEST = _own("notification_oldest_waiting_seconds", "Age of the oldest message there.", "receiver")
STORED_SERIES = _own("storage_series", "Series the store knows.")
STORED_BYTES = _own("storage_file_bytes", "Size of the database file with its write-ahead log.")
STORED_SAMPLES = _own("storage_samples_appended_total", "Samples stored.")
STORAGE_WRITTEN = _own("storage_written_bytes_total", "Bytes written to the disk.")
STORAGE_FAILURES = _own("storage_flush_failures_total", "Times the newest data could not be made durable.")
STORAGE_DROPPED = _own("storage_frames_dropped_total", "Frames lost because the disk refused too long.")
QUERIES = _own("queries_total", "Queries over HTTP.")
QUERY_SECONDS = _own("query_seconds_total", "Time queries took, waiting included.")
QUERIES_REFUSED = _own("queries_refused_total", "Queries refused because too many were waiting.")
QUERY_TIMEOUTS = _own("query_timeouts_total", "Queries that did not end in time.")
EVENT_STREAMS = _own("event_streams", "Nodes whose stream of events is open.")
EVENTS_RECEIVED = _own("events_received_total", "Changes that nodes told at once.")
EVENTS_MISSED = _own("events_missed_total", "Changes that a stream should have told and did not.")
STREAMS_BROKEN = _own("event_streams_broken_total", "Streams of events that ended.")
STREAMS_SILENT = _own("event_streams_silent_total", "Streams of events that missed three beats.")
CONFIG_TAKEN = _own("config_last_reload_successful", "1 when the newest configuration was accepted.")

AGGREGATOR: tuple[Metric, ...] = (
    RULE_SECONDS,
    RULE_FAILURES,
    RULES_MISSED,
    NOTIFY_QUEUED,
    NOTIFY_DELIVERED,
    NOTIFY_FAILURES,
    NOTIFY_GIVEN_UP,
    NOTIFY_WAITING,
    NOTIFY_OLDEST,
    STORED_SERIES,
    STORED_BYTES,
    STORED_SAMPLES,
    STORAGE_WRITTEN,
    STORAGE_FAILURES,
    STORAGE_DROPPED,
    QUERIES,
    QUERY_SECONDS,
    QUERIES_REFUSED,
    QUERY_TIMEOUTS,
    EVENT_STREAMS,
    EVENTS_RECEIVED,
    EVENTS_MISSED,
    STREAMS_BROKEN,
    STREAMS_SILENT,
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
