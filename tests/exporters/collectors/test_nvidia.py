from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from exporters.collector import CollectorFailed, NoData
from exporters.collectors.board import BoardSensors
from exporters.collectors.jetson import JetsonSensors
from exporters.collectors.nvidia import NvidiaGpus, NvidiaSensors
from exporters.sources.board import Board, BoardPaths
from exporters.sources.nvml import GpuReading, NvmlSampler
from tests.exporters.collectors.test_jetson import by_name
from tests.exporters.sources.test_nvml import Library
from tests.exporters.support import FAR

CARD = GpuReading("Card", load=0.25, memory_used=1.0, memory_size=2.0, temperature=50.0, power=30.5, clock=1e9)


def collector(*answers: list[GpuReading] | str, ticks: int = 1) -> NvidiaGpus:
    library = Library(*answers)
    sampler = NvmlSampler(lambda: library)
    for second in range(ticks):
        sampler.tick(float(second))
    return NvidiaGpus(NvidiaSensors(sampler, clock=lambda: ticks - 1.0))


def test_each_card_tells_what_it_knows() -> None:
    found = by_name(collector([CARD, GpuReading("Other", temperature=40.0)]).collect())
    assert found == {
        "tierwatch_nvidia_gpu_info": {("0", "Card"): 1, ("1", "Other"): 1},
        "tierwatch_nvidia_gpu_utilization_ratio": {("0",): 0.25},
        "tierwatch_nvidia_gpu_utilization_max_ratio": {("0",): 0.25},
        "tierwatch_nvidia_gpu_busy_seconds_total": {("0",): 0},
        "tierwatch_nvidia_gpu_memory_used_bytes": {("0",): 1},
        "tierwatch_nvidia_gpu_memory_size_bytes": {("0",): 2},
        "tierwatch_nvidia_gpu_temperature_celsius": {("0",): 50, ("1",): 40},
        "tierwatch_nvidia_gpu_power_watts": {("0",): 30.5},
        "tierwatch_nvidia_gpu_frequency_hertz": {("0",): 1e9},
    }


def test_nothing_yet_is_silent_and_a_failure_is_loud() -> None:
    with pytest.raises(NoData):
        collector(ticks=0).collect()
    with pytest.raises(CollectorFailed, match="lost"):
        collector("the card is lost").collect()


def test_only_where_the_driver_is_and_the_board_is_no_jetson(tmp_path: Path) -> None:
    assert not BoardSensors(BoardPaths.below(tmp_path)).has("nvidia_gpu")
    (tmp_path / "proc/driver/nvidia/gpus").mkdir(parents=True)
    sensors = BoardSensors(BoardPaths.below(tmp_path))
    assert sensors.has("nvidia_gpu")
    assert isinstance(sensors.collector("nvidia_gpu"), NvidiaGpus)
    tree = tmp_path / "proc/device-tree"
    tree.mkdir()
    (tree / "compatible").write_bytes(b"nvidia,p3768\0nvidia,tegra234\0")
    assert not BoardSensors(BoardPaths.below(tmp_path)).has("nvidia_gpu"), "an Orin's own GPU would be told as idle"


class Gated:
    """A driver that hangs until it is let go."""

    def __init__(self) -> None:
        self.entered, self.go = threading.Event(), threading.Event()
        self.inside = False
        self.closed: list[bool] = []

    def read(self) -> Sequence[GpuReading]:
        self.inside = True
        self.entered.set()
        self.go.wait(FAR)
        self.inside = False
        return [CARD]

    def close(self) -> None:
        self.closed.append(self.inside)


@pytest.mark.parametrize("board", ["nvidia", "thor"])
def test_a_driver_is_not_let_go_of_while_something_hangs_in_it(
    tmp_path: Path, board: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporters.sources.board_sampling.STOP_SECONDS", 0.01)
    driver = Gated()
    sampler = NvmlSampler(lambda: driver)
    thor = Board("jetson", "Thor", "tegra264", "38.2")
    sensors = (
        NvidiaSensors(sampler)
        if board == "nvidia"
        else JetsonSensors(thor, BoardPaths.below(tmp_path), None, nvml=sampler)
    )
    sensors.start()
    assert driver.entered.wait(FAR)
    for _ in range(3):  # each collector of the board says that it is to stop
        sensors.stop()
    assert driver.closed == []
    driver.go.set()
    end = time.monotonic() + FAR
    while not driver.closed:
        assert time.monotonic() < end
        sensors.stop()
    assert driver.closed == [False]
