from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from alerting.clock import FakeClock, SystemClock
from alerting.dispatch import store
from alerting.dispatch.dispatcher import Dispatcher
from alerting.dispatch.policy import Policy
from alerting.notify.outbox import Outbox
from alerting.storage.database import Database
from alerting.storage.ports import StorageError
from config.alerting import Receiver, Route
from tests.alerting.dispatch.support import MINUTE, NODE_DOWN_HIDES, NOW, SECOND, URLS, alert, simple_policy

POLICY = simple_policy(inhibit=[NODE_DOWN_HIDES])
DOWN, HOT = alert("NodeDown", node="a"), alert("Hot", node="a")


class Scene:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.database: Database = store.open_database(path, NOW)
        self.silenced: set[str] = set()
        self.waiting = 0
        self.queued = 0
        self.start()

    def start(self, policy: Policy = POLICY, urls: bool = True) -> None:
        def waiting() -> None:
            self.waiting += 1

        def queued() -> None:
            self.queued += 1

        self.outbox = Outbox(self.database, URLS if urls else {"phone": ()})
        self.dispatcher = Dispatcher(
            self.database,
            self.outbox,
            policy,
            FakeClock(),
            on_queued=queued,
            on_waiting=waiting,
            silences=lambda labels, _: ["s1"] if labels.get("alertname") in self.silenced else [],
        )

    def reopen(self) -> None:
        self.database.close()
        self.database = store.open_database(self.path, NOW)
        self.start()

    def titles(self) -> list[str]:
        return [entry.title for entry in reversed(self.outbox.journal())]

    def bodies(self) -> str:
        return "\n".join(entry.body for entry in self.outbox.journal())


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    found = Scene(tmp_path / "alerts.db")
    yield found
    found.database.close()


def test_from_firing_to_resolved(scene: Scene) -> None:
    scene.dispatcher.update([DOWN], NOW)
    assert scene.dispatcher.process(NOW) == NOW + SECOND
    assert (scene.waiting, scene.queued, scene.titles()) == (1, 0, [])
    scene.dispatcher.process(NOW + SECOND)
    assert scene.titles() == ["DOWN a (tier 1, Everything)"]
    assert scene.queued == 1
    scene.dispatcher.update([alert("NodeDown", NOW, NOW + 90 * SECOND, node="a")], NOW + 90 * SECOND)
    scene.dispatcher.process(NOW + 90 * SECOND)
    scene.dispatcher.process(NOW + 91 * SECOND)
    assert scene.titles()[1:] == ["RESOLVED a (tier 1, Everything), after 1m30s"]
    assert (scene.dispatcher.alerts(), scene.dispatcher.groups()) == ((), ())
    assert scene.dispatcher.stats().notices == 2


def test_after_a_restart_nothing_is_told_again_and_nothing_forgotten(scene: Scene) -> None:
    scene.dispatcher.update([DOWN], NOW)
    scene.dispatcher.process(NOW + SECOND)
    scene.dispatcher.update([alert("NodeDown", NOW, NOW + 30 * SECOND, node="a")], NOW + 30 * SECOND)
    scene.dispatcher.process(NOW + 30 * SECOND)
    scene.reopen()
    scene.dispatcher.process(NOW + 60 * SECOND)
    assert len(scene.titles()) == 1
    scene.dispatcher.process(NOW + 61 * SECOND)
    assert scene.titles()[1:] == ["RESOLVED a (tier 1, Everything), after 30s"]


def test_what_was_firing_before_a_restart_explains_at_once(scene: Scene) -> None:
    scene.dispatcher.update([DOWN], NOW)
    scene.dispatcher.process(NOW + SECOND)
    scene.reopen()
    scene.dispatcher.update([HOT], NOW + MINUTE)
    scene.dispatcher.process(NOW + 3 * MINUTE)
    assert len(scene.titles()) == 1
    (hot,) = [view for view in scene.dispatcher.alerts() if view.alert.name == "Hot"]
    assert (hot.inhibited_by, hot.told, hot.receivers) == ((DOWN.fingerprint,), (), ("phone",))


def test_what_nobody_was_told_before_a_restart_is_told_once_the_rules_confirm_it(scene: Scene) -> None:
    scene.dispatcher.update([HOT], NOW)
    scene.dispatcher.process(NOW)
    scene.reopen()
    scene.dispatcher.process(NOW + MINUTE)
    assert scene.titles() == []
    scene.dispatcher.update([HOT], NOW + MINUTE)
    scene.dispatcher.process(NOW + MINUTE)
    assert scene.titles() == ["Hot on a"]


def test_a_message_names_what_it_hides(scene: Scene) -> None:
    scene.dispatcher.update([HOT, DOWN], NOW)
    scene.dispatcher.process(NOW + SECOND)
    assert "Hides 1 alert: Hot." in scene.bodies()


def test_what_a_source_explained_stays_hidden_a_moment_longer(scene: Scene) -> None:
    scene.dispatcher.update([HOT, DOWN], NOW)
    scene.dispatcher.process(NOW + SECOND)
    end = NOW + 5 * MINUTE
    scene.dispatcher.update([HOT, alert("NodeDown", NOW, end, node="a")], end)
    wake = scene.dispatcher.process(end)
    assert wake == end + SECOND
    assert scene.dispatcher.process(wake) == end + 10 * SECOND
    assert scene.titles()[1:] == ["RESOLVED a (tier 1, Everything), after 5m"]
    scene.dispatcher.process(end + 10 * SECOND)
    assert scene.titles()[2:] == ["Hot on a"]


def test_a_silenced_alert_is_not_told_and_its_end_is_when_it_was(scene: Scene) -> None:
    scene.silenced.add("Hot")
    scene.dispatcher.update([HOT, alert("Full", node="a")], NOW)
    scene.dispatcher.process(NOW + SECOND)
    assert scene.titles() == ["Full on a"]
    assert {view.alert.name: view.silenced_by for view in scene.dispatcher.alerts()} == {"Hot": ("s1",), "Full": ()}
    scene.silenced = {"Full"}
    scene.dispatcher.update([HOT, alert("Full", NOW, NOW + 2 * MINUTE, node="a")], NOW + 2 * MINUTE)
    scene.dispatcher.process(NOW + 2 * MINUTE)
    scene.dispatcher.process(NOW + 2 * MINUTE + SECOND)
    assert scene.titles()[1:] == ["Hot on a, 1 resolved"]


def test_a_receiver_without_urls_is_told_once_it_has_one(scene: Scene) -> None:
    scene.start(urls=False)
    scene.dispatcher.update([HOT], NOW)
    assert scene.dispatcher.process(NOW + SECOND) is None
    assert [view.alert.name for view in scene.dispatcher.alerts()] == ["Hot"]
    scene.start()
    scene.dispatcher.update([HOT], NOW + MINUTE)
    scene.dispatcher.process(NOW + MINUTE)
    assert scene.titles() == ["Hot on a"]


def test_a_receiver_that_is_gone_is_forgotten(scene: Scene) -> None:
    scene.dispatcher.update([HOT], NOW)
    scene.dispatcher.process(NOW + SECOND)
    scene.dispatcher.set_policy(simple_policy(Route(receiver="mail"), [Receiver(name="mail")]))
    scene.dispatcher.process(NOW + 2 * SECOND)
    assert scene.dispatcher.groups() == ()


def test_alerts_whose_rule_is_gone_are_over(scene: Scene) -> None:
    scene.dispatcher.update([HOT, alert("Old", node="b")], NOW)
    scene.dispatcher.process(NOW + SECOND)
    scene.dispatcher.retain_rules({"Hot"}, NOW + 2 * MINUTE)
    scene.dispatcher.process(NOW + 2 * MINUTE)
    scene.dispatcher.process(NOW + 2 * MINUTE + SECOND)
    assert scene.titles()[2:] == ["RESOLVED Old on b, after 2m"]


def test_downtime_and_a_clock_set_forward_are_no_end_but_silence_of_the_rules_is(scene: Scene) -> None:
    scene.dispatcher.update([HOT], NOW)
    scene.dispatcher.process(NOW + SECOND)
    scene.reopen()
    now = NOW + 86_400 * SECOND
    for _ in range(4):
        now += 86_400 * SECOND
        scene.dispatcher.update([], now)
        scene.dispatcher.process(now)
    assert not any("RESOLVED" in title for title in scene.titles())
    for _ in range(40):
        now += 30 * SECOND
        scene.dispatcher.update([], now)
        scene.dispatcher.process(now)
    assert sum("RESOLVED" in title for title in scene.titles()) == 1


def test_a_full_disk_delays_and_loses_nothing(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.database.pragma("wal_checkpoint(TRUNCATE)")
    pages = scene.database.pragma("page_count")
    scene.database.pragma(f"max_page_count={pages}")
    many = [alert("Hot", node=f"n{number}" * 50) for number in range(200)]
    scene.dispatcher.update(many, NOW)
    with pytest.raises(StorageError):
        scene.dispatcher.process(NOW + SECOND)
    assert scene.dispatcher.stats().write_failures == 1
    assert scene.titles() == []
    for number in range(2000):
        scene.dispatcher.update(many, NOW + number)
    scene.dispatcher.update([alert("Hot", NOW, NOW + 1, node="n7" * 50)], NOW + 1)
    assert len(scene.dispatcher._inbox) <= 501
    scene.database.pragma("max_page_count=1000000")
    scene.dispatcher.process(NOW + 2 * SECOND)
    assert len(scene.outbox.journal(1000)) == 199


def test_what_is_tried_again_and_again_ends_nothing_and_forgets_no_change(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seldom = alert("Full", node="b")  # of a group of rules that has not been due since
    scene.dispatcher.update([HOT, seldom], NOW)
    scene.dispatcher.process(NOW + SECOND)
    scene.dispatcher.set_policy(simple_policy(Route(receiver="mail"), [Receiver(name="mail")]))
    for number in range(1, 13):
        scene.dispatcher.update([HOT], NOW + number * 5 * SECOND)
    scene.dispatcher.update([alert("New", node="c")], NOW + MINUTE)

    def refused(*_: object) -> None:
        raise StorageError("input/output error")

    with monkeypatch.context() as patched, caplog.at_level(logging.CRITICAL):
        patched.setattr(store, "save", refused)
        for _ in range(30):
            with pytest.raises(StorageError):
                scene.dispatcher.process(NOW + MINUTE)
    scene.dispatcher.process(NOW + MINUTE)
    assert {view.alert.name for view in scene.dispatcher.alerts()} == {"Hot", "Full", "New"}
    assert scene.dispatcher.groups() == (), "of a receiver that is gone"


def test_a_damaged_file_costs_the_journal_but_not_what_was_told(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.CRITICAL):
        scene.dispatcher.update([HOT], NOW)
        scene.dispatcher.process(NOW + SECOND)
        scene.database.pragma("wal_checkpoint(TRUNCATE)")
        scene.database.close()
        state = scene.dispatcher
        data = bytearray(scene.path.read_bytes())
        data[4096:] = b"\xff" * (len(data) - 4096)
        scene.path.write_bytes(data)
        scene.database._connection = scene.database._connect()
        state.update([HOT, alert("Full", node="b")], NOW + MINUTE)
        with pytest.raises(StorageError):
            state.process(NOW + MINUTE)
        state.process(NOW + MINUTE)
        state.process(NOW + MINUTE + SECOND)
    assert scene.titles() == ["Full on b"]
    scene.reopen()
    assert {told for view in scene.dispatcher.groups() for told in view.told} >= {HOT.fingerprint}


def test_a_file_damaged_while_nobody_looked_does_not_stop_the_start(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.dispatcher.update([HOT], NOW)
    scene.dispatcher.process(NOW + SECOND)
    scene.database.pragma("wal_checkpoint(TRUNCATE)")
    scene.database.close()
    data = bytearray(scene.path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    scene.path.write_bytes(data)
    with caplog.at_level(logging.CRITICAL):
        scene.database = store.open_database(scene.path, NOW)
    scene.start()
    scene.dispatcher.update([HOT], NOW)
    scene.dispatcher.process(NOW + SECOND)
    assert scene.titles() == ["Hot on a"]
    assert scene.path.with_name(f"alerts.db.corrupt-{NOW}").exists()


def test_more_alerts_than_anybody_can_read_are_counted(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alerting.dispatch.tracker.MAX_ALERTS", 3)
    scene.dispatcher.update([alert("Hot", node=f"n{number}") for number in range(5)], NOW)
    scene.dispatcher.process(NOW)
    assert (scene.dispatcher.stats().active, scene.dispatcher.stats().refused) == (3, 2)


async def test_run_wakes_for_updates_and_for_time(scene: Scene) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    clock = SystemClock()

    def queued() -> None:
        loop.call_soon_threadsafe(told.set)

    dispatcher = Dispatcher(scene.database, scene.outbox, POLICY, clock, on_queued=queued)
    task = loop.create_task(dispatcher.run())
    await asyncio.sleep(0.05)
    started = clock.now_ms()
    dispatcher.update([alert("Hot", started, node="a")], started)
    async with asyncio.timeout(60):
        await told.wait()
    assert clock.now_ms() - started >= 900
    now = clock.now_ms()
    dispatcher.update([alert("Hot", started, now, node="a")], now)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert dispatcher.alerts() == ()  # taken just before the end, and worked on


BY_SITE = Route(
    receiver="nobody",
    routes=(Route(receiver="phone", matchers=('site="home"',), group_by=("site", "node"), group_wait=0),),
)
RECEIVERS = (Receiver(name="phone"), Receiver(name="nobody"))


def test_external_labels_route_and_group_and_are_said(scene: Scene) -> None:
    scene.dispatcher.set_policy(simple_policy(BY_SITE, RECEIVERS, external_labels={"site": "home", "node": "hub"}))
    scene.dispatcher.update([DOWN], NOW)
    scene.dispatcher.process(NOW)
    assert scene.titles() == ["DOWN a (tier 1, Everything)"]
    assert "From node=hub, site=home" in scene.bodies()
    (view,) = scene.dispatcher.alerts()
    assert view.receivers == ("phone",)
    assert view.labels.as_dict() == {"alertname": "NodeDown", "node": "a", "site": "home"}
    assert view.alert.labels == DOWN.labels
    (group,) = scene.dispatcher.groups()
    assert group.labels.as_dict() == {"site": "home", "node": "a"}


def test_other_external_labels_are_no_news(scene: Scene) -> None:
    """A reload, and a restart with another configuration: the alert is the same one, told once and ended once."""
    everywhere = Route(receiver="phone", group_by=("site", "node"), group_wait=0, group_interval=1)
    scene.dispatcher.set_policy(simple_policy(everywhere, external_labels={"site": "home"}))
    scene.dispatcher.update([DOWN], NOW)
    scene.dispatcher.process(NOW)
    scene.dispatcher.set_policy(simple_policy(everywhere, external_labels={"site": "away"}))
    scene.dispatcher.process(NOW + MINUTE)
    scene.database.close()
    scene.database = store.open_database(scene.path, NOW)
    scene.start(simple_policy(everywhere, external_labels={"site": "moved"}))
    scene.dispatcher.update([DOWN], NOW + 2 * MINUTE)
    scene.dispatcher.process(NOW + 2 * MINUTE)
    assert scene.titles() == ["DOWN a (tier 1, Everything)"]
    scene.dispatcher.update([alert("NodeDown", NOW, NOW + 3 * MINUTE, node="a")], NOW + 3 * MINUTE)
    scene.dispatcher.process(NOW + 3 * MINUTE)
    scene.dispatcher.process(NOW + 4 * MINUTE)
    assert scene.titles() == ["DOWN a (tier 1, Everything)", "RESOLVED a (tier 1, Everything), after 3m"]
    assert "From site=moved" in scene.bodies()
