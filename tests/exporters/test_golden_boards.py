"""What each kind of board tells of its own hardware, byte for byte, and what promtool's lint says of it.

The boards are the recorded ones of the demonstration. UPDATE_GOLDEN=1 writes the pages anew."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from exporters.collector import Collector, Family, NoData
from exporters.collectors.board import BoardInfo, ReplayInfo
from exporters.collectors.hwmon import HardwareMonitors
from exporters.collectors.jetson import JetsonSensors
from exporters.collectors.raspberrypi import PiSensors
from exporters.collectors.thermal import ThermalZones
from exporters.exposition import Renderer
from exporters.sources.board import BoardPaths, identify
from exporters.sources.files import Roots
from tests.support.peers import need

ROOT = Path(__file__).resolve().parents[2]
BOARDS = ROOT / "deploy/demo/boards"
GOLDEN = ROOT / "tests/golden/boards"
NAMES = sorted(path.name for path in BOARDS.iterdir() if path.is_dir())
READ_AT = 3.0


def jetson(paths: BoardPaths, lines: Sequence[str]) -> dict[str, Collector]:
    """The collectors of a Jetson after two seconds, in each of which tegrastats said a line."""
    sensors = JetsonSensors(identify(paths), paths, ["tegrastats"], clock=lambda: READ_AT)
    assert sensors.child is not None
    for second, line in zip((1.0, 2.0), lines, strict=False):
        sensors.gpu.tick(second)
        assert sensors.child.take_line(line, second)
    return sensors.collectors()


def raspberrypi(paths: BoardPaths, answers: Path) -> dict[str, Collector]:
    """The collectors of a Raspberry Pi whose firmware was asked once."""
    sensors = PiSensors(identify(paths), paths.sys, ["cat", str(answers)], clock=lambda: READ_AT)
    sensors.voltage.tick(2.0)
    sensors.throttle.tick(2.0)
    return sensors.collectors()


def page(name: str, tmp_path: Path) -> str:
    root = BOARDS / name
    paths = BoardPaths.below(root)
    board = identify(paths)
    collectors: dict[str, Collector] = {"board": BoardInfo(board), "replay": ReplayInfo()}
    if board.family == "jetson":
        collectors |= jetson(paths, (root / "tegrastats.txt").read_text().splitlines())
    else:
        # vcgencmd is asked two questions; the recording has the first one's answer, the clock comes from sysfs
        answers = tmp_path / "answers"
        answers.write_text((root / "vcgencmd.txt").read_text())
        collectors |= raspberrypi(paths, answers)
    roots = replace(Roots(), sysfs=str(root / "sys"))
    collectors |= {"hwmon": HardwareMonitors(roots), "thermal_zone": ThermalZones(roots)}
    found: list[Family] = []
    for collector in collectors.values():
        try:
            found += collector.collect()
        except NoData:
            continue
    return Renderer().render(found).decode()


@pytest.mark.parametrize("name", NAMES)
def test_page(name: str, tmp_path: Path) -> None:
    told = page(name, tmp_path)
    golden = GOLDEN / f"{name}.prom"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(told)
    assert told == golden.read_text()


def test_every_kind_of_board_is_there() -> None:
    models = {identify(BoardPaths.below(BOARDS / name)).model.replace(" Engineering Reference", "") for name in NAMES}
    for kind in ("Pi 3", "Pi 4", "Pi 5", "Nano", "AGX Orin", "Orin Nano"):
        assert any(kind in model for model in models), f"{kind} is not among {models}"


@pytest.mark.parametrize("name", NAMES)
def test_promtool_has_nothing_to_say(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [need("promtool"), "check", "metrics"],
        input=page(name, tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
