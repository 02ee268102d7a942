"""What the board itself tells: its name, a Jetson's GPU, power, fan and memory, a Raspberry Pi's supply and throttling.

Where node_exporter has a name for a reading (thermal zones, hwmon, CPU clocks) that name is used elsewhere; only what
it does not know is named here.
"""

from __future__ import annotations

from exporters.catalog.metric import Metric

BOARD_INFO = Metric(
    "tierwatch_board_info",
    "gauge",
    "What this board is: model of the device tree, system on chip, Jetson Linux release, family"
    " (jetson, raspberrypi, other). Unknown is an empty label.",
    ("model", "soc", "l4t", "family"),
)
REPLAY_INFO = Metric(
    "tierwatch_exporter_replay_info",
    "gauge",
    "Present when readings are replayed from recordings instead of read from this machine; what is replayed.",
    ("what",),
)

JETSON_SOURCE_INFO = Metric(
    "tierwatch_jetson_source_info",
    "gauge",
    "Which source answers for a reading at the moment (sysfs, nvml, tegrastats, jtop).",
    ("reading", "source"),
)
JETSON_GPU_UTILIZATION = Metric(
    "tierwatch_jetson_gpu_utilization_ratio",
    "gauge",
    "Share of time the GPU was busy at its current clock, 0 to 1, mean of one sample a second since the last read.",
)
JETSON_GPU_UTILIZATION_MAX = Metric(
    "tierwatch_jetson_gpu_utilization_max_ratio",
    "gauge",
    "Highest of the GPU utilization samples since the last read, 0 to 1.",
)
JETSON_GPU_BUSY = Metric(
    "tierwatch_jetson_gpu_busy_seconds_total",
    "counter",
    "Time the GPU was busy since the exporter started, from one sample a second; its rate is the utilization over any"
    " range, however many scrapers there are.",
)
JETSON_GPU_FREQUENCY = Metric("tierwatch_jetson_gpu_frequency_hertz", "gauge", "Current clock of the GPU.")
JETSON_POWER = Metric(
    "tierwatch_jetson_power_watts",
    "gauge",
    "Power drawn on a rail. Where the board measures its input, that rail is listed too: never sum the rails.",
    ("rail",),
)
JETSON_POWER_TOTAL = Metric(
    "tierwatch_jetson_power_total_watts",
    "gauge",
    "Power drawn by the whole module, only on boards that measure their input (VDD_IN, POM_5V_IN, VIN).",
)
JETSON_POWER_MODE_INFO = Metric(
    "tierwatch_jetson_power_mode_info",
    "gauge",
    "The power mode (nvpmodel) that is set: its number and, where the board's configuration names it, its name.",
    ("id", "mode"),
)
JETSON_FAN_DUTY = Metric(
    "tierwatch_jetson_fan_duty_ratio", "gauge", "Duty cycle the fan is driven with, 0 to 1.", ("fan",)
)
JETSON_FAN_RPM = Metric("tierwatch_jetson_fan_rpm", "gauge", "Measured fan speed in turns a minute.", ("fan",))
JETSON_MEMORY_USED = Metric(
    "tierwatch_jetson_memory_used_bytes", "gauge", "Memory in use, shared by CPU and GPU, as tegrastats counts it."
)
JETSON_MEMORY_SIZE = Metric("tierwatch_jetson_memory_size_bytes", "gauge", "Memory CPU and GPU share.")
JETSON_MEMORY_LFB = Metric(
    "tierwatch_jetson_memory_largest_free_block_bytes",
    "gauge",
    "Size of the largest free contiguous block; large GPU allocations fail when it is small.",
)
JETSON_CPUS_ONLINE = Metric(
    "tierwatch_jetson_cpu_cores_online", "gauge", "CPU cores that are online; power modes switch cores off."
)
JETSON_CPU_FREQUENCY = Metric(
    "tierwatch_jetson_cpu_frequency_hertz",
    "gauge",
    "Clock of a core as tegrastats tells it; only where the kernel shows no CPU clocks.",
    ("cpu",),
)
JETSON_EMC_UTILIZATION = Metric(
    "tierwatch_jetson_emc_utilization_ratio",
    "gauge",
    "Share of the memory bandwidth in use at the current memory clock, 0 to 1. Absent unless tegrastats really knows.",
)
JETSON_EMC_FREQUENCY = Metric("tierwatch_jetson_emc_frequency_hertz", "gauge", "Clock of the memory controller.")
JETSON_ENGINE_ACTIVE = Metric(
    "tierwatch_jetson_engine_active", "gauge", "1 when a media or inference engine is powered and clocked.", ("engine",)
)
JETSON_ENGINE_UTILIZATION = Metric(
    "tierwatch_jetson_engine_utilization_ratio",
    "gauge",
    "Share of time an engine was busy, 0 to 1, where it is told.",
    ("engine",),
)
JETSON_ENGINE_FREQUENCY = Metric(
    "tierwatch_jetson_engine_frequency_hertz", "gauge", "Clock of an engine that is on.", ("engine",)
)
JETSON_TEMPERATURE = Metric(
    "tierwatch_jetson_temperature_celsius",
    "gauge",
    "Temperature as tegrastats tells it; only where the kernel shows no thermal zones.",
    ("sensor",),
)
JETSON_TEGRASTATS_RESTARTS = Metric(
    "tierwatch_jetson_tegrastats_restarts_total",
    "counter",
    "Times the tegrastats child had to be started again since the exporter started.",
)

JETSON_JTOP_RESTARTS = Metric(
    "tierwatch_jetson_jtop_restarts_total",
    "counter",
    "Times the child that asks jtop's service had to be started again since the exporter started.",
)
NVIDIA_GPU_INFO = Metric(
    "tierwatch_nvidia_gpu_info", "gauge", "A graphics card, by its number, and what it calls itself.", ("gpu", "name")
)
NVIDIA_GPU_UTILIZATION = Metric(
    "tierwatch_nvidia_gpu_utilization_ratio",
    "gauge",
    "Share of time a graphics card was busy, 0 to 1, mean of one sample a second since the last read.",
    ("gpu",),
)
NVIDIA_GPU_UTILIZATION_MAX = Metric(
    "tierwatch_nvidia_gpu_utilization_max_ratio",
    "gauge",
    "Highest of a graphics card's utilization samples since the last read, 0 to 1.",
    ("gpu",),
)
NVIDIA_GPU_BUSY = Metric(
    "tierwatch_nvidia_gpu_busy_seconds_total",
    "counter",
    "Time a graphics card was busy since the exporter started, from one sample a second.",
    ("gpu",),
)
NVIDIA_GPU_MEMORY_USED = Metric(
    "tierwatch_nvidia_gpu_memory_used_bytes", "gauge", "Memory of a graphics card in use.", ("gpu",)
)
NVIDIA_GPU_MEMORY_SIZE = Metric(
    "tierwatch_nvidia_gpu_memory_size_bytes", "gauge", "Memory of a graphics card.", ("gpu",)
)
NVIDIA_GPU_TEMPERATURE = Metric(
    "tierwatch_nvidia_gpu_temperature_celsius", "gauge", "Temperature of a graphics card's chip.", ("gpu",)
)
NVIDIA_GPU_POWER = Metric("tierwatch_nvidia_gpu_power_watts", "gauge", "Power a graphics card draws.", ("gpu",))
NVIDIA_GPU_FREQUENCY = Metric(
    "tierwatch_nvidia_gpu_frequency_hertz", "gauge", "Current clock of a graphics card.", ("gpu",)
)
NVIDIA_METRICS: tuple[Metric, ...] = (
    NVIDIA_GPU_INFO,
    NVIDIA_GPU_UTILIZATION,
    NVIDIA_GPU_UTILIZATION_MAX,
    NVIDIA_GPU_BUSY,
    NVIDIA_GPU_MEMORY_USED,
    NVIDIA_GPU_MEMORY_SIZE,
    NVIDIA_GPU_TEMPERATURE,
    NVIDIA_GPU_POWER,
    NVIDIA_GPU_FREQUENCY,
)

PI_UNDERVOLTAGE = Metric(
    "tierwatch_pi_undervoltage",
    "gauge",
    "1 when the firmware saw the supply below its limit within its last polling window (2 s).",
)
PI_UNDERVOLTAGE_EVENTS = Metric(
    "tierwatch_pi_undervoltage_events_total",
    "counter",
    "Times the supply fell below its limit since the exporter started.",
)
PI_THROTTLE_STATE = Metric(
    "tierwatch_pi_throttle_state",
    "gauge",
    "1 when the firmware limits the board at the moment, by reason"
    " (under_voltage, frequency_capped, throttled, soft_temperature_limit).",
    ("reason",),
)
PI_THROTTLE_SINCE_BOOT = Metric(
    "tierwatch_pi_throttle_since_boot",
    "gauge",
    "1 when the firmware has limited the board at least once since boot, by reason.",
    ("reason",),
)
PI_ARM_FREQUENCY = Metric(
    "tierwatch_pi_arm_frequency_hertz", "gauge", "Clock of the ARM cores; the firmware lowers it when it throttles."
)

BOARD_METRICS: tuple[Metric, ...] = (
    BOARD_INFO,
    REPLAY_INFO,
    JETSON_SOURCE_INFO,
    JETSON_GPU_UTILIZATION,
    JETSON_GPU_UTILIZATION_MAX,
    JETSON_GPU_BUSY,
    JETSON_GPU_FREQUENCY,
    JETSON_POWER,
    JETSON_POWER_TOTAL,
    JETSON_POWER_MODE_INFO,
    JETSON_FAN_DUTY,
    JETSON_FAN_RPM,
    JETSON_MEMORY_USED,
    JETSON_MEMORY_SIZE,
    JETSON_MEMORY_LFB,
    JETSON_CPUS_ONLINE,
    JETSON_CPU_FREQUENCY,
    JETSON_EMC_UTILIZATION,
    JETSON_EMC_FREQUENCY,
    JETSON_ENGINE_ACTIVE,
    JETSON_ENGINE_UTILIZATION,
    JETSON_ENGINE_FREQUENCY,
    JETSON_TEMPERATURE,
    JETSON_TEGRASTATS_RESTARTS,
    JETSON_JTOP_RESTARTS,
    *NVIDIA_METRICS,
    PI_UNDERVOLTAGE,
    PI_UNDERVOLTAGE_EVENTS,
    PI_THROTTLE_STATE,
    PI_THROTTLE_SINCE_BOOT,
    PI_ARM_FREQUENCY,
)
