from __future__ import annotations

import re
from pathlib import Path

import pytest

from exporters.catalog.board import BOARD_METRICS
from exporters.collector import NoData
from exporters.collectors.board import board_sensors
from tests.exporters.collectors.test_jetson import by_name

BOARDS = Path(__file__).parents[3] / "deploy/demo/boards"

NODES = {
    "PI51": ("Raspberry Pi 5 Model B Rev 1.0", "bcm2712", "", "raspberrypi"),
    "PI52": ("Raspberry Pi 5 Model B Rev 1.0", "bcm2712", "", "raspberrypi"),
    "PI41": ("Raspberry Pi 4 Model B Rev 1.5", "bcm2711", "", "raspberrypi"),
    "PI31": ("Raspberry Pi 3 Model B Rev 1.2", "bcm2837", "", "raspberrypi"),
    "AGX0": ("NVIDIA Jetson AGX Orin Developer Kit", "tegra234", "36.4.4", "jetson"),
    "ORIN0": ("NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super", "tegra234", "36.4.7", "jetson"),
    "NANO": ("NVIDIA Jetson Nano 2GB Developer Kit", "tegra210", "32.7.2", "jetson"),
}


@pytest.mark.parametrize("node", NODES)
def test_the_boards_of_the_demonstration_are_known(node: str) -> None:
    sensors = board_sensors(root=BOARDS / node)
    assert by_name(sensors.collectors["board"].collect()) == {"tierwatch_board_info": {NODES[node]: 1}}
    assert by_name(sensors.collectors["replay"].collect()) == {"tierwatch_exporter_replay_info": {("board",): 1}}


@pytest.mark.parametrize(("node", "rails", "total"), [("AGX0", 4, False), ("ORIN0", 3, True), ("NANO", 0, False)])
def test_power_of_the_demonstration_is_what_the_board_has(node: str, rails: int, total: bool) -> None:
    collector = board_sensors(root=BOARDS / node).collectors["jetson_power"]
    if not rails:
        with pytest.raises(NoData):
            collector.collect()
        return
    told = by_name(collector.collect())
    assert len(told["tierwatch_jetson_power_watts"]) == rails
    assert ("tierwatch_jetson_power_total_watts" in told) is total


def test_a_machine_that_is_no_board_is_silent(tmp_path: Path) -> None:
    sensors = board_sensors(root=tmp_path)
    sensors.start()
    try:
        for name, collector in sensors.collectors.items():
            if name != "replay":
                with pytest.raises(NoData):
                    collector.collect()
    finally:
        sensors.stop()


def test_this_machine_is_not_called_a_recording() -> None:
    assert "replay" not in board_sensors().collectors


def test_every_metric_is_named_once_and_as_the_field_does() -> None:
    names = [metric.name for metric in BOARD_METRICS]
    assert len(set(names)) == len(names)
    for metric in BOARD_METRICS:
        assert re.fullmatch(r"tierwatch_[a-z][a-z_]*[a-z]", metric.name)
        assert metric.help.endswith(".")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
