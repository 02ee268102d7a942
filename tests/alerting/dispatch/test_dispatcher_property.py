"""The promises of the dispatcher, held against random histories of alerts, crashes and reloads."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.clock import FakeClock
from alerting.dispatch import store
from alerting.dispatch.dispatcher import Dispatcher
from alerting.dispatch.policy import Policy
from alerting.model.alert import Alert
from alerting.notify.message import Message
from alerting.notify.notice import Notice
from alerting.notify.outbox import Outbox
from alerting.storage.database import Database
from config.alerting import Receiver, Route
from config.secrets import Secret
from tests.alerting.dispatch.support import MINUTE, NODE_DOWN_HIDES, NOW, SECOND, URLS, alert, simple_policy

# What may fire: a node that hides its others, on two nodes.
PLACES = tuple((name, node) for node in ("a", "b") for name in ("NodeDown", "Hot", "Full"))
BOTH = (Receiver(name="phone"), Receiver(name="mail"))
BY_NODE = simple_policy(receivers=BOTH, inhibit=[NODE_DOWN_HIDES])
ALL_IN_ONE = simple_policy(
    Route(receiver="phone", group_wait=5, group_interval=30, repeat_interval=600),
    receivers=BOTH,
    inhibit=[NODE_DOWN_HIDES],
)
TO_MAIL = simple_policy(
    Route(receiver="mail", group_by=("alertname",), group_wait=0, group_interval=10, repeat_interval=600),
    receivers=BOTH,
)
POLICIES = {"by node": BY_NODE, "all in one": ALL_IN_ONE, "to mail": TO_MAIL}
TWO_URLS = {**URLS, "mail": (Secret("json://127.0.0.1/mail"),)}
ABSENT_AFTER_MS = 5 * MINUTE


def as_data(notice: Notice, _: object, now_ms: int, **__: object) -> Message:
    """The notice as JSON in place of words."""
    fresh = sorted(one.fingerprint for one in notice.firing if one.fingerprint in notice.fresh)
    ended = sorted(one.fingerprint for one in notice.resolved)
    facts = {"fresh": fresh, "resolved": ended, "reason": notice.reason, "receiver": notice.receiver, "at": now_ms}
    return Message(json.dumps(facts), "", "info")


class World:
    """A dispatcher that can be killed, and the rules that feed it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.policy: Policy = BY_NODE
        self.now = NOW
        self.firing: dict[tuple[str, str], Alert] = {}
        self.ends: dict[str, list[int]] = {}
        self.start()

    def start(self) -> None:
        outbox = Outbox(self.database, TWO_URLS)
        self.dispatcher = Dispatcher(
            self.database, outbox, self.policy, FakeClock(), absent_after_ms=ABSENT_AFTER_MS, linger_ms=10 * SECOND
        )
        # The loop looks at once, before the rules have said anything.
        self.dispatcher.process(self.now)

    def evaluate(self, wanted: frozenset[tuple[str, str]], *, crash: bool) -> None:
        """One evaluation; with ``crash`` the process dies after it was handed the alerts and before it wrote."""
        ended = [
            alert(key[0], one.active_ms, self.now, node=key[1]) for key, one in self.firing.items() if key not in wanted
        ]
        for one in ended:
            self.ends.setdefault(one.fingerprint, []).append(self.now)
        self.firing = {key: self.firing.get(key) or alert(key[0], self.now, node=key[1]) for key in sorted(wanted)}
        self.dispatcher.update([*self.firing.values(), *ended], self.now)
        if crash:
            self.start()
        else:
            self.dispatcher.process(self.now)

    def pass_time(self, milliseconds: int) -> None:
        """The rules go on evaluating every five seconds at least."""
        end = self.now + milliseconds
        while self.now < end:
            self.now = min(self.now + 5 * SECOND, end)
            self.dispatcher.update(list(self.firing.values()), self.now)
            self.dispatcher.process(self.now)

    def told(self) -> list[dict[str, Any]]:
        rows = self.database.rows("SELECT title FROM message ORDER BY id")
        return [json.loads(title) for (title,) in rows]


@contextmanager
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory() as folder, patch("alerting.dispatch.dispatcher.compose", as_data):
        database = store.open_database(Path(folder) / "alerts.db", NOW)
        database.pragma("synchronous=OFF")
        yield World(database)
        database.close()


EVENTS = st.lists(
    st.tuples(
        st.frozensets(st.sampled_from(PLACES), max_size=4),
        st.integers(0, 3 * MINUTE),
        st.sampled_from(["go", "go", "go", "kill", "lose", *POLICIES]),
    ),
    min_size=1,
    max_size=14,
)


@settings(max_examples=120, deadline=None)
@given(events=EVENTS)
def test_every_firing_that_was_told_is_told_to_be_over_exactly_once(
    events: list[tuple[frozenset[tuple[str, str]], int, str]],
) -> None:
    with world() as scene:
        for wanted, pause, what in events:
            if what == "kill":
                scene.start()
            if what in POLICIES:
                scene.policy = POLICIES[what]
                scene.dispatcher.set_policy(scene.policy)
            scene.evaluate(wanted, crash=what == "lose")
            scene.pass_time(pause)
        scene.evaluate(frozenset(), crash=False)
        scene.pass_time(2 * ABSENT_AFTER_MS)
        believed: dict[tuple[str, str], int] = {}
        for notice in scene.told():
            fresh = {(notice["receiver"], key) for key in notice["fresh"]}
            resolved = {(notice["receiver"], key) for key in notice["resolved"]}
            assert not fresh & believed.keys(), "told twice"
            assert resolved <= believed.keys(), "told to be over without being told before, or twice"
            for mark in resolved:
                since = believed.pop(mark)
                assert any(since <= end <= notice["at"] for end in scene.ends[mark[1]]), "told to be over, and was not"
            believed |= dict.fromkeys(fresh, notice["at"])
            assert fresh or resolved or notice["reason"] == "repeat"
        assert not believed, "never told to be over"
        assert scene.dispatcher.groups() == ()
        assert scene.dispatcher.alerts() == ()


@settings(max_examples=60, deadline=None)
@given(
    wanted=st.frozensets(st.sampled_from(PLACES), min_size=1),
    crashes=st.lists(st.sampled_from(["kill", "lose"]), max_size=5),
)
def test_what_stays_is_told_whatever_crashes(wanted: frozenset[tuple[str, str]], crashes: list[str]) -> None:
    with world() as scene:
        for crash in crashes:
            scene.evaluate(wanted, crash=crash == "lose")
            scene.start()
        scene.evaluate(wanted, crash=False)
        scene.pass_time(2 * MINUTE)
        down = {node for name, node in wanted if name == "NodeDown"}
        visible = {
            alert(name, node=node).fingerprint for name, node in wanted if name == "NodeDown" or node not in down
        }
        assert sorted(key for notice in scene.told() for key in notice["fresh"]) == sorted(visible)
