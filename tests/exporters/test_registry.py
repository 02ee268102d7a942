from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from exporters.registry import TABLE, build, unknown
from exporters.wanted import WantedService
from tests.exporters.support import settings


def test_every_collector_can_be_made(tmp_path: Path) -> None:
    made = build(settings("vm", str(tmp_path)))
    recorded_elsewhere = {name for name in TABLE if name.startswith(("jetson_", "nvidia_", "pi_", "replay"))}
    recorded_elsewhere |= {"containers", "events", "kernel_log", "ollama_log", "ports", "services", "systemd"}
    assert set(made) == set(TABLE) - recorded_elsewhere


def test_files_of_other_programs_speak_last() -> None:
    """Of two equal series on a page the first one stands: theirs must not stand for this node's."""
    assert list(TABLE)[-1] == "textfile"


def test_the_textfile_collector_needs_a_folder() -> None:
    assert "textfile" not in build(settings("vm"))


async def test_docker_is_asked_where_its_socket_is_or_a_container_is_wanted(tmp_path: Path) -> None:
    absent = replace(settings("vm"), docker_socket=str(tmp_path / "docker.sock"))
    assert "containers" not in build(absent)
    ends: list[Callable[[], None]] = []
    wanted = replace(absent, services=[WantedService("web", "http", container="web")], on_stop=ends.append)
    (tmp_path / "other.sock").touch()
    there = replace(absent, docker_socket=str(tmp_path / "other.sock"), on_stop=ends.append)
    try:
        assert "containers" in build(wanted)
        assert "containers" in build(there)
    finally:
        for end in ends:
            await asyncio.to_thread(end)


def test_a_node_without_docker_loads_nothing_of_it() -> None:
    names = "[name for name in sys.modules if 'docker' in name or 'cgroups' in name]"
    code = f"import sys, exporters.registry, exporters.app; print({names})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


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
