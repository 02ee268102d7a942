"""What the dispatcher must not forget, in the same SQLite file as the outbox, so that both change in one transaction.

Only changes are written: an alert when it begins and when it ends, a group when somebody is told.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from alerting.dispatch.groups import Group, Told
from alerting.model.alert import Alert
from alerting.model.labels import Labels
from alerting.notify import outbox
from alerting.storage.database import Database

log = logging.getLogger(__name__)

SCHEMA = """
CREATE TABLE active (fingerprint TEXT PRIMARY KEY, alert TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE alert_group (
  key TEXT PRIMARY KEY,
  receiver TEXT NOT NULL,
  labels TEXT NOT NULL,
  last_ms INTEGER
) WITHOUT ROWID;
CREATE TABLE told (
  group_key TEXT NOT NULL REFERENCES alert_group (key) ON DELETE CASCADE,
  fingerprint TEXT NOT NULL,
  alert TEXT NOT NULL,
  ended_ms INTEGER,
  PRIMARY KEY (group_key, fingerprint)
) WITHOUT ROWID;
"""
MIGRATIONS = (outbox.SCHEMA, SCHEMA)


@dataclass(frozen=True, slots=True)
class State:
    """``active``: firing alerts by fingerprint; ``groups`` by key, those that have told something or wait to."""

    active: dict[str, Alert] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)


def open_database(path: Path, now_ms: int) -> Database:
    """The file of outbox, journal and dispatcher (``alerts.db``). One that is damaged inside is moved aside like one
    that cannot be opened, so that the aggregator always starts. While the disk is full it goes on in memory: people are
    told all the same. Raises StorageError."""
    database = Database(path, MIGRATIONS, now_ms=now_ms, memory_when_full=True)
    database.empty_if_damaged(now_ms)
    return database


def load(database: Database) -> State:
    """Everything that was written and can still be read. Raises StorageError."""
    state = State()
    told: dict[str, dict[str, Told]] = {}
    for key, text in database.rows("SELECT fingerprint, alert FROM active"):
        with _skipping_what_is_damaged(database):
            state.active[key] = _alert(text)
    for group_key, key, text, ended_ms in database.rows("SELECT group_key, fingerprint, alert, ended_ms FROM told"):
        with _skipping_what_is_damaged(database):
            told.setdefault(group_key, {})[key] = Told(_alert(text), None if ended_ms is None else int(ended_ms))
    for key, receiver, labels, last_ms in database.rows("SELECT key, receiver, labels, last_ms FROM alert_group"):
        with _skipping_what_is_damaged(database):
            shared, last = Labels.of(json.loads(labels)), None if last_ms is None else int(last_ms)
            state.groups[key] = Group(key, receiver, shared, told.get(key, {}), last)
    return state


@contextmanager
def _skipping_what_is_damaged(database: Database) -> Iterator[None]:
    """SQLite does not notice a text whose bytes have changed. One entry less is better than no start."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("%s: an entry is damaged and left out: %s: %s", database.path, type(error).__name__, error)


def changed(before: State, after: State) -> bool:
    """Whether there is anything to write."""
    return before.active.keys() != after.active.keys() or _groups_changed(before, after) != []


def save(connection: sqlite3.Connection, before: State, after: State) -> None:
    """Write the difference between what is stored and what holds now, inside the caller's transaction."""
    connection.executemany(
        "DELETE FROM active WHERE fingerprint = ?", [(key,) for key in before.active.keys() - after.active.keys()]
    )
    connection.executemany(
        "INSERT OR REPLACE INTO active VALUES (?, ?)",
        [(key, _text(alert)) for key, alert in after.active.items() if key not in before.active],
    )
    for key in _groups_changed(before, after):
        connection.execute("DELETE FROM alert_group WHERE key = ?", (key,))
        group = after.groups.get(key)
        if group is not None and group.told:
            connection.execute(
                "INSERT INTO alert_group VALUES (?, ?, ?, ?)",
                (key, group.receiver, json.dumps(group.labels.as_dict()), group.last_ms),
            )
            connection.executemany(
                "INSERT INTO told VALUES (?, ?, ?, ?)",
                [(key, mark, _text(told.alert), told.ended_ms) for mark, told in group.told.items()],
            )


def _groups_changed(before: State, after: State) -> list[str]:
    return [key for key in _both(before.groups, after.groups) if _kept(before, key) != _kept(after, key)]


def _both(one: Iterable[str], other: Iterable[str]) -> list[str]:
    return sorted({*one, *other})


def _kept(state: State, key: str) -> tuple[object, ...] | None:
    """What of a group is stored: nothing before it has told something."""
    group = state.groups.get(key)
    if group is None or not group.told:
        return None
    return (group.last_ms, {mark: told.ended_ms for mark, told in group.told.items()})


def _text(alert: Alert) -> str:
    return json.dumps(
        {
            "labels": alert.labels.as_dict(),
            "annotations": dict(alert.annotations),
            "value": alert.value,
            "active_ms": alert.active_ms,
            "fired_ms": alert.fired_ms,
        }
    )


def _alert(text: str) -> Alert:
    stored = json.loads(text)
    return Alert(
        labels=Labels.of(stored["labels"]),
        annotations=stored["annotations"],
        state="firing",
        value=float(stored["value"]),
        active_ms=stored["active_ms"],
        fired_ms=stored["fired_ms"],
    )
