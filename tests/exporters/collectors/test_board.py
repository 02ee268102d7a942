from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from exporters.catalog.board import BOARD_METRICS
from exporters.collector import NoData
from exporters.collectors.board import COLLECTORS, BoardSensors
from exporters.sources.board import BoardPaths
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


def recorded(node: str) -> BoardSensors:
    return BoardSensors(BoardPaths.below(BOARDS / node), replayed=True)


@pytest.mark.parametrize("node", NODES)
def test_the_boards_of_the_demonstration_are_known(node: str) -> None:
    sensors = recorded(node)
    assert by_name(sensors.collector("board").collect()) == {"tierwatch_board_info": {NODES[node]: 1}}
    assert by_name(sensors.collector("replay").collect()) == {"tierwatch_exporter_replay_info": {("board",): 1}}


@pytest.mark.parametrize(("node", "rails", "total"), [("AGX0", 4, False), ("ORIN0", 3, True), ("NANO", 0, False)])
def test_power_of_the_demonstration_is_what_the_board_has(node: str, rails: int, total: bool) -> None:
    collector = recorded(node).collector("jetson_power")
    if not rails:
        with pytest.raises(NoData):
            collector.collect()
        return
    told = by_name(collector.collect())
    assert len(told["tierwatch_jetson_power_watts"]) == rails
    assert ("tierwatch_jetson_power_total_watts" in told) is total


@pytest.mark.parametrize("node", NODES)
def test_a_board_has_the_collectors_of_its_family(node: str) -> None:
    sensors = recorded(node)
    family = NODES[node][3]
    for name, owner in COLLECTORS.items():
        assert sensors.has(name) is (owner in (None, family))
        if sensors.has(name):
            assert sensors.collector(name) is sensors.collector(name)
        else:
            with pytest.raises(KeyError):
                sensors.collector(name)


def test_a_machine_that_is_no_board_is_silent(tmp_path: Path) -> None:
    sensors = BoardSensors(BoardPaths.below(tmp_path))
    sensors.start()
    try:
        assert [name for name in COLLECTORS if sensors.has(name)] == ["board"]
        with pytest.raises(NoData):
            sensors.collector("board").collect()
    finally:
        sensors.stop()


def test_sampling_is_begun_for_what_is_wanted_alone() -> None:
    before = set(threading.enumerate())
    ends: list[Callable[[], None]] = []
    sensors = recorded("PI51")
    try:
        sensors.started("board", ends.append)
        assert set(threading.enumerate()) == before
        voltage = sensors.started("pi_voltage", ends.append)
        assert {thread.name for thread in set(threading.enumerate()) - before} == {"pi-voltage"}
        deadline = time.monotonic() + 5
        while True:
            try:
                told = by_name(voltage.collect())
                break
            except NoData:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        assert told["tierwatch_pi_undervoltage"] == {(): 0}
    finally:
        for end in ends:
            end()
    assert set(threading.enumerate()) == before


def test_a_command_of_ones_own_is_a_replay(tmp_path: Path) -> None:
    assert not BoardSensors().has("replay")
    assert BoardSensors(BoardPaths.below(tmp_path), vcgencmd=["x"]).has("replay")
    assert BoardSensors(BoardPaths.below(tmp_path), tegrastats=["x"]).has("replay")


def test_every_metric_is_named_once_and_as_the_field_does() -> None:
    names = [metric.name for metric in BOARD_METRICS]
    assert len(set(names)) == len(names)
    for metric in BOARD_METRICS:
        assert re.fullmatch(r"tierwatch_[a-z][a-z_]*[a-z]", metric.name)
        assert metric.help.endswith(".")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
