from __future__ import annotations

from pathlib import Path

import pytest

from exporters.collector import NoData
from exporters.collectors.disks import MmcWear
from exporters.collectors.hwmon import HardwareMonitors, clean, metric_of, split_name
from exporters.collectors.thermal import ThermalZones
from exporters.sources.files import Roots
from tests.exporters.support import roots, samples


def test_a_gated_zone_has_no_temperature() -> None:
    found = samples(ThermalZones(roots("pi")).collect())
    assert found["node_thermal_zone_temp", "0", "cpu-thermal"] == 54.043
    assert ("node_thermal_zone_temp", "1", "gpu-thermal") not in found
    assert found["node_cooling_device_max_state", "0", "pwm-fan"] == 4


@pytest.mark.parametrize(
    ("text", "known"), [("2147483647", False), ("-256000", False), ("101500", True), ("-5000", True)]
)
def test_a_temperature_that_no_board_has_is_none(tmp_path: Path, text: str, known: bool) -> None:
    zones = {"thermal_zone0": "40000", "thermal_zone1": text}
    for name, millidegrees in zones.items():
        folder = tmp_path / "class/thermal" / name
        folder.mkdir(parents=True)
        (folder / "type").write_text("cpu\n")
        (folder / "temp").write_text(f"{millidegrees}\n")
    found = samples(ThermalZones(Roots(sysfs=str(tmp_path))).collect())
    assert (("node_thermal_zone_temp", "1", "cpu") in found) == known
    assert found["node_thermal_zone_temp", "0", "cpu"] == 40


def test_sensors_that_are_off_or_broken_have_no_reading() -> None:
    found = samples(HardwareMonitors(roots("pi")).collect())
    chip = "i2c_1_1_0040"
    assert found["node_hwmon_in_volts", chip, "in1"] == 5.016
    assert ("node_hwmon_in_volts", chip, "in3") not in found
    assert found["node_hwmon_temp_fault", chip, "temp9"] == 1
    assert ("node_hwmon_temp_celsius", chip, "temp9") not in found
    assert ("node_hwmon_temp_min_celsius", "nvme_nvme0", "temp1") not in found


def test_an_alarm_is_1() -> None:
    found = samples(HardwareMonitors(roots("pi")).collect())
    assert found["node_hwmon_in_lcrit_alarm_volts", "soc:firmware_raspberrypi_hwmon", "in0"] == 1


def test_none_of_them_here() -> None:
    for collector in (ThermalZones(roots("vm")), HardwareMonitors(roots("vm")), MmcWear(roots("vm"))):
        with pytest.raises(NoData):
            collector.collect()


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("temp1_input", ("temp1", "temp", "input")),
        ("temp12_crit_alarm", ("temp12", "temp", "crit_alarm")),
        ("pwm1", ("pwm1", "pwm", "")),
        ("temp", ("temp0", "temp", "")),
        ("update_interval", ("update_interval0", "update_interval", "")),
        ("name", None),
        ("uevent", None),
        ("device", None),
        ("tempting1_input", None),
    ],
)
def test_names_of_files(name: str, parts: tuple[str, str, str] | None) -> None:
    assert split_name(name) == parts


# As node_exporter 1.5 names them.
@pytest.mark.parametrize(
    ("kind", "element", "metric", "factor"),
    [
        ("temp", "input", "node_hwmon_temp_celsius", 1e-3),
        ("temp", "crit", "node_hwmon_temp_crit_celsius", 1e-3),
        ("temp", "alarm", "node_hwmon_temp_alarm", 1.0),
        ("temp", "type", "node_hwmon_temp_type", 1.0),
        ("in", "input", "node_hwmon_in_volts", 1e-3),
        ("in", "beep", "node_hwmon_in_beep_enabled", 1.0),
        ("curr", "input", "node_hwmon_curr_amps", 1e-3),
        ("power", "input", "node_hwmon_power_watt", 1e-6),
        ("power", "average", "node_hwmon_power_average_watt", 1e-6),
        ("power", "accuracy", "node_hwmon_power_accuracy", 1e-6),
        ("power", "average_interval", "node_hwmon_power_average_interval_seconds", 1e-3),
        ("energy", "input", "node_hwmon_energy_joule_total", 1e-6),
        ("humidity", "input", "node_hwmon_humidity", 1e-6),
        ("fan", "input", "node_hwmon_fan_rpm", 1.0),
        ("fan", "min_alarm", "node_hwmon_fan_min_alarm", 1.0),
        ("fan", "div", "node_hwmon_fan_div", 1.0),
        ("pwm", "", "node_hwmon_pwm", 1.0),
        ("pwm", "enable", "node_hwmon_pwm_enable", 1.0),
        ("update_interval", "", "node_hwmon_update_interval_seconds", 1e-3),
    ],
)
def test_names_of_metrics(kind: str, element: str, metric: str, factor: float) -> None:
    found, by = metric_of(kind, element, False)
    assert (found.name, by) == (metric, factor)


def test_clean() -> None:
    assert clean("NVMe Disk-0_") == "nvme_disk_0"


@pytest.mark.parametrize(
    ("life_time", "told"),
    [
        ("0x01 0x0b", {"a": 0.1, "b": 1.1}),
        ("0x00 0x02", {"b": 0.2}),  # 0: not defined
        ("0xff", {}),
        ("nonsense", {}),
    ],
)
def test_wear_of_a_card(tmp_path: Path, life_time: str, told: dict[str, float]) -> None:
    device = tmp_path / "class/block/mmcblk1/device"
    device.mkdir(parents=True)
    (device / "life_time").write_text(life_time + "\n")
    (device / "pre_eol_info").write_text("0x02\n")
    found = samples(MmcWear(Roots(sysfs=str(tmp_path))).collect())
    assert {key[2]: value for key, value in found.items() if "life" in key[0]} == told
    assert found["tierwatch_mmc_reserve_state", "mmcblk1"] == 2
