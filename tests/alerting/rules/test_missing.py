"""``on_missing``: what an alert does when its target does not answer any more."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from alerting.model.labels import Labels
from alerting.rules.manager import RuleManager
from tests.alerting.rules.world import World

A = {"job": "node", "instance": "a:1"}
B = {"job": "node", "instance": "b:1"}


def rules(mode: str, expr: str = "disk > 90", extra: str = "") -> str:
    return f"""
groups:
  - name: g
    rules:
      - alert: Full
        expr: {expr}
        labels: {{severity: high}}
        annotations: {{on_missing: {mode}}}
        {extra}
"""


class Story:
    """A cluster of two targets, seen every five seconds."""

    def __init__(self, folder: Path, text: str) -> None:
        self.world = World(folder)
        self.manager: RuleManager = self.world.manager(text)
        self.disk: dict[str, float | None] = {"a:1": 95.0, "b:1": 10.0}

    async def step(self, seconds: float = 5) -> dict[str, str]:
        """One scrape of both targets (None: it fails), and the rules; instances and their states."""
        self.world.clock.advance(seconds)
        for target in (A, B):
            value = self.disk[target["instance"]]
            self.world.put("up", 0 if value is None else 1, **target)
            if value is None:
                self.world.storage.source(target["instance"]).close(self.world.clock.now_ms())
            else:
                self.scraped(target, value)
        self.manager.evaluate_now(["disk", "up"])
        await self.manager.turn()
        return {alert.labels.get("instance"): alert.state for alert in self.manager.active()}

    def scraped(self, target: dict[str, str], value: float) -> None:

        writer = self.world.storage.source(target["instance"])
        writer.column(Labels.of({"__name__": "disk", **target}))
        writer.append(self.world.clock.now_ms(), np.array([value]))


@pytest.fixture
def hold(tmp_path: Path) -> Story:
    return Story(tmp_path, rules("hold"))


async def test_resolve_is_what_prometheus_does(tmp_path: Path) -> None:
    story = Story(tmp_path, rules("resolve"))
    assert await story.step() == {"a:1": "firing"}
    story.disk["a:1"] = None
    assert await story.step() == {}


async def test_hold_keeps_firing_while_the_target_is_away(hold: Story) -> None:
    assert await hold.step() == {"a:1": "firing"}
    hold.disk["a:1"] = None
    for _ in range(3):
        assert await hold.step() == {"a:1": "firing"}
    for _ in range(60):
        assert await hold.step(200) == {"a:1": "firing"}
    hold.disk["a:1"] = 96.0
    assert await hold.step() == {"a:1": "firing"}
    assert all(heard == ["Full firing"] for _, heard in hold.world.listener.heard)
    hold.disk["a:1"] = 50.0
    assert await hold.step() == {}
    assert hold.world.listener.heard[-1][1] == ["Full resolved"]


async def test_hold_is_about_the_alerts_own_target(hold: Story) -> None:
    assert await hold.step() == {"a:1": "firing"}
    hold.disk.update({"a:1": 50.0, "b:1": None})
    assert await hold.step() == {}


async def test_a_held_pending_alert_waits_without_firing(tmp_path: Path) -> None:
    story = Story(tmp_path, rules("hold", extra="for: 10s"))
    assert await story.step() == {"a:1": "pending"}
    story.disk["a:1"] = None
    for _ in range(5):
        assert await story.step() == {"a:1": "pending"}
    story.disk["a:1"] = 95.0
    assert await story.step() == {"a:1": "firing"}


async def test_a_rule_that_reads_up_itself_is_never_held(tmp_path: Path) -> None:
    story = Story(tmp_path, rules("hold", "up == 1 and on(instance) disk > 90"))
    assert await story.step() == {"a:1": "firing"}
    story.disk["a:1"] = None
    assert await story.step() == {}


async def test_an_alert_over_all_targets_is_held_when_one_is_away(tmp_path: Path) -> None:
    story = Story(tmp_path, rules("hold", "sum(disk) > 100"))
    assert await story.step() == {"": "firing"}
    story.disk["a:1"] = None
    assert await story.step() == {"": "firing"}, "the sum is not known"
    story.disk["a:1"] = 20.0
    assert await story.step() == {}


async def test_a_lost_target_that_the_rule_never_read_holds_nothing(hold: Story) -> None:
    assert await hold.step() == {"a:1": "firing"}
    hold.world.put("up", 0, job="router", instance="r:1")
    hold.disk["a:1"] = 50.0
    assert await hold.step() == {}


async def test_a_target_that_was_removed_is_forgotten_after_an_hour(hold: Story) -> None:
    assert await hold.step() == {"a:1": "firing"}
    hold.world.storage.source("a:1").close(hold.world.clock.now_ms() + 1)
    hold.world.clock.advance(1800)
    hold.manager.evaluate_now(["disk"])
    await hold.manager.turn()
    assert len(hold.manager.active()) == 1
    hold.world.clock.advance(1801)
    hold.manager.evaluate_now(["disk"])
    await hold.manager.turn()
    assert hold.manager.active() == []


async def test_fire_makes_an_alert_of_a_target_that_is_away(tmp_path: Path) -> None:
    story = Story(tmp_path, rules("fire", extra="for: 10s"))
    assert await story.step() == {"a:1": "pending"}
    story.disk["b:1"] = None
    assert await story.step() == {"a:1": "pending", "b:1": "pending"}
    assert await story.step() == {"a:1": "firing", "b:1": "pending"}
    assert await story.step() == {"a:1": "firing", "b:1": "firing"}
    away = next(alert for alert in story.manager.active() if alert.labels.get("instance") == "b:1")
    assert math.isnan(away.value)
    assert away.labels == Labels.of({"alertname": "Full", "severity": "high", **B})
    story.disk["b:1"] = 10.0
    assert await story.step() == {"a:1": "firing"}


async def test_fire_lets_a_pending_alert_go_on(tmp_path: Path) -> None:
    story = Story(tmp_path, rules("fire", extra="for: 10s"))
    assert await story.step() == {"a:1": "pending"}
    story.disk["a:1"] = None
    assert await story.step() == {"a:1": "pending"}
    assert await story.step() == {"a:1": "firing"}
    (alert,) = story.manager.active()
    assert alert.value == 95.0
