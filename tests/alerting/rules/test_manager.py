"""Groups at work: slots, early evaluation, order, reload, restart, and a store or a query that fails."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from alerting.model.alert import Alert
from alerting.model.labels import Labels
from alerting.model.series import is_stale
from alerting.promql.errors import QueryTimeout
from alerting.promql.nodes import Expr
from alerting.promql.parse import parse
from alerting.rules.group import RING_SIZE, RunningGroup
from alerting.rules.manager import LEARNING_LIMIT_MS, NOTE_EVERY_MS, SETTLE_MS, RuleManager
from alerting.rules.state_store import MemoryStateStore, SqliteStateStore, StoredStates
from alerting.storage.ports import StorageError
from tests.alerting.rules.world import Listener, World

RULES = """
groups:
  - name: g
    rules:
      - {record: twice, expr: 2 * load}
      - alert: Busy
        expr: twice > 10
        labels: {severity: warning}
        annotations: {text: "{{ $labels.node }} {{ $value }}"}
      - {alert: Slow, expr: twice > 10, for: 20s}
      - {alert: Down, expr: up == 0}
"""
BUSY = RULES[RULES.index("      - alert: Busy") : RULES.index("      - {alert: Slow")]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def states(alerts: Sequence[Alert]) -> dict[str, str]:
    return {alert.name: alert.state for alert in alerts}


async def test_rules_of_a_group_see_what_the_ones_before_wrote(world: World) -> None:
    world.put("load", 6, node="a")
    manager = world.manager(RULES)
    await manager.turn()
    assert world.last("twice") == {Labels.of({"node": "a"}): 12.0}
    assert states(manager.active()) == {"Busy": "firing", "Slow": "pending"}
    busy = next(alert for alert in manager.active() if alert.name == "Busy")
    assert (busy.labels.get("severity"), busy.annotations) == ("warning", {"text": "a 12"})
    assert world.listener.heard == [(world.clock.now_ms(), ["Busy firing"])]
    name = Labels.of({"alertname": "Slow", "node": "a"})
    assert world.last("ALERTS_FOR_STATE")[name] == world.clock.now_ms() // 1000
    assert world.last("ALERTS")[name.replace(alertstate="pending")] == 1.0


async def test_a_group_is_due_once_in_each_slot(world: World) -> None:
    manager = world.manager(RULES)
    group = RunningGroup(world.groups(RULES)[0], world.around)
    seen = set()
    for _ in range(44):
        seen.add(group.slot(world.clock.now_ms()))
        await manager.turn()
        world.clock.advance(0.5)
    assert len(seen) in (5, 6)
    assert manager.stats.evaluations == 4 * len(seen)
    assert manager.stats.missed == 0
    slots = [group.slot(time) for time in range(world.clock.now_ms(), world.clock.now_ms() + 10_000, 100)]
    assert len(set(slots)) == 3
    assert {slot % 5_000 for slot in slots} == {slots[0] % 5_000}
    assert group.slot(slots[0]) == slots[0]


async def test_slots_that_were_missed_are_counted_not_made_up_for(world: World) -> None:
    manager = world.manager(RULES)
    await manager.turn()
    world.clock.advance(20)
    await manager.turn()
    assert (manager.stats.evaluations, manager.stats.missed) == (8, 3)


async def test_a_clock_that_goes_back_does_not_stop_the_rules(world: World) -> None:
    manager = world.manager(RULES)
    world.put("load", 6, node="a")
    await manager.turn()
    world.clock.advance(-3600)
    world.put("up", 0, node="b")
    world.clock.advance(5)
    await manager.turn()
    assert states(manager.active())["Down"] == "firing"
    assert manager.stats.refused == 3, "the store refuses frames of the past: the record, and two alerts' series"


async def test_after_a_jump_of_the_clock_rules_wait_for_fresh_data(world: World) -> None:
    passed = [0.0]
    around = dataclasses.replace(world.around, monotonic=lambda: passed[0])
    manager = world.manager(RULES, around=around)
    world.put("load", 6, node="a")
    await manager.turn()
    world.clock.advance(7200)
    passed[0] += 1
    await manager.turn()
    assert manager.learning
    assert states(manager.active()) == {"Busy": "firing", "Slow": "pending"}
    world.clock.advance(SETTLE_MS / 1000)
    passed[0] += SETTLE_MS / 1000
    await manager.turn()
    assert states(manager.active()) == {}


@pytest.mark.parametrize("leap_s", [86400 * 365, -86400 * 365])
async def test_a_jump_in_the_middle_of_a_turn_ends_nothing_either(world: World, leap_s: int) -> None:
    passed = [0.0]
    leaps = [0]

    def evaluate(expr: Expr, time_ms: int) -> Sequence[tuple[Labels, float]]:
        found = world.around.evaluate(expr, time_ms)
        world.clock.advance(leaps[0])
        leaps[0] = 0
        return found

    text = "groups:\n" + "".join(f"  - {{name: g{n}, rules: [{{alert: A{n}, expr: load > 5}}]}}\n" for n in range(4))
    manager = world.manager(
        text, around=dataclasses.replace(world.around, evaluate=evaluate, monotonic=lambda: passed[0])
    )
    world.put("load", 6, node="a")
    await manager.turn()
    firing = {f"A{n}": "firing" for n in range(4)}
    assert states(manager.active()) == firing
    heard = len(world.listener.heard)
    leaps[0] = leap_s
    world.clock.advance(5)
    passed[0] += 5
    await manager.turn()
    assert manager.learning
    assert states(manager.active()) == firing
    assert all(alert.active_ms <= world.clock.now_ms() for alert in manager.active())
    assert not any(name.endswith("resolved") for _, names in world.listener.heard[heard:] for name in names)


async def test_groups_are_spread_over_the_interval(world: World) -> None:
    text = "groups:\n" + "".join(f"  - {{name: g{n}}}\n" for n in range(40))
    around = dataclasses.replace(world.around, default_interval_ms=30_000)
    slots = [RunningGroup(group, around).slot(30_000_000) for group in world.groups(text)]
    assert set(slots) == {30_000_000 - back for back in range(0, 30_000, 5000)}
    assert max(slots.count(slot) for slot in slots) < 15


async def test_groups_of_a_short_interval_run_together(world: World) -> None:
    text = "groups:\n" + "".join(f"  - {{name: g{n}}}\n" for n in range(40))
    assert {RunningGroup(group, world.around).slot(10**12 + 4999) for group in world.groups(text)} == {10**12}


async def test_groups_of_one_place_make_one_trip_and_each_is_told(world: World) -> None:
    text = "groups:\n" + "".join(
        f"  - {{name: g{n}, rules: [{{alert: A{n}, expr: load > 5}}, {{alert: B{n}, expr: up == 0}}]}}\n"
        for n in range(4)
    )
    world.put("load", 6, node="a")
    manager = world.manager(text)
    order: list[str] = []

    class Asking(Listener):
        def update(self, alerts: Sequence[Alert], now_ms: int) -> None:
            super().update(alerts, now_ms)
            order.append(alerts[0].name)

    manager._sink = Asking()
    await manager.turn()
    assert order == ["A0", "A1", "A2", "A3"]
    world.put("up", 0, node="a")
    manager.evaluate_now(["up"])
    order.clear()
    world.clock.advance(5)
    world.put("load", 6, node="a")
    await manager.turn()
    assert manager.stats.evaluations == 8 + 4 + 8
    assert manager.stats.early == 4
    assert len(order) == 8
    assert [alert.state for alert in manager.active()] == ["firing"] * 8


async def test_what_is_asked_for_meanwhile_goes_before_the_groups_that_wait(world: World) -> None:
    read: list[str] = []

    def evaluate(expr: Expr, time_ms: int) -> Sequence[tuple[Labels, float]]:
        if not read:
            manager._early.add("up")
        read.append("up" if expr == parse("up == 0") else "load")
        return world.around.evaluate(expr, time_ms)

    one = "{name: g%d, rules: [{alert: A%d, expr: load > 5}, {alert: B%d, expr: up == 0}]}"
    text = f"groups: [{', '.join(one % (number, number, number) for number in range(3))}]"
    manager = world.manager(text, around=dataclasses.replace(world.around, evaluate=evaluate))
    await manager.turn()
    assert read == ["load", "up", *(["up"] * 3), *(["load", "up"] * 2)]


async def test_what_is_asked_for_all_the_time_does_not_keep_the_others_waiting(world: World) -> None:
    read: list[str] = []

    def evaluate(expr: Expr, time_ms: int) -> Sequence[tuple[Labels, float]]:
        if len(read) < 200:
            manager._early.add("up")
        read.append("up" if expr == parse("up == 0") else "load")
        return world.around.evaluate(expr, time_ms)

    one = "{name: g%d, rules: [{alert: A%d, expr: load > 5}, {alert: B%d, expr: up == 0}]}"
    text = f"groups: [{', '.join(one % (number, number, number) for number in range(3))}]"
    manager = world.manager(text, around=dataclasses.replace(world.around, evaluate=evaluate))
    await manager.turn()
    assert read.count("load") == 3
    assert [place for place, what in enumerate(read) if what == "load"][-1] < 20


async def test_a_stop_waits_for_the_group_that_runs_and_for_no_other(world: World) -> None:
    read: list[Expr] = []

    def evaluate(expr: Expr, time_ms: int) -> Sequence[tuple[Labels, float]]:
        if not read:
            loop.call_soon_threadsafe(task.cancel)
        read.append(expr)
        manager._early.add("load")  # it never runs out of work
        while not manager._stopping:
            time.sleep(0.001)
        return world.around.evaluate(expr, time_ms)

    loop = asyncio.get_running_loop()
    world.put("load", 6, node="a")
    text = "groups:\n" + "".join(f"  - {{name: g{n}, rules: [{{alert: A{n}, expr: load > 5}}]}}\n" for n in range(4))
    manager = world.manager(text, around=dataclasses.replace(world.around, evaluate=evaluate))
    task = loop.create_task(manager.run())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(read) == 1
    assert world.listener.heard == [(world.clock.now_ms(), ["A0 firing"])]
    assert [len(alerts) for alerts in world.store.load().alerts.values()] == [1]


async def test_an_alert_fires_when_its_time_is_over_not_at_the_groups_next_time(world: World) -> None:
    manager = world.manager("groups: [{name: g, rules: [{alert: Down, expr: up == 0, for: 7s}, {alert: X, expr: up}]}]")
    await manager.turn()
    world.clock.advance(1.25)
    world.put("up", 0, node="a")
    manager.evaluate_now(["up"])
    await manager.turn()
    (alert,) = [alert for alert in manager.active() if alert.name == "Down"]
    assert (alert.state, alert.active_ms) == ("pending", world.clock.now_ms())
    world.clock.advance(6.999)
    await manager.turn()
    before = manager.stats.evaluations
    assert states(manager.active())["Down"] == "pending"
    assert manager._until_due() == pytest.approx(0.001)
    world.clock.advance(0.001)
    await manager.turn()
    assert states(manager.active())["Down"] == "firing"
    assert manager.stats.evaluations == before + 1, "only the rule whose time was over"
    assert world.listener.heard[-1][0] == alert.active_ms + 7000
    await manager.turn()
    assert manager.stats.evaluations == before + 1


async def test_an_alert_resolves_when_it_was_kept_firing_long_enough(world: World) -> None:
    text = "groups: [{name: g, rules: [{alert: Down, expr: up == 0, keep_firing_for: 7s}]}]"
    world.put("up", 0, node="a")
    manager = world.manager(text)
    await manager.turn()
    world.clock.advance(0.5)
    world.put("up", 1, node="a")
    manager.evaluate_now(["up"])
    await manager.turn()
    since = world.clock.now_ms()
    world.clock.advance(6.9)
    await manager.turn()
    assert states(manager.active()) == {"Down": "firing"}
    world.clock.advance(0.1)
    await manager.turn()
    assert (world.listener.heard[-1]) == (since + 7000, ["Down resolved"])


@pytest.mark.parametrize("trouble", ["learning", "failing"])
async def test_a_time_that_is_over_and_changes_nothing_is_not_tried_again_and_again(world: World, trouble: str) -> None:
    fails: list[bool] = []

    def evaluate(expr: Expr, time_ms: int) -> Sequence[tuple[Labels, float]]:
        if fails:
            raise QueryTimeout("too slow")
        return world.around.evaluate(expr, time_ms)

    text = "groups: [{name: g, rules: [{alert: Down, expr: up == 0, for: 2s}]}]"
    world.put("up", 0, node="a")
    around = dataclasses.replace(world.around, evaluate=evaluate)
    manager = world.manager(text, around=around, ready=lambda _: trouble != "learning")
    await manager.turn()
    if trouble == "failing":
        fails.append(True)
    world.clock.advance(2)
    for _ in range(5):
        await manager.turn()
        world.clock.advance(0.01)
    assert manager.stats.evaluations in (2, 3), "the first, the one at the end, perhaps the group's own"
    assert manager._until_due() > 0.5


async def test_a_change_of_a_series_evaluates_only_the_rules_that_read_it(world: World) -> None:
    manager = world.manager(RULES)
    await manager.turn()
    manager.evaluate_now(["up"])
    world.clock.advance(0.1)
    world.put("up", 0, node="a")
    await manager.turn()
    assert (manager.stats.evaluations, manager.stats.early) == (5, 1)
    assert world.listener.heard == [(world.clock.now_ms(), ["Down firing"])]
    manager.evaluate_now(["load", "nothing"])
    world.clock.advance(0.1)
    await manager.turn()
    assert (manager.stats.evaluations, manager.stats.early) == (8, 4), "the record, and the two alerts that read it"
    manager.evaluate_now(["nothing"])
    await manager.turn()
    assert manager.stats.evaluations == 8


async def test_a_slot_just_before_an_early_evaluation_does_not_go_back_in_time(world: World) -> None:
    world.put("load", 6, node="a")
    manager = world.manager(RULES)
    await manager.turn()
    for _ in range(30):
        world.clock.advance(0.7)
        manager.evaluate_now(["load"])
        await manager.turn()
    assert manager.stats.refused == 0
    for rule in manager.groups()[0].rules[:3]:
        times = [one.at_ms for one in rule.history]
        assert times == sorted(set(times))


async def test_run_wakes_up_for_an_early_evaluation(world: World) -> None:
    manager = world.manager(RULES)
    task = asyncio.get_running_loop().create_task(manager.run())
    try:
        async with asyncio.timeout(60):
            while manager.stats.evaluations < 4:  # noqa: ASYNC110 - the manager tells nobody
                await asyncio.sleep(0.001)
            world.put("up", 0, node="a")
            manager.evaluate_now(["up"])
            while not world.listener.heard:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert world.listener.heard[0][1] == ["Down firing"]


async def test_a_query_that_fails_keeps_every_state_and_every_series(world: World) -> None:
    broken: list[Exception] = []

    def evaluate(expr: Expr, time_ms: int) -> Sequence[tuple[Labels, float]]:
        if broken:
            raise broken[-1]
        return world.around.evaluate(expr, time_ms)

    manager = world.manager(RULES, around=dataclasses.replace(world.around, evaluate=evaluate))
    world.put("load", 6, node="a")
    await manager.turn()
    before = manager.active()
    for error in (QueryTimeout("too slow"), RuntimeError("a fault")):
        broken.append(error)
        world.clock.advance(5)
        await manager.turn()
        assert manager.active() == before
    assert manager.stats.failures == 8
    assert world.listener.heard[-1][1] == ["Busy firing"]
    assert not any(math.isnan(value) for value in world.last("ALERTS").values())
    view = manager.groups()[0].rules[1]
    assert (view.health, view.last_error) == ("err", "internal error: RuntimeError: a fault")
    assert [one.error for one in view.history] == ["", "too slow", "internal error: RuntimeError: a fault"]
    broken.clear()
    world.clock.advance(300)
    await manager.turn()
    assert world.listener.heard[-1][1] == ["Busy resolved"]


async def test_series_of_an_alert_that_ended_get_the_staleness_marker(world: World) -> None:
    manager = world.manager(RULES)
    world.put("load", 6, node="a")
    await manager.turn()
    world.clock.advance(1)
    world.put("load", 1, node="a")
    world.clock.advance(5)
    await manager.turn()
    ended = [value for labels, value in world.last("ALERTS").items() if labels.get("alertname") == "Busy"]
    assert len(ended) == 1
    assert is_stale(np.array(ended)).all()


async def test_the_view_has_what_the_api_shows(world: World) -> None:
    manager = world.manager(RULES)
    world.put("load", 6, node="a")
    for _ in range(RING_SIZE + 5):
        await manager.turn()
        world.clock.advance(5)
    (group,) = manager.groups()
    assert (group.name, group.interval, group.limit) == ("g", 5.0, 0)
    assert group.file == str(world.folder / "r.yml")
    record, busy, slow, down = group.rules
    assert (record.type, record.name, record.query, record.health) == ("recording", "twice", "2 * load", "ok")
    assert (busy.type, busy.state, busy.labels) == ("alerting", "firing", {"severity": "warning"})
    assert busy.annotations == {"text": "{{ $labels.node }} {{ $value }}"}
    assert (slow.duration, slow.state, len(slow.alerts)) == (20.0, "firing", 1)
    assert (down.state, down.alerts, down.line) == ("inactive", (), 11)
    assert len(busy.history) == RING_SIZE
    assert busy.history[-1].samples == 1
    assert busy.last_evaluation_ms == group.last_evaluation_ms


async def test_reload_keeps_states_and_ends_what_is_gone(world: World) -> None:
    manager = world.manager(RULES)
    world.put("load", 6, node="a")
    await manager.turn()
    since = manager.active()[1].active_ms
    shorter = RULES.replace("twice > 10, for: 20s", "twice > 8, for: 1m")
    shorter = shorter.replace(BUSY, "")
    manager.reload(world.groups(shorter))
    assert world.listener.heard[-1][1] == ["Busy resolved"]
    assert states(manager.active()) == {"Slow": "pending"}
    assert manager.active()[0].active_ms == since
    assert [math.isnan(v) for k, v in world.last("ALERTS").items() if k.get("alertname") == "Busy"] == [True]
    world.clock.advance(60)
    world.put("load", 6, node="a")
    world.clock.advance(5)
    await manager.turn()
    assert states(manager.active()) == {"Slow": "firing"}
    assert manager.active()[0].active_ms == since


async def test_reload_may_change_what_all_rules_share(world: World) -> None:
    text = RULES.replace("$labels.node", "$externalLabels.site")
    manager = world.manager(text)
    around = dataclasses.replace(world.around, external_labels={"site": "away"}, default_interval_ms=60_000)
    manager.reload(world.groups(text), around)
    world.put("load", 6, node="a")
    await manager.turn()
    assert next(alert for alert in manager.active() if alert.name == "Busy").annotations == {"text": "away 12"}
    assert manager.groups()[0].interval == 60.0


async def test_a_reload_during_an_evaluation_waits_for_its_end(world: World) -> None:
    class Reloading(Listener):
        def update(self, alerts: Sequence[Alert], now_ms: int) -> None:
            super().update(alerts, now_ms)
            if not self.told:
                self.told = True
                manager.reload(world.groups(RULES.replace(BUSY, "")))
                assert len(manager.groups()[0].rules) == 4

        told = False

    world.listener = Reloading()
    manager = world.manager(RULES)
    world.put("load", 6, node="a")
    await manager.turn()
    assert len(manager.groups()[0].rules) == 3
    assert world.listener.heard[-1][1] == ["Busy resolved"]


async def test_restart_goes_on_with_pending_and_firing(world: World) -> None:
    world.put("load", 6, node="a")
    first = world.manager(RULES)
    await first.turn()
    since = {alert.name: alert.active_ms for alert in first.active()}
    world.clock.advance(20)
    world.put("load", 6, node="a")
    second = world.manager(RULES)
    assert states(second.active()) == {"Busy": "firing", "Slow": "pending"}
    await second.turn()
    assert states(second.active()) == {"Busy": "firing", "Slow": "firing"}, "`for` went on"
    assert {alert.name: alert.active_ms for alert in second.active()} == since
    assert world.listener.heard[-1][1] == ["Busy firing", "Slow firing"]


async def test_nothing_resolves_after_a_restart_until_the_sources_are_back(world: World) -> None:
    world.put("load", 6, node="a")
    await world.manager(RULES).turn()
    world.clock.advance(1800)
    ready: list[bool] = []
    second = world.manager(RULES, ready=lambda _: bool(ready))
    world.put("up", 0, node="a")
    await second.turn()
    assert second.learning is True
    assert states(second.active()) == {"Busy": "firing", "Slow": "pending", "Down": "pending"}
    ready.append(True)
    world.clock.advance(5)
    await second.turn()
    assert states(second.active()) == {"Down": "firing"}
    assert world.listener.heard[-1][1] == ["Busy resolved", "Down firing"]


async def test_sources_that_never_come_back_are_not_waited_for_for_ever(world: World) -> None:
    manager = world.manager(RULES, ready=lambda _: False)
    world.put("up", 0, node="a")
    await manager.turn()
    assert states(manager.active()) == {"Down": "pending"}
    world.clock.advance(LEARNING_LIMIT_MS / 1000)
    world.put("up", 0, node="a")
    await manager.turn()
    assert states(manager.active()) == {"Down": "firing"}


async def test_alerts_of_rules_that_went_while_the_program_was_off_are_resolved(world: World) -> None:
    world.put("load", 6, node="a")
    await world.manager(RULES).turn()
    second = world.manager(RULES.replace(BUSY, ""))
    await second.turn()
    assert world.listener.heard[-1][1] == ["Busy resolved"]
    assert not any("Busy" in rule for rule in world.store.load().alerts)


class FailingStore(MemoryStateStore):
    def __init__(self) -> None:
        super().__init__()
        self.fails = True
        self.notes = 0

    def save(self, states: Mapping[str, Sequence[Alert]], now_ms: int) -> None:
        if self.fails:
            raise StorageError("disk full")
        super().save(states, now_ms)

    def note(self, now_ms: int) -> None:
        self.notes += 1
        super().note(now_ms)


async def test_a_state_store_that_fails_costs_no_alert_and_is_tried_again(tmp_path: Path) -> None:
    store = FailingStore()
    world = World(tmp_path, store=store)
    world.put("load", 6, node="a")
    manager = world.manager(RULES)
    await manager.turn()
    assert world.listener.heard[-1][1] == ["Busy firing"]
    assert manager.stats.store_errors == 1
    store.fails = False
    world.clock.advance(5)
    await manager.turn()
    assert manager.stats.store_errors == 1
    assert len(store.load().alerts) == 2


async def test_the_store_is_written_only_when_something_changed_or_once_a_minute(tmp_path: Path) -> None:
    store = FailingStore()
    store.fails = False
    world = World(tmp_path, store=store)
    manager = world.manager(RULES)
    for _ in range(2 * NOTE_EVERY_MS // 5000):
        world.put("load", 6, node="a")
        await manager.turn()
        world.clock.advance(5)
    assert store.notes == 1


async def test_a_damaged_or_missing_store_is_no_reason_not_to_watch(tmp_path: Path) -> None:
    class Broken(MemoryStateStore):
        def load(self) -> StoredStates:
            raise StorageError("broken")

    world = World(tmp_path, store=Broken())
    world.put("load", 6, node="a")
    manager = world.manager(RULES)
    await manager.turn()
    assert states(manager.active())["Busy"] == "firing"


def test_states_survive_in_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "alerts.db"
    pending = Alert(Labels.of({"alertname": "A", "q": 'ä"\n'}), {"t": "", "u": "ö"}, "pending", math.inf, 1)
    firing = Alert(Labels.of({"alertname": "B"}), {}, "firing", 0.1, 1, 2, None, 5)
    ended = Alert(Labels.of({"alertname": "B", "n": "1"}), {}, "resolved", -1.5, 1, 2, 3)
    store = SqliteStateStore(path, 0)
    assert (store.load().alerts, store.load().seen_ms) == ({}, None)
    store.save({"one": [pending], "two": [firing, ended]}, 10)
    store.note(12)
    store.close()
    again = SqliteStateStore(path, 0)
    assert again.load().alerts == {"one": (pending,), "two": (ended, firing)}
    assert again.load().seen_ms == 12
    again.save({"one": [], "two": [firing]}, 20)
    assert (again.load().alerts, again.load().seen_ms) == ({"two": (firing,)}, 20)
    again.save({"three": [dataclasses.replace(pending, value=math.nan)]}, 21)
    assert math.isnan(again.load().alerts["three"][0].value)
    again.close()


def test_two_alerts_of_one_rule_with_the_same_labels_are_refused_whole(tmp_path: Path) -> None:
    store = SqliteStateStore(tmp_path / "alerts.db", 0)
    alert = Alert(Labels.of({"alertname": "A"}), {}, "firing", 1.0, 1, 2)
    store.save({"one": [alert]}, 10)
    with pytest.raises(StorageError):
        store.save({"one": [], "two": [alert, alert]}, 11)
    assert store.load().alerts == {"one": (alert,)}
    assert store.load().seen_ms == 10
    store.close()


LIFE = "..xxxx.x.xxxxxx..xx...xxxxxxxx......xxx."  # load over the limit or not, every five seconds


async def told_in_a_life(folder: Path, restart_at: int | None) -> list[tuple[int, list[str]]]:
    store = SqliteStateStore(folder / "alerts.db", 0)
    world = World(folder, store=store)
    manager = world.manager(RULES)
    for position, letter in enumerate(LIFE):
        world.put("load", 6 if letter == "x" else 1, node="a")
        if position == restart_at:
            # Nothing is closed or said goodbye to: the process is simply not there any more.
            world.store = store = SqliteStateStore(folder / "alerts.db", 0)
            manager = world.manager(RULES)
        manager.evaluate_now(["load"])
        await manager.turn()
        world.clock.advance(5)
    store.close()
    changes: list[tuple[int, list[str]]] = []
    for heard in world.listener.heard:
        if not changes or heard[1] != changes[-1][1]:
            changes.append(heard)
    return changes


async def test_a_restart_at_any_point_changes_nothing_of_what_is_told(tmp_path: Path) -> None:
    folders = [tmp_path / str(position) for position in range(-1, len(LIFE))]
    for folder in folders:
        folder.mkdir()
    plain = await told_in_a_life(folders[0], None)
    assert len(plain) > 8
    for position in range(0, len(LIFE), 3):
        assert await told_in_a_life(folders[position + 1], position) == plain


WAITING = """
groups:
  - name: g
    rules:
      - {alert: Waiting, expr: vector(1), for: 60s}
"""


@pytest.mark.parametrize("leap_s", [3600, -3600, 365 * 86400, -365 * 86400])
@pytest.mark.parametrize("restart", [False, True])
async def test_for_neither_ends_nor_begins_anew_when_the_clock_is_set(world: World, leap_s: int, restart: bool) -> None:
    passed = [0.0]
    world.around = dataclasses.replace(world.around, monotonic=lambda: passed[0])

    async def go_on(manager: RuleManager, seconds: int) -> None:
        for _ in range(seconds // 5):
            world.clock.advance(5)
            passed[0] += 5
            await manager.turn()

    manager = world.manager(WAITING)
    await manager.turn()
    await go_on(manager, 40)
    world.clock.advance(leap_s)
    await manager.turn()
    if restart and leap_s < 0:  # after a leap ahead a restart cannot tell it from an outage
        manager = world.manager(WAITING)
    (alert,) = manager.active()
    assert (alert.state, world.clock.now_ms() - alert.active_ms) == ("pending", 40_000)
    await go_on(manager, 15)
    assert states(manager.active()) == {"Waiting": "pending"}
    await go_on(manager, SETTLE_MS // 1000)
    (alert,) = manager.active()
    assert alert.state == "firing"
    since = alert.active_ms
    world.clock.advance(-7200)
    await manager.turn()
    (alert,) = manager.active()
    assert (alert.state, alert.active_ms) == ("firing", since - 7_200_000)


async def test_a_restart_with_an_earlier_clock_goes_on_as_if_no_time_had_passed(world: World) -> None:
    manager = world.manager(WAITING)
    await manager.turn()
    world.clock.advance(65)
    await manager.turn()
    (before,) = manager.active()
    world.clock.advance(-86400 * 365)
    (alert,) = world.manager(WAITING).active()
    assert alert.state == "firing"
    assert world.clock.now_ms() - alert.active_ms == 65_000
    assert before.active_ms - alert.active_ms == 86_400_000 * 365
