"""From the rules' alerts to queued messages: route, inhibit, group, put into words, remember.

What was told and the message that tells it are written in one transaction. A crash before it changes nothing (the
rules hand on every firing alert again), a crash after it loses nothing.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from alerting.clock import Clock
from alerting.dispatch import store
from alerting.dispatch.groups import Group, Members, step
from alerting.dispatch.inhibit import inhibited
from alerting.dispatch.policy import Policy
from alerting.dispatch.route import RouteNode, Waits, matching
from alerting.dispatch.store import State
from alerting.dispatch.tracker import Presence, Tracked, Update, merged, track
from alerting.model.alert import Alert
from alerting.model.labels import Labels
from alerting.notify.message import Message, compose
from alerting.notify.notice import Notice
from alerting.notify.outbox import Outbox
from alerting.storage.database import Database, DatabaseDamaged
from alerting.storage.ports import StorageError

log = logging.getLogger(__name__)

# What a source explained is back a little later than the source itself: it stays hidden for this long.
LINGER_MS = 10_000
ABSENT_AFTER_MS = 15 * 60_000
# Updates pile up only while nothing can be written.
_INBOX_UPDATES = 500
_LONGEST_SLEEP_S = 10.0
_AFTER_STORAGE_ERROR_S = 1.0
# A group that no route leads to any more only has endings to tell.
_ORPHAN = Waits(group_wait_ms=0, group_interval_ms=0, repeat_interval_ms=100 * 365 * 86_400_000)

# The silences of an alert: their names; empty when it may be told.
Silences = Callable[[Labels, int], Collection[str]]


@dataclass(frozen=True, slots=True)
class AlertView:
    """A firing alert as the API and the page show it. ``labels``: those that it is routed and grouped by, with
    ``external_labels``; ``told``: the receivers that have been told."""

    alert: Alert
    labels: Labels
    receivers: tuple[str, ...]
    inhibited_by: tuple[str, ...] = ()
    silenced_by: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DispatchStats:
    """``notices``: queued since the start; ``refused``: alerts beyond the limit; ``write_failures``: transactions that
    failed and are tried again."""

    active: int = 0
    groups: int = 0
    notices: int = 0
    refused: int = 0
    write_failures: int = 0


class Dispatcher:
    """An ``AlertSink``. ``update`` from any thread, ``run`` as a task; ``process`` is the synchronous heart."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        policy: Policy,
        clock: Clock,
        *,
        on_queued: Callable[[], None] = lambda: None,
        on_waiting: Callable[[], None] = lambda: None,
        silences: Silences = lambda _labels, _now_ms: (),
        absent_after_ms: int = ABSENT_AFTER_MS,
        linger_ms: int = LINGER_MS,
    ) -> None:
        """``on_queued``: a message is in the outbox; ``on_waiting``: one will be soon. ``absent_after_ms`` must be
        longer than the longest evaluation interval. Raises StorageError when the state cannot be read."""
        self._database = database
        self._outbox = outbox
        self._policy = policy
        self._clock = clock
        self._on_queued = on_queued
        self._on_waiting = on_waiting
        self._silences = silences
        self._linger_ms = linger_ms
        self._state = store.load(database)
        self._rewrite = False  # the file has lost what is known
        # Firing before the restart, and not seen since: they explain others, but are no news themselves.
        self._unconfirmed = set(self._state.active)
        self._presence = Presence(absent_after_ms)
        self._inbox: list[Update] = []
        self._inbox_lock = threading.Lock()
        self._process_lock = threading.Lock()
        self._routed: dict[str, tuple[RouteNode, ...]] = {}
        self._routed_for: Policy | None = None
        self._lingering: dict[str, tuple[Labels, int]] = {}
        self._muted: dict[str, frozenset[str]] = {}
        self._stats = DispatchStats(active=len(self._state.active), groups=len(self._state.groups))
        self._view: tuple[AlertView, ...] = ()
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def update(self, alerts: Sequence[Alert], now_ms: int) -> None:
        """Take what the rules say; it is worked on by ``run``."""
        with self._inbox_lock:
            self._inbox.append((tuple(alerts), now_ms))
            if len(self._inbox) > _INBOX_UPDATES:
                self._inbox = [merged(self._inbox)]
        self._call_wake()

    def set_policy(self, policy: Policy) -> None:
        """Go on with another configuration from the next step on."""
        self._policy = policy
        self._call_wake()

    def retain_rules(self, names: Collection[str], now_ms: int) -> None:
        """Only these alert names have rules (after a load or reload): alerts of others are over."""
        gone = [alert for alert in self._state.active.values() if alert.name not in names]
        self.update([replace(alert, state="resolved", resolved_ms=now_ms) for alert in gone], now_ms)

    def alerts(self) -> tuple[AlertView, ...]:
        """The firing alerts as of the last step."""
        return self._view

    def groups(self) -> tuple[Group, ...]:
        """The groups that told something or wait to, as of the last step."""
        return tuple(self._state.groups.values())

    def stats(self) -> DispatchStats:
        return self._stats

    async def run(self) -> None:
        """Work until cancelled; what was taken by then is still worked on."""
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                self._wake.clear()
                now_ms = self._clock.now_ms()
                try:
                    wake_ms = await asyncio.to_thread(self.process, now_ms)
                    sleep_s = _LONGEST_SLEEP_S
                    if wake_ms is not None:
                        sleep_s = min(max((wake_ms - now_ms) / 1000, 0.001), _LONGEST_SLEEP_S)
                except StorageError:
                    sleep_s = _AFTER_STORAGE_ERROR_S
                with suppress(TimeoutError):
                    async with asyncio.timeout(sleep_s):
                        await self._wake.wait()
        finally:
            self._loop = None
            with suppress(StorageError):
                self.process(self._clock.now_ms())

    def mend(self, now_ms: int) -> None:
        """Somebody found the database damaged: the file goes aside; what is known, and what can still be read of the
        messages, goes into a new one. Does nothing when the file is whole. Raises StorageError."""
        with self._process_lock:
            self._mend(now_ms)

    def process(self, now_ms: int) -> int | None:
        """Work on everything taken so far and on what time has made due; returns when to look again.

        Blocks for one commit when something changed. Raises StorageError when it could not be written: then nothing
        has happened, and the next call tries all of it again.
        """
        with self._process_lock:
            with self._inbox_lock:
                updates, self._inbox = self._inbox, []
            try:
                return self._process(updates, now_ms)
            except BaseException as error:
                with self._inbox_lock:
                    self._inbox = updates + self._inbox
                if isinstance(error, StorageError):
                    self._failed(error, now_ms)
                raise

    def _process(self, updates: Sequence[Update], now_ms: int) -> int | None:
        policy = self._policy
        before = self._state
        # A copy: what cannot be written is worked on again, and time must not pass twice.
        presence = self._presence.copy()
        tracked = track(before.active, updates, presence, now_ms)
        self._unconfirmed.difference_update(alert.fingerprint for alerts, _ in updates for alert in alerts)
        groups = dict(before.groups)
        if policy is not self._routed_for:
            self._routed.clear()
            groups = {key: group for key, group in groups.items() if group.receiver in policy.send_resolved}
        targets = {key: policy.outward(alert.labels) for key, alert in tracked.active.items()}
        groups = _moved(groups, {key: self._routes(policy, key, labels) for key, labels in targets.items()}, policy)
        lingering = self._sources_that_linger(tracked, now_ms)
        sources = {key: policy.outward(labels) for key, (labels, _) in lingering.items()} | targets
        muted = inhibited(policy.inhibitions, targets, sources)
        silenced = {key: names for key, labels in targets.items() if (names := self._silences(labels, now_ms))}
        quiet = {**dict.fromkeys([*silenced, *self._unconfirmed], frozenset[str]()), **muted}

        notices: list[Notice] = []
        wakes = [until for _, until in lingering.values()]
        for key, (group, node, active) in self._members(policy, groups, tracked, targets).items():
            if not self._outbox.has_urls(group.receiver):
                continue
            outcome = step(
                group,
                Members(active, quiet, tracked.ended),
                _ORPHAN if node is None else node.waits,
                now_ms,
                send_resolved=policy.send_resolved[group.receiver],
            )
            if outcome.group is None:
                groups.pop(key, None)
            else:
                groups[key] = outcome.group
            if outcome.notice is not None:
                notices.append(_complete(outcome.notice, tracked.active, muted))
            if outcome.wake_ms is not None:
                wakes.append(outcome.wake_ms)

        after = State(tracked.active, groups)
        self._write(policy, before, after, notices, now_ms)
        self._state, self._lingering, self._muted = after, lingering, muted
        self._presence, self._routed_for = presence, policy
        for key in tracked.ended:
            self._routed.pop(key, None)
        self._stats = replace(
            self._stats,
            active=len(after.active),
            groups=len(after.groups),
            notices=self._stats.notices + len(notices),
            refused=self._stats.refused + tracked.refused,
        )
        self._view = self._views(policy, after, targets, muted, silenced)
        if any(group.due_ms is not None for group in groups.values()):
            self._on_waiting()
        return min(wakes, default=None)

    def _write(self, policy: Policy, before: State, after: State, notices: Sequence[Notice], now_ms: int) -> None:
        if self._rewrite:
            before = State()
        if not notices and not self._rewrite and not store.changed(before, after):
            return
        messages = [(notice, _in_words(notice, policy, now_ms)) for notice in notices]
        with self._database.transaction() as connection:
            store.save(connection, before, after)
            for notice, message in messages:
                self._outbox.queue(connection, notice.receiver, notice.group_key, message, now_ms)
        self._rewrite = False
        if messages:
            self._outbox.queued(notice.receiver for notice in notices)
            self._on_queued()

    def _members(
        self, policy: Policy, groups: Mapping[str, Group], tracked: Tracked, labels: Mapping[str, Labels]
    ) -> dict[str, tuple[Group, RouteNode | None, dict[str, Alert]]]:
        """Every group with its route (None for an orphan) and its firing alerts."""
        found: dict[str, tuple[Group, RouteNode | None, dict[str, Alert]]] = {}
        for key, alert in tracked.active.items():
            for node in self._routes(policy, key, labels[key]):
                name = node.group_key(labels[key])
                if name not in found:
                    group = groups.get(name) or Group(name, node.receiver, node.group_labels(labels[key]))
                    found[name] = (group, node, {})
                found[name][2][key] = alert
        nodes: dict[str, RouteNode] = {}
        for name, group in groups.items():
            if name not in found:
                nodes = nodes or {node.key: node for node in policy.root.walk()}
                found[name] = (group, _route_of(group, nodes), {})
            # What a group has told stays its own, wherever the alert is routed now.
            for key in group.told:
                if key in tracked.active:
                    found[name][2].setdefault(key, tracked.active[key])
        return found

    def _routes(self, policy: Policy, key: str, labels: Labels) -> tuple[RouteNode, ...]:
        if key not in self._routed:
            self._routed[key] = tuple(matching(policy.root, labels))
        return self._routed[key]

    def _sources_that_linger(self, tracked: Tracked, now_ms: int) -> dict[str, tuple[Labels, int]]:
        latest = now_ms + self._linger_ms
        lingering = {
            key: (labels, min(until, latest))
            for key, (labels, until) in self._lingering.items()
            if until > now_ms and key not in tracked.active
        }
        explained = frozenset[str]().union(*self._muted.values())
        for key, alert in tracked.ended.items():
            if key in explained and self._linger_ms > 0:
                lingering[key] = (alert.labels, latest)
        return lingering

    def _views(
        self,
        policy: Policy,
        state: State,
        labels: Mapping[str, Labels],
        muted: Mapping[str, frozenset[str]],
        silenced: Mapping[str, Collection[str]],
    ) -> tuple[AlertView, ...]:
        told: dict[str, list[str]] = {}
        for group in state.groups.values():
            for key in group.told:
                told.setdefault(key, []).append(group.receiver)
        return tuple(
            AlertView(
                alert,
                labels[key],
                tuple(dict.fromkeys(node.receiver for node in self._routes(policy, key, labels[key]))),
                tuple(sorted(muted.get(key, ()))),
                tuple(sorted(silenced.get(key, ()))),
                tuple(sorted(told.get(key, ()))),
            )
            for key, alert in state.active.items()
        )

    def _failed(self, error: StorageError, now_ms: int) -> None:
        self._stats = replace(self._stats, write_failures=self._stats.write_failures + 1)
        log.error("alerts cannot be written down, will try again: %s", error)
        if isinstance(error, DatabaseDamaged):
            with suppress(StorageError):
                self._mend(now_ms)

    def _mend(self, now_ms: int) -> None:
        aside = self._database.empty_if_damaged(now_ms)
        if aside is None:
            return
        self._rewrite = True
        with suppress(StorageError):
            self._outbox.carry_over(aside)
        self._write(self._policy, self._state, self._state, [], now_ms)

    def _call_wake(self) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop has just been closed
                loop.call_soon_threadsafe(self._wake.set)


def _route_of(group: Group, nodes: Mapping[str, RouteNode]) -> RouteNode | None:
    """The route a group without firing alerts came from; None when there is none any more."""
    key = group.key.removeprefix(f"{group.receiver}:").removesuffix(f":{group.labels}")
    node = nodes.get(key)
    return node if node is not None and node.receiver == group.receiver else None


def _moved(groups: Mapping[str, Group], routes: Mapping[str, Sequence[RouteNode]], policy: Policy) -> dict[str, Group]:
    """After a change of routes or labels: what a receiver was told moves to the group that now tells this receiver of
    the alert, so that nobody is told again. What no such group takes stays where it is and waits for its end."""
    result = dict(groups)
    for name, group in groups.items():
        for key, told in group.told.items():
            nodes = [node for node in routes.get(key, ()) if node.receiver == group.receiver]
            labels = policy.outward(told.alert.labels)
            names = [node.group_key(labels) for node in nodes]
            if not names or name in names:
                continue
            new = result.get(names[0]) or Group(names[0], group.receiver, nodes[0].group_labels(labels))
            last = max((ms for ms in (new.last_ms, group.last_ms) if ms is not None), default=None)
            result[names[0]] = replace(new, told={key: told, **new.told}, last_ms=last)
            old = result[name]
            result[name] = replace(old, told={mark: entry for mark, entry in old.told.items() if mark != key})
    return {name: group for name, group in result.items() if group.told or group.due_ms is not None}


def _in_words(notice: Notice, policy: Policy, now_ms: int) -> Message:
    return compose(
        notice,
        policy.cluster,
        now_ms,
        external_url=policy.external_url,
        external_labels=policy.external_labels,
        zone=policy.zone,
    )


def _complete(notice: Notice, active: Mapping[str, Alert], muted: Mapping[str, frozenset[str]]) -> Notice:
    """Add what stands around: what is hidden by the notice's alerts, and what else is firing."""
    own = {alert.fingerprint for alert in notice.firing}
    hidden = [active[key] for key, sources in muted.items() if key not in own and sources & own]
    return replace(notice, hidden=tuple(sorted(hidden, key=lambda alert: alert.labels)), around=active)
