"""Containers, under cAdvisor's names where it has one (https://github.com/google/cadvisor/blob/master/docs/storage/prometheus.md).

Otherwise than cAdvisor: no ``id`` label (a recreated container would begin new series; its short id is in
``tierwatch_container_info``), no timestamps, and a stopped container keeps what still describes it.
"""

from __future__ import annotations

from exporters.catalog.metric import Kind, Metric

OF_CONTAINER = ("name", "image")


def _cadvisor(name: str, kind: Kind, text: str, *more: str) -> Metric:
    return Metric(name, kind, text, (*OF_CONTAINER, *more))


LAST_SEEN = _cadvisor(
    "container_last_seen",
    "gauge",
    "Last time the container was seen running, in seconds since the epoch; stays for ten minutes after it is removed.",
)
START_TIME = _cadvisor(
    "container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds."
)
HEALTH_STATE = _cadvisor(
    "container_health_state",
    "gauge",
    "1 when the container's own health check is content, 0 while it starts or fails. Absent without a health check.",
)
OOM_EVENTS = _cadvisor("container_oom_events_total", "counter", "Count of out of memory events observed.")

CPU_USAGE = _cadvisor("container_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed in seconds.", "cpu")
CPU_USER = _cadvisor("container_cpu_user_seconds_total", "counter", "Cumulative user cpu time consumed in seconds.")
CPU_SYSTEM = _cadvisor(
    "container_cpu_system_seconds_total", "counter", "Cumulative system cpu time consumed in seconds."
)
CFS_PERIODS = _cadvisor(
    "container_cpu_cfs_periods_total", "counter", "Number of elapsed enforcement period intervals; only with a quota."
)
CFS_THROTTLED_PERIODS = _cadvisor(
    "container_cpu_cfs_throttled_periods_total", "counter", "Number of throttled period intervals."
)
CFS_THROTTLED_SECONDS = _cadvisor(
    "container_cpu_cfs_throttled_seconds_total", "counter", "Total time duration the container has been throttled."
)
SPEC_CPU_QUOTA = _cadvisor(
    "container_spec_cpu_quota", "gauge", "CPU quota of the container in microseconds a period; only with a quota."
)
SPEC_CPU_PERIOD = _cadvisor(
    "container_spec_cpu_period", "gauge", "CPU period of the container in microseconds; only with a quota."
)

MEMORY_USAGE = _cadvisor(
    "container_memory_usage_bytes",
    "gauge",
    "Current memory usage in bytes, including all memory regardless of when it was accessed.",
)
MEMORY_WORKING_SET = _cadvisor(
    "container_memory_working_set_bytes", "gauge", "Usage without the page cache that was not used lately, in bytes."
)
MEMORY_RSS = _cadvisor("container_memory_rss", "gauge", "Size of RSS in bytes.")
MEMORY_CACHE = _cadvisor("container_memory_cache", "gauge", "Number of bytes of page cache memory.")
MEMORY_FAILCNT = _cadvisor(
    "container_memory_failcnt", "counter", "Number of memory usage hits limits; only where cgroups are version 1."
)
SPEC_MEMORY_LIMIT = _cadvisor(
    "container_spec_memory_limit_bytes", "gauge", "Memory limit for the container; 0 is none."
)
THREADS = _cadvisor("container_threads", "gauge", "Number of threads running inside the container.")

NETWORK_RECEIVE = {
    "bytes": _cadvisor(
        "container_network_receive_bytes_total", "counter", "Cumulative count of bytes received.", "interface"
    ),
    "packets": _cadvisor(
        "container_network_receive_packets_total", "counter", "Cumulative count of packets received.", "interface"
    ),
    "errors": _cadvisor(
        "container_network_receive_errors_total",
        "counter",
        "Cumulative count of errors encountered while receiving.",
        "interface",
    ),
    "dropped": _cadvisor(
        "container_network_receive_packets_dropped_total",
        "counter",
        "Cumulative count of packets dropped while receiving.",
        "interface",
    ),
}
NETWORK_TRANSMIT = {
    "bytes": _cadvisor(
        "container_network_transmit_bytes_total", "counter", "Cumulative count of bytes transmitted.", "interface"
    ),
    "packets": _cadvisor(
        "container_network_transmit_packets_total", "counter", "Cumulative count of packets transmitted.", "interface"
    ),
    "errors": _cadvisor(
        "container_network_transmit_errors_total",
        "counter",
        "Cumulative count of errors encountered while transmitting.",
        "interface",
    ),
    "dropped": _cadvisor(
        "container_network_transmit_packets_dropped_total",
        "counter",
        "Cumulative count of packets dropped while transmitting.",
        "interface",
    ),
}
FS_READ_BYTES = _cadvisor("container_fs_reads_bytes_total", "counter", "Cumulative count of bytes read.", "device")
FS_WRITTEN_BYTES = _cadvisor(
    "container_fs_writes_bytes_total", "counter", "Cumulative count of bytes written.", "device"
)
FS_READS = _cadvisor("container_fs_reads_total", "counter", "Cumulative count of reads completed.", "device")
FS_WRITES = _cadvisor("container_fs_writes_total", "counter", "Cumulative count of writes completed.", "device")

# What cAdvisor does not know. Only the name of the container as a label: these outlive a recreation.
INFO = Metric(
    "tierwatch_container_info",
    "gauge",
    "A metric with a constant '1' value labeled by image, short id, restart policy and compose names of a container.",
    ("name", "image", "id", "restart_policy", "compose_project", "compose_service"),
)
STATE = Metric(
    "tierwatch_container_state",
    "gauge",
    "1 for the state a container is in, 0 for the others. missing: the inventory wants it and there is none, or it was"
    " removed within the last ten minutes and had not ended well.",
    ("name", "state"),
)
HEALTH = Metric(
    "tierwatch_container_health",
    "gauge",
    "1 for what the container's health check says (starting, healthy, unhealthy). Absent without a health check.",
    ("name", "health"),
)
EXIT_CODE = Metric(
    "tierwatch_container_exit_code",
    "gauge",
    "Exit code of the last run of a container that does not run; 137 is SIGKILL, 143 SIGTERM, 139 a crash.",
    ("name",),
)
FINISHED = Metric(
    "tierwatch_container_finished_time_seconds",
    "gauge",
    "End of the last run of a container that does not run, in seconds since the epoch.",
    ("name",),
)
OOM_KILLED = Metric(
    "tierwatch_container_oom_killed",
    "gauge",
    "1 when Docker says that the last run ended because there was no memory; the next start clears it.",
    ("name",),
)
RESTARTS = Metric(
    "tierwatch_container_restarts_total",
    "counter",
    "Times Docker started a container again by its restart policy; begins anew with a start by hand.",
    ("name",),
)
WANTED_UP = Metric(
    "tierwatch_container_wanted_up",
    "gauge",
    "Whether a container that the inventory names runs (0: stopped, dead, paused, restarting, missing). Absent while"
    " Docker does not answer: that is unknown.",
    ("name", "service"),
)
WANTED_DIED = Metric(
    "tierwatch_container_wanted_died",
    "gauge",
    "1 when a container that the inventory names ended with an error or was killed, was not asked to stop, and is not"
    " being started again by its restart policy.",
    ("name", "service"),
)
ACCOUNTING = Metric(
    "tierwatch_container_accounting",
    "gauge",
    "Whether the kernel counts this for containers. 0 for memory is the default of Raspberry Pi OS: there are no memory"
    " series then, and limits have no effect, until cgroup_enable=memory is in cmdline.txt.",
    ("controller",),
)
COUNT = Metric("tierwatch_containers", "gauge", "Number of containers that Docker has, by state.", ("state",))
IGNORED = Metric(
    "tierwatch_containers_ignored", "gauge", "Containers above the number that is watched; they have no series."
)
DOCKER_UP = Metric(
    "tierwatch_docker_up",
    "gauge",
    "Whether Docker answers about its containers; why it does not is in tierwatch_docker_down_info.",
)
DOCKER_DOWN_INFO = Metric(
    "tierwatch_docker_down_info",
    "gauge",
    "Why Docker does not answer: missing (no socket), permission (the exporter may not open it), refused (the daemon"
    " does not run), timeout (it hangs), broken (the connection was lost), answer (it says what nobody understands).",
    ("reason",),
)
DOCKER_INFO = Metric(
    "tierwatch_docker_info",
    "gauge",
    "A metric with a constant '1' value labeled by version of Docker and of the API that is spoken.",
    ("version", "api"),
)
DOCKER_AGE = Metric(
    "tierwatch_docker_answer_age_seconds", "gauge", "Time since Docker last answered with the state of its containers."
)
DOCKER_EVENTS = Metric(
    "tierwatch_docker_events_total", "counter", "Container events read from Docker since the exporter started."
)
DOCKER_CONNECTIONS = Metric(
    "tierwatch_docker_connections_total", "counter", "Times the stream of Docker's events was opened."
)
