"""Stories of a service and every message that its owner reads: rules, routes, inhibition and words as shipped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from alerting.rules.notation import samples
from tests.support.story import STEP_MS, Said, teller

NODE = 'node="AGX0",tier="2",board="jetson-agx-orin-64gb",job="node",instance="192.168.1.154:9191"'
STATE = 'tierwatch_service_state{{service="ollama",kind="ollama",state="{}",' + NODE + "}}"
PROBLEM = 'tierwatch_service_problem{service="ollama",kind="ollama",reason="connection refused",' + NODE + "}"
CONTAINER = '{name="ollama",service="ollama",' + NODE + "}"
DOWN, AGAIN = "DOWN Ollama (primary) on AGX0", "RESOLVED Ollama (primary) on AGX0"


def told(folder: Path, rules: list[str], series: Mapping[str, str], step_ms: int = STEP_MS) -> list[Said]:
    with teller(folder, rules) as story:
        return story.tell(series, step_ms)


def test_a_container_that_died_and_starts_slowly_is_down_until_its_service_answers(tmp_path: Path) -> None:
    """Dies at 10 s, called down by its probe at 70 s (its grace), started at 110 s, answers at 170 s."""
    said = told(
        tmp_path,
        ["container.yml", "probe.yml"],
        {
            f"tierwatch_container_wanted_up{CONTAINER}": "1x1 0x19 1x40",
            f"tierwatch_container_wanted_died{CONTAINER}": "0x1 1x19 0x40",
            f'tierwatch_container_exit_code{{name="ollama",{NODE}}}': "_x1 137x19 0x40",
            STATE.format("up"): "1x1 0x31 1x28",
            STATE.format("degraded"): "0x1 1x11 0x48",
            STATE.format("down"): "0x13 1x19 0x28",
            PROBLEM: "_x1 1x31 _x28",
        },
    )
    assert [(one.at, one.title) for one in said] == [(10.3, DOWN), (170.3, f"{AGAIN}, after 2m40s")]
    assert "back to normal" in said[1].body


def test_a_unit_that_failed_and_starts_slowly_is_down_until_its_service_answers(tmp_path: Path) -> None:
    unit = 'name="ollama.service",' + NODE
    said = told(
        tmp_path,
        ["systemd.yml", "probe.yml"],
        {
            f'tierwatch_systemd_unit_wanted{{service="ollama",{unit}}}': "1x60",
            f'node_systemd_unit_state{{state="failed",type="simple",{unit}}}': "0x1 1x19 0x40",
            f'node_systemd_unit_state{{state="active",type="simple",{unit}}}': "1x1 0x19 1x40",
            STATE.format("degraded"): "0x1 1x11 0x48",
            STATE.format("down"): "0x13 1x19 0x28",
            PROBLEM: "_x1 1x31 _x28",
        },
    )
    assert [(one.at, one.title) for one in said] == [(10.3, DOWN), (170.3, f"{AGAIN}, after 2m40s")]


def test_a_container_that_died_and_is_removed_and_made_anew_is_down_all_the_while(tmp_path: Path) -> None:
    """Dies at 10 s, is removed at 50 s, made anew at 200 s, answers at 215 s."""
    said = told(
        tmp_path,
        ["container.yml", "probe.yml"],
        {
            f"tierwatch_container_wanted_up{CONTAINER}": "1x1 0x37 1x20",
            f"tierwatch_container_wanted_died{CONTAINER}": "0x1 1x7 0x50",
            f'tierwatch_container_exit_code{{name="ollama",{NODE}}}': "_x1 1x7 stale",
            STATE.format("degraded"): "0x1 1x11 0x48",
            STATE.format("down"): "0x13 1x28 0x20",
            PROBLEM: "_x1 1x40 _x20",
        },
    )
    assert [(one.at, one.title) for one in said] == [(10.3, DOWN), (215.3, f"{AGAIN}, after 3m25s")]


# Long stories have a value each 15 seconds. Five minutes: in the first of them the service is away, for its restart; a
# service that may be away, as it has a grace, is called degraded then.
LONG_STEP_MS = 15_000
AWAY, THERE = "1 0x18", "0x19"


def flapping(degraded: str) -> dict[str, str]:
    """A service that only its probe sees, and that is back within its grace each time."""
    values = [int(value) for value in samples(degraded) if value is not None]
    return {
        STATE.format("up"): " ".join(str(1 - value) for value in values),
        STATE.format("degraded"): degraded,
        STATE.format("down"): f"0x{len(values) - 1}",
        PROBLEM: " ".join("1" if value else "stale" for value in values),
    }


def test_a_service_that_restarts_within_its_grace_for_an_hour_is_told_once_and_over_once(tmp_path: Path) -> None:
    said = told(tmp_path, ["probe.yml"], flapping(" ".join([AWAY] * 12 + [THERE] * 18)), LONG_STEP_MS)
    assert [one.title.partition(", after")[0] for one in said] == [
        "WARNING ServiceKeepsRestarting on AGX0/ollama",
        "RESOLVED ServiceKeepsRestarting on AGX0/ollama",
    ]
    assert 20 * 60 < said[0].at < 45 * 60
    assert "AGX0: ollama keeps restarting, since" in said[0].body


@pytest.mark.parametrize("story", [AWAY, " ".join(["0 1"] * 20)], ids=["one restart", "ten bad minutes"])
def test_what_is_over_soon_is_told_to_nobody(tmp_path: Path, story: str) -> None:
    assert told(tmp_path, ["probe.yml"], flapping(" ".join([THERE, story, *[THERE] * 8])), LONG_STEP_MS) == []
