"""Thermal zones and hardware monitors, under node_exporter's names."""

from __future__ import annotations

from exporters.catalog.metric import Metric

ZONE_TEMP = Metric("node_thermal_zone_temp", "gauge", "Zone temperature in Celsius", ("zone", "type"))
COOLING_CURRENT = Metric(
    "node_cooling_device_cur_state", "gauge", "Current throttle state of the cooling device", ("name", "type")
)
COOLING_MAX = Metric(
    "node_cooling_device_max_state", "gauge", "Maximum throttle state of the cooling device", ("name", "type")
)

HWMON_CHIP = Metric(
    "node_hwmon_chip_names",
    "gauge",
    "Annotation metric for human-readable chip names",
    ("chip", "chip_name"),
)
HWMON_LABEL = Metric("node_hwmon_sensor_label", "gauge", "Label for given chip and sensor", ("chip", "sensor", "label"))
