from __future__ import annotations

from pathlib import Path

import pytest

from exporters.sources.jetson_fan import Fan, read_fans
from exporters.sources.jetson_power import RailsUnreadable, find_channels, read_rails, total_watts


def write(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (folder / name).write_text(f"{value}\n")


def chip(sys: Path, address: str) -> Path:
    folder = sys / "bus/i2c/devices" / address
    write(folder, name="ina3221x" if address.startswith("6") else "ina3221")
    return folder


def test_hwmon_layout(tmp_path: Path) -> None:
    """A reading of an Orin Nano (public code search)."""
    monitor = chip(tmp_path, "1-0040") / "hwmon/hwmon4"
    write(monitor, in1_label="VDD_IN", in1_input=4968, curr1_input=1520)
    write(monitor, in2_label="VDD_CPU_GPU_CV", in2_input=4960, curr2_input=1784)
    write(monitor, in3_label="VDD_SOC", in3_input=4960, curr3_input=496)
    write(monitor, in7_label="sum of shunt voltages", in7_input=3800, curr7_input=1)
    write(tmp_path / "bus/i2c/devices/1-0050", name="at24")
    assert len(find_channels(tmp_path)) == 3
    rails = read_rails(tmp_path)
    assert rails == pytest.approx({"VDD_IN": 7.55136, "VDD_CPU_GPU_CV": 8.84864, "VDD_SOC": 2.46016})
    assert total_watts(rails) == rails["VDD_IN"]


def test_two_chips_and_channels_that_are_not_connected(tmp_path: Path) -> None:
    first = chip(tmp_path, "1-0040") / "hwmon/hwmon2"
    write(first, in1_label="VDD_GPU_SOC", in1_input=20000, curr1_input=160)
    write(first, in2_label="VIN_SYS_5V0", in2_input=5000, curr2_input=900)
    second = chip(tmp_path, "1-0041") / "hwmon/hwmon3"
    write(second, in1_label="NC", in1_input=0, curr1_input=0)
    write(second, in2_label="VDDQ_VDD2_1V8AO", in2_input=5000, curr2_input=100)
    rails = read_rails(tmp_path)
    assert rails == pytest.approx({"VDD_GPU_SOC": 3.2, "VIN_SYS_5V0": 4.5, "VDDQ_VDD2_1V8AO": 0.5})
    assert total_watts(rails) is None


def test_industrial_io_layout(tmp_path: Path) -> None:
    monitor = chip(tmp_path, "6-0040") / "iio:device0"
    write(monitor, rail_name_0="POM_5V_IN", in_power0_input=1750)
    write(monitor, rail_name_1="POM_5V_GPU", in_voltage1_input=5000, in_current1_input=8)
    write(monitor, rail_name_2="POM_5V_CPU", in_power2_input=366, in_voltage2_input=1, in_current2_input=1)
    rails = read_rails(tmp_path)
    assert rails == pytest.approx({"POM_5V_IN": 1.75, "POM_5V_GPU": 0.04, "POM_5V_CPU": 0.366})
    assert total_watts(rails) == 1.75


def test_a_rail_that_cannot_be_read_costs_itself(tmp_path: Path) -> None:
    monitor = chip(tmp_path, "1-0040") / "hwmon/hwmon4"
    write(monitor, in1_label="VDD_IN", in1_input=5000, curr1_input="")
    write(monitor, in2_label="VDD_SOC", in2_input=5000, curr2_input=100)
    assert read_rails(tmp_path) == {"VDD_SOC": 0.5}
    (monitor / "in2_input").unlink()
    with pytest.raises(RailsUnreadable, match="none of 2 power rails"):
        read_rails(tmp_path)


def test_a_board_without_monitor(tmp_path: Path) -> None:
    assert read_rails(tmp_path) == {}
    assert total_watts({}) is None


def test_fans(tmp_path: Path) -> None:
    assert read_fans(tmp_path) == []
    write(tmp_path / "class/hwmon/hwmon0", name="pwmfan", pwm1=51)
    write(tmp_path / "class/hwmon/hwmon1", name="pwm_tach", rpm=1850)
    write(tmp_path / "class/hwmon/hwmon2", name="cpu_thermal", temp1_input=40000)
    write(tmp_path / "class/hwmon/hwmon3", name="pwmfan", pwm1=999, fan1_input=2400)
    write(tmp_path / "devices/pwm-fan", cur_pwm=1)
    assert read_fans(tmp_path) == [
        Fan("pwmfan", 0.2, None),
        Fan("pwm_tach", None, 1850),
        Fan("hwmon3", None, 2400),
    ]


def test_fan_of_older_releases(tmp_path: Path) -> None:
    write(tmp_path / "devices/pwm-fan", cur_pwm=255, rpm_measured=4100)
    assert read_fans(tmp_path) == [Fan("pwm-fan", 1.0, 4100)]
