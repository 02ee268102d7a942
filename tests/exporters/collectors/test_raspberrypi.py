from __future__ import annotations

from pathlib import Path

import pytest

from exporters.collector import CollectorFailed, NoData
from exporters.collectors.raspberrypi import PiSensors
from exporters.sources.board import Board
from tests.exporters.collectors.test_jetson import Clock, by_name

PI5 = Board("raspberrypi", "Raspberry Pi 5 Model B Rev 1.0", "bcm2712")


@pytest.fixture
def alarm(tmp_path: Path) -> Path:
    folder = tmp_path / "class/hwmon/hwmon2"
    folder.mkdir(parents=True)
    (folder / "name").write_text("rpi_volt\n")
    (folder / "in0_lcrit_alarm").write_text("0\n")
    return folder / "in0_lcrit_alarm"


def test_alarm_and_its_rises(tmp_path: Path, alarm: Path) -> None:
    clock = Clock()
    sensors = PiSensors(PI5, tmp_path, None, clock=clock)
    for text in "0110":
        alarm.write_text(text)
        clock.now += 1
        sensors.voltage.tick(clock.now)
    assert by_name(sensors.collectors()["pi_voltage"].collect()) == {
        "tierwatch_pi_undervoltage": {(): 0},
        "tierwatch_pi_undervoltage_events_total": {(): 1},
    }
    clock.now += 6
    with pytest.raises(CollectorFailed, match="not read for seconds"):
        sensors.collectors()["pi_voltage"].collect()


def test_an_alarm_that_breaks_is_loud(tmp_path: Path, alarm: Path) -> None:
    alarm.write_text("?")
    sensors = PiSensors(PI5, tmp_path, None, clock=Clock())
    sensors.voltage.tick(0)
    with pytest.raises(CollectorFailed, match="in0_lcrit_alarm"):
        sensors.collectors()["pi_voltage"].collect()


def test_a_board_without_alarm_and_vcgencmd_is_silent(tmp_path: Path) -> None:
    sensors = PiSensors(PI5, tmp_path, None, clock=Clock())
    sensors.voltage.tick(0)
    sensors.throttle.tick(0)
    for collector in sensors.collectors().values():
        with pytest.raises(NoData):
            collector.collect()


def test_the_clock_alone_when_there_is_no_vcgencmd(tmp_path: Path) -> None:
    folder = tmp_path / "devices/system/cpu/cpu0/cpufreq"
    folder.mkdir(parents=True)
    (folder / "scaling_cur_freq").write_text("1500000\n")
    sensors = PiSensors(PI5, tmp_path, None, clock=Clock())
    sensors.throttle.tick(0)
    assert by_name(sensors.collectors()["pi_throttle"].collect()) == {"tierwatch_pi_arm_frequency_hertz": {(): 1.5e9}}


def test_the_old_kernel_attribute_when_it_says_something(tmp_path: Path) -> None:
    path = tmp_path / "devices/platform/soc/soc:firmware/get_throttled"
    path.parent.mkdir(parents=True)
    path.write_text("80008\n")
    sensors = PiSensors(PI5, tmp_path, ["/nowhere/vcgencmd"], clock=Clock())
    sensors.throttle.tick(0)
    told = by_name(sensors.collectors()["pi_throttle"].collect())
    limits = {
        ("under_voltage",): 0,
        ("frequency_capped",): 0,
        ("throttled",): 0,
        ("soft_temperature_limit",): 1,
    }
    assert told == {"tierwatch_pi_throttle_state": limits, "tierwatch_pi_throttle_since_boot": limits}
    path.write_text("0\n")
    sensors.throttle.tick(31)
    sensors.clock = lambda: 31.0
    with pytest.raises(CollectorFailed, match="cannot be started"):
        sensors.collectors()["pi_throttle"].collect()


def test_silent_on_another_board(tmp_path: Path, alarm: Path) -> None:
    sensors = PiSensors(Board("jetson"), tmp_path, None, clock=Clock())
    sensors.start()
    try:
        for collector in sensors.collectors().values():
            with pytest.raises(NoData):
                collector.collect()
        assert not sensors.voltage.seen
    finally:
        sensors.stop()
