"""What our reader makes of control groups of version 2, with every controller, in a kernel of its own.

Linux 6.1, which is what Raspberry Pi OS and Debian 12 run; on many machines Docker still has version 1.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.cgroup_guest import ALLOWED, REMEMBERED
from tests.support.user_mode_linux import run_in_own_kernel

pytestmark = pytest.mark.acceptance

Told = dict[str, Any]
CASES = ("burns", "burns_inside", "remembers", "writes", "threads", "forgets_itself")


def run(folder: Path, *kernel_options: str) -> Told:
    console = run_in_own_kernel("tests.acceptance.cgroup_guest", folder, *kernel_options)
    told = folder / "told.json"
    assert told.exists(), console
    found: Told = json.loads(told.read_text())
    return found


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    return run(tmp_path_factory.mktemp("kernel"))


def test_the_processors_time_is_what_the_process_counts(told: Told) -> None:
    for name in ("burns", "burns_inside"):
        case = told[name]
        assert case["usage"]["cpu"] == pytest.approx(case["own"], abs=0.1)
        assert case["usage"]["user"] + case["usage"]["system"] == pytest.approx(case["usage"]["cpu"], abs=1e-5)


def test_a_limited_one_is_throttled(told: Told) -> None:
    throttling = told["burns"]["usage"]["throttling"]
    assert 2 <= throttling["throttled"] <= throttling["periods"]
    assert throttling["seconds"] > 0.05
    assert told["burns_inside"]["usage"]["throttling"]["throttled"] == 0


def test_memory(told: Told) -> None:
    memory = told["remembers"]["usage"]["memory"]
    assert REMEMBERED <= memory["rss"] <= memory["usage"] < REMEMBERED + 4 * 2**20
    assert memory["working_set"] <= memory["usage"]
    assert memory["oom_kills"] == 0
    ended = told["forgets_itself"]["usage"]["memory"]
    assert ended["oom_kills"] == 1
    assert ended["usage"] < ALLOWED


def test_the_disk_by_its_name(told: Told) -> None:
    (number, blocks), *others = told["writes"]["usage"]["blocks"].items()
    assert (number, others, told["device"]) == ("98:0", [], "/dev/ubda")
    assert (blocks["read_bytes"], blocks["written_bytes"]) == (2 * 2**20, 4 * 2**20)
    assert blocks["reads"] >= 8
    assert blocks["writes"] >= 16
    assert told["threads"]["usage"]["blocks"] == {}


def test_threads_and_network(told: Told) -> None:
    assert told["threads"]["usage"]["threads"] == 7
    assert told["burns_inside"]["usage"]["threads"] == 1
    assert told["threads"]["traffic"].startswith("Inter-|")


def test_a_process_of_another_group_and_a_group_that_is_gone(told: Told) -> None:
    assert [told[name]["other"] for name in CASES] == [False] * len(CASES)
    assert [told[name]["gone"] for name in CASES] == [True] * len(CASES)


def test_a_kernel_that_does_not_count_memory(told: Told, tmp_path: Path) -> None:
    """As a Raspberry Pi's starts: the rest is counted, memory is missing, not nought."""
    assert told["memory_is_counted"] is True
    without = run(tmp_path, "cgroup_disable=memory")
    assert without["memory_is_counted"] is False
    for name in CASES:
        assert without[name]["usage"]["memory"] is None
        assert without[name]["usage"]["cpu"] >= 0
    assert without["threads"]["usage"]["threads"] == 7
    assert without["writes"]["usage"]["blocks"]["98:0"]["written_bytes"] == 4 * 2**20
