"""Where alert states survive the process: the port, a memory one for tests, and SQLite."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

from alerting.model.alert import Alert, AlertState
from alerting.model.labels import Labels
from alerting.storage.database import Database, DatabaseDamaged

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredStates:
    """``alerts`` by rule. ``seen_ms``: when the states were last known to be true, None when nothing is stored."""

    alerts: Mapping[str, tuple[Alert, ...]] = field(default_factory=dict)
    seen_ms: int | None = None


class AlertStateStore(Protocol):
    """Blocking; called from a worker thread. Raises StorageError."""

    def load(self) -> StoredStates:
        """Everything stored."""

    def save(self, states: Mapping[str, Sequence[Alert]], now_ms: int) -> None:
        """Replace the alerts of the rules named (an empty one is forgotten), all or nothing, and note the time."""

    def note(self, now_ms: int) -> None:
        """The states are still true."""


class MemoryStateStore:
    """For tests and for runs that leave nothing behind."""

    def __init__(self) -> None:
        self._alerts: dict[str, tuple[Alert, ...]] = {}
        self._seen_ms: int | None = None

    def load(self) -> StoredStates:
        return StoredStates(dict(self._alerts), self._seen_ms)

    def save(self, states: Mapping[str, Sequence[Alert]], now_ms: int) -> None:
        for rule, alerts in states.items():
            self._alerts.pop(rule, None)
            if alerts:
                self._alerts[rule] = tuple(alerts)
        self._seen_ms = now_ms

    def note(self, now_ms: int) -> None:
        self._seen_ms = now_ms


MIGRATIONS = (
    """
    CREATE TABLE alert_states (
        rule TEXT NOT NULL,
        labels TEXT NOT NULL,
        annotations TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('pending', 'firing', 'resolved')),
        value TEXT NOT NULL,
        active_ms INTEGER NOT NULL,
        fired_ms INTEGER,
        resolved_ms INTEGER,
        keep_firing_since_ms INTEGER,
        PRIMARY KEY (rule, labels)
    ) WITHOUT ROWID;
    CREATE TABLE alert_seen (one INTEGER PRIMARY KEY CHECK (one = 1), at_ms INTEGER NOT NULL);
    """,
)

_INSERT = "INSERT INTO alert_states VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SEEN = "INSERT INTO alert_seen VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET at_ms = excluded.at_ms"


class SqliteStateStore:
    """A few rows in a file of their own; each save is one transaction that survives a power cut."""

    def __init__(self, path: Path, now_ms: int) -> None:
        """Open or create. A damaged file is moved aside (Database says where). Raises StorageError."""
        self.database = Database(path, MIGRATIONS, now_ms=now_ms)
        self.database.empty_if_damaged(now_ms)
        self._known: dict[str, tuple[Alert, ...]] = {}
        self._rewrite = False  # the file has lost what is known

    def load(self) -> StoredStates:
        alerts: dict[str, list[Alert]] = {}
        for rule, *columns in self.database.rows("SELECT * FROM alert_states ORDER BY rule, labels"):
            # SQLite does not notice a text whose bytes have changed. One state less is better than no start.
            try:
                alert = _alert(columns)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                log.warning(
                    "%s: a state of %s is damaged and left out: %s: %s",
                    self.database.path, rule, type(error).__name__, error,
                )  # fmt: skip
            else:
                alerts.setdefault(rule, []).append(alert)
        seen = self.database.rows("SELECT at_ms FROM alert_seen")
        self._known = {rule: tuple(some) for rule, some in alerts.items()}
        return StoredStates(dict(self._known), seen[0][0] if seen else None)

    def save(self, states: Mapping[str, Sequence[Alert]], now_ms: int) -> None:
        """A file that turns out damaged is moved aside, and everything known written anew."""
        try:
            self._write(states, now_ms)
        except DatabaseDamaged as error:
            log.warning("%s", error)
            self._rewrite = True
            self.database.reopen_empty(now_ms)
            self._write(states, now_ms)

    def note(self, now_ms: int) -> None:
        self.save({}, now_ms)

    def _write(self, states: Mapping[str, Sequence[Alert]], now_ms: int) -> None:
        changed = {**self._known, **states} if self._rewrite else states
        with self.database.transaction() as connection:
            for rule, alerts in changed.items():
                connection.execute("DELETE FROM alert_states WHERE rule = ?", (rule,))
                connection.executemany(_INSERT, [_row(rule, alert) for alert in alerts])
            connection.execute(_SEEN, (now_ms,))
        self._rewrite = False
        self._known.update((rule, tuple(alerts)) for rule, alerts in states.items())

    def close(self) -> None:
        self.database.close()


def _row(rule: str, alert: Alert) -> tuple[Any, ...]:
    return (
        rule,
        json.dumps(alert.labels.as_dict(), ensure_ascii=False, sort_keys=True),
        json.dumps(dict(alert.annotations), ensure_ascii=False),
        alert.state,
        repr(float(alert.value)),  # SQLite turns NaN into NULL
        alert.active_ms,
        alert.fired_ms,
        alert.resolved_ms,
        alert.keep_firing_since_ms,
    )


def _alert(columns: Sequence[Any]) -> Alert:
    labels, annotations, state, value, active, fired, resolved, keep = columns
    return Alert(
        Labels.of(json.loads(labels)),
        json.loads(annotations),
        cast(AlertState, state),
        float(value),
        int(active),
        *(None if time is None else int(time) for time in (fired, resolved, keep)),
    )
