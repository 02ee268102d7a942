"""CPU, memory, kernel, clock and system metrics, under the names and types of node_exporter 1.5 so that its rules and
dashboards work. Names ending in a field of the kernel are made by a function, once for each field."""

from __future__ import annotations

from functools import lru_cache

from exporters.catalog.metric import Metric

# The kernel has a few hundred such fields; the bound holds against a machine that makes names up.
_FIELDS = 4096

CPU_SECONDS = Metric("node_cpu_seconds_total", "counter", "Seconds the CPUs spent in each mode.", ("cpu", "mode"))
CPU_GUEST_SECONDS = Metric(
    "node_cpu_guest_seconds_total",
    "counter",
    "Seconds the CPUs spent in guests (VMs) for each mode.",
    ("cpu", "mode"),
)
CPU_FREQUENCY = Metric("node_cpu_frequency_hertz", "gauge", "Current CPU thread frequency in hertz.", ("cpu",))
CPU_FREQUENCY_MIN = Metric("node_cpu_frequency_min_hertz", "gauge", "Minimum CPU thread frequency in hertz.", ("cpu",))
CPU_FREQUENCY_MAX = Metric("node_cpu_frequency_max_hertz", "gauge", "Maximum CPU thread frequency in hertz.", ("cpu",))
CPU_SCALING = Metric(
    "node_cpu_scaling_frequency_hertz", "gauge", "Current scaled CPU thread frequency in hertz.", ("cpu",)
)
CPU_SCALING_MIN = Metric(
    "node_cpu_scaling_frequency_min_hertz", "gauge", "Minimum scaled CPU thread frequency in hertz.", ("cpu",)
)
CPU_SCALING_MAX = Metric(
    "node_cpu_scaling_frequency_max_hertz", "gauge", "Maximum scaled CPU thread frequency in hertz.", ("cpu",)
)
CPU_GOVERNOR = Metric("node_cpu_scaling_governor", "gauge", "Current enabled CPU governor.", ("cpu", "governor"))

INTERRUPTS = Metric("node_intr_total", "counter", "Total number of interrupts serviced.")
CONTEXT_SWITCHES = Metric("node_context_switches_total", "counter", "Total number of context switches.")
FORKS = Metric("node_forks_total", "counter", "Total number of forks.")
BOOT_TIME = Metric("node_boot_time_seconds", "gauge", "Node boot time, in unixtime.")
PROCS_RUNNING = Metric("node_procs_running", "gauge", "Number of processes in runnable state.")
PROCS_BLOCKED = Metric("node_procs_blocked", "gauge", "Number of processes blocked waiting for I/O to complete.")

LOAD1 = Metric("node_load1", "gauge", "1m load average.")
LOAD5 = Metric("node_load5", "gauge", "5m load average.")
LOAD15 = Metric("node_load15", "gauge", "15m load average.")

# (resource, line of the file) -> metric; the file of a resource is /proc/pressure/RESOURCE
PRESSURE: dict[tuple[str, str], Metric] = {
    ("cpu", "some"): Metric(
        "node_pressure_cpu_waiting_seconds_total",
        "counter",
        "Total time in seconds that processes have waited for CPU time",
    ),
    ("io", "some"): Metric(
        "node_pressure_io_waiting_seconds_total",
        "counter",
        "Total time in seconds that processes have waited due to IO congestion",
    ),
    ("io", "full"): Metric(
        "node_pressure_io_stalled_seconds_total",
        "counter",
        "Total time in seconds no process could make progress due to IO congestion",
    ),
    ("memory", "some"): Metric(
        "node_pressure_memory_waiting_seconds_total",
        "counter",
        "Total time in seconds that processes have waited for memory",
    ),
    ("memory", "full"): Metric(
        "node_pressure_memory_stalled_seconds_total",
        "counter",
        "Total time in seconds no process could make progress due to memory congestion",
    ),
    ("irq", "full"): Metric(
        "node_pressure_irq_stalled_seconds_total",
        "counter",
        "Total time in seconds no process could make progress due to IRQ congestion",
    ),
}

FILEFD_ALLOCATED = Metric("node_filefd_allocated", "gauge", "File descriptor statistics: allocated.")
FILEFD_MAXIMUM = Metric("node_filefd_maximum", "gauge", "File descriptor statistics: maximum.")
ENTROPY_AVAILABLE = Metric("node_entropy_available_bits", "gauge", "Bits of available entropy.")
ENTROPY_POOL_SIZE = Metric("node_entropy_pool_size_bits", "gauge", "Bits of entropy pool.")

UNAME_INFO = Metric(
    "node_uname_info",
    "gauge",
    "Labeled system information as provided by the uname system call.",
    ("sysname", "release", "version", "machine", "nodename", "domainname"),
)
OS_INFO_LABELS = (
    "build_id",
    "id",
    "id_like",
    "image_id",
    "image_version",
    "name",
    "pretty_name",
    "variant",
    "variant_id",
    "version",
    "version_codename",
    "version_id",
)
OS_INFO = Metric(
    "node_os_info",
    "gauge",
    f"A metric with a constant '1' value labeled by {', '.join(OS_INFO_LABELS)}.",
    OS_INFO_LABELS,
)
OS_VERSION = Metric(
    "node_os_version", "gauge", "Metric containing the major.minor part of the OS version.", ("id", "id_like", "name")
)

PROCESSES_THREADS = Metric("node_processes_threads", "gauge", "Allocated threads in system")
PROCESSES_MAX_THREADS = Metric("node_processes_max_threads", "gauge", "Limit of threads in the system")
PROCESSES_STATE = Metric("node_processes_state", "gauge", "Number of processes in each state.", ("state",))
PROCESSES_PIDS = Metric("node_processes_pids", "gauge", "Number of PIDs")
PROCESSES_MAX = Metric("node_processes_max_processes", "gauge", "Number of max PIDs limit")

TIME = Metric("node_time_seconds", "gauge", "System time in seconds since epoch (1970).")
TIME_ZONE_OFFSET = Metric(
    "node_time_zone_offset_seconds", "gauge", "System time zone offset in seconds.", ("time_zone",)
)
CLOCKSOURCE_AVAILABLE = Metric(
    "node_time_clocksource_available_info",
    "gauge",
    "Available clocksources read from '/sys/devices/system/clocksource'.",
    ("device", "clocksource"),
)
CLOCKSOURCE_CURRENT = Metric(
    "node_time_clocksource_current_info",
    "gauge",
    "Current clocksource read from '/sys/devices/system/clocksource'.",
    ("device", "clocksource"),
)


@lru_cache(maxsize=_FIELDS)
def memory_field(field: str) -> Metric:
    """``MemTotal_bytes`` -> ``node_memory_MemTotal_bytes``."""
    return Metric(f"node_memory_{field}", "gauge", f"Memory information field {field}.")


@lru_cache(maxsize=_FIELDS)
def vmstat_field(field: str) -> Metric:
    return Metric(f"node_vmstat_{field}", "untyped", f"/proc/vmstat information field {field}.")
