from __future__ import annotations

import argparse
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from exporters import board_options, registry
from exporters.collectors.board import COLLECTORS
from exporters.collectors.own import Identity
from exporters.collectors.thermal import ThermalZones
from exporters.sources.files import Roots
from tests.exporters.collectors.test_jetson import by_name

AGX0 = Path(__file__).parents[2] / "deploy/demo/boards/AGX0"


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    board_options.add(parser)
    return parser.parse_args(words)


def test_without_options_the_machine_itself(tmp_path: Path) -> None:
    for place in ("host/proc/device-tree", "host/etc"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "host/proc/device-tree/compatible").write_bytes(b"nvidia,tegra210\0")
    (tmp_path / "host/etc/nv_tegra_release").write_text("# R32 (release), REVISION: 7.2, GCID: 1\n")
    roots = Roots(f"{tmp_path}/host/proc", f"{tmp_path}/host/sys", f"{tmp_path}/host")
    sensors = board_options.sensors(parsed(), roots)
    assert not sensors.replayed
    assert (sensors.board.soc, sensors.board.l4t) == ("tegra210", "32.7.2")


def test_a_recorded_board_and_its_programs() -> None:
    given = parsed("--path.board", str(AGX0), "--tegrastats", "python3 'a b.py' lines")
    sensors = board_options.sensors(given, Roots())
    assert given.tegrastats == ["python3", "a b.py", "lines"]
    assert sensors.replayed
    assert sensors.board.soc == "tegra234"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--path.board", "/nowhere"], "'/nowhere' is no folder"),
        (["--tegrastats", "'open"], "No closing quotation"),
        (["--vcgencmd", " "], "expected a program"),
    ],
)
def test_bad_options(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed(*words)
    assert message in capsys.readouterr().err


def test_the_registry_makes_what_the_recorded_board_has() -> None:
    ends: list[Callable[[], None]] = []
    settings = registry.Settings(
        identity=Identity("AGX0", "2", "jetson-agx-orin-64gb", "0", "3"),
        board=board_options.sensors(parsed("--path.board", str(AGX0)), Roots()),
        on_stop=ends.append,
    )
    table = {name: registry.TABLE[name] for name in COLLECTORS}
    before = set(threading.enumerate())
    try:
        made = registry.build(settings, disabled={"jetson_fan"}, table=table)
        jetson = {
            "jetson_gpu",
            "jetson_jtop",
            "jetson_power",
            "jetson_power_mode",
            "jetson_sources",
            "jetson_tegrastats",
        }
        assert set(made) == {"board", "replay", *jetson}
        begun = set(threading.enumerate()) - before
        assert len(begun) == 1, "the GPU is sampled; there is no tegrastats to run"
    finally:
        for end in ends:
            end()
    assert not begun & set(threading.enumerate())


def test_temperatures_are_the_recorded_boards() -> None:
    settings = registry.Settings(
        identity=Identity("AGX0", "2", "jetson-agx-orin-64gb", "0", "3"),
        board=board_options.sensors(parsed("--path.board", str(AGX0)), Roots()),
    )
    collector = registry.TABLE["thermal_zone"].factory(settings)
    assert isinstance(collector, ThermalZones)
    zones = by_name(collector.collect())["node_thermal_zone_temp"]
    assert zones[("0", "cpu-thermal")] == 47.906
