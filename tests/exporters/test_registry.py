from __future__ import annotations

from pathlib import Path

from exporters.registry import TABLE, build, unknown
from tests.exporters.support import settings


def test_every_collector_can_be_made(tmp_path: Path) -> None:
    made = build(settings("vm", str(tmp_path)))
    recorded_elsewhere = {name for name in TABLE if name.startswith(("jetson_", "nvidia_", "pi_", "replay"))}
    recorded_elsewhere |= {"containers", "events", "kernel_log", "ports", "services", "systemd"}
    assert set(made) == set(TABLE) - recorded_elsewhere


def test_the_textfile_collector_needs_a_folder() -> None:
    assert "textfile" not in build(settings("vm"))


def test_collectors_can_be_left_out() -> None:
    made = build(settings("vm"), {"cpu", "hwmon"})
    assert "cpu" not in made
    assert "meminfo" in made
    assert unknown({"cpu", "gpu", "abc"}) == ["abc", "gpu"]


def test_names_of_node_exporter_are_kept() -> None:
    """``node_scrape_collector_success{collector="..."}`` is used in rules."""
    assert {"cpu", "diskstats", "filesystem", "hwmon", "meminfo", "netdev", "textfile", "thermal_zone", "timex"} <= set(
        TABLE
    )
