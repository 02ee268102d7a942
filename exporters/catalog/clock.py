"""The kernel's clock discipline, under node_exporter's names."""

from __future__ import annotations

from exporters.catalog.metric import Kind, Metric


def _timex(name: str, kind: Kind, text: str) -> Metric:
    return Metric(f"node_timex_{name}", kind, text)


SYNC_STATUS = _timex("sync_status", "gauge", "Is clock synchronized to a reliable server (1 = yes, 0 = no).")
OFFSET = _timex("offset_seconds", "gauge", "Time offset in between local system and reference clock.")
FREQUENCY = _timex("frequency_adjustment_ratio", "gauge", "Local clock frequency adjustment.")
MAXERROR = _timex("maxerror_seconds", "gauge", "Maximum error in seconds.")
ESTERROR = _timex("estimated_error_seconds", "gauge", "Estimated error in seconds.")
STATUS = _timex("status", "gauge", "Value of the status array bits.")
CONSTANT = _timex("loop_time_constant", "gauge", "Phase-locked loop time constant.")
TICK = _timex("tick_seconds", "gauge", "Seconds between clock ticks.")
PPS_FREQUENCY = _timex("pps_frequency_hertz", "gauge", "Pulse per second frequency.")
PPS_JITTER = _timex("pps_jitter_seconds", "gauge", "Pulse per second jitter.")
PPS_SHIFT = _timex("pps_shift_seconds", "gauge", "Pulse per second interval duration.")
PPS_STABILITY = _timex(
    "pps_stability_hertz", "gauge", "Pulse per second stability, average of recent frequency changes."
)
PPS_JITTER_COUNT = _timex("pps_jitter_total", "counter", "Pulse per second count of jitter limit exceeded events.")
PPS_CALIBRATION_COUNT = _timex("pps_calibration_total", "counter", "Pulse per second count of calibration intervals.")
PPS_ERROR_COUNT = _timex("pps_error_total", "counter", "Pulse per second count of calibration errors.")
PPS_STABILITY_COUNT = _timex(
    "pps_stability_exceeded_total", "counter", "Pulse per second count of stability limit exceeded events."
)
TAI_OFFSET = _timex("tai_offset_seconds", "gauge", "International Atomic Time (TAI) offset.")
