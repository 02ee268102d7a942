"""What the phone is told of a story: the shipped rules, routes, inhibitions and words over series that a test writes.

Time is an argument all the way: nothing waits, and a story of an hour takes a second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

from alerting.clock import FakeClock
from alerting.dispatch import policy, store
from alerting.dispatch.dispatcher import Dispatcher
from alerting.notify.outbox import Outbox
from alerting.promql.engine import Engine
from alerting.rules.expressions import evaluate_with
from alerting.rules.group import RunningGroup, Surroundings
from alerting.rules.load import load_rules
from alerting.rules.notation import samples, series_labels
from alerting.rules.scratch import ScratchStorage
from alerting.storage.database import Database
from config.load import load
from config.secrets import Secret

CONFIG = Path(__file__).resolve().parents[2] / "config"
STEP_MS = 5_000
# Tuesday, 14 November 2023, 22:00:00 UTC.
BEGIN_MS = 1_700_000_000_000 - 800_000


@dataclass(frozen=True, slots=True)
class Said:
    """``at``: seconds since the story began."""

    at: float
    title: str
    body: str


@contextmanager
def teller(folder: Path, rule_files: Sequence[str]) -> Iterator[Teller]:
    """``rule_files``: of config/rules, by name; ``folder`` is for a database."""
    database = store.open_database(folder / "alerts.db", BEGIN_MS)
    try:
        yield Teller(database, rule_files)
    finally:
        database.close()


class Teller:
    """Tells one story."""

    def __init__(self, database: Database, rule_files: Sequence[str]) -> None:
        loaded = load(CONFIG)
        urls = {name: (Secret("json://127.0.0.1/phone"),) for name in ("phone", "page-only")}
        self._storage = ScratchStorage()
        around = Surroundings(
            evaluate=evaluate_with(Engine(self._storage, subquery_step_ms=STEP_MS)),
            storage=self._storage,
            default_interval_ms=STEP_MS,
        )
        self._groups = [
            RunningGroup(group, around) for group in load_rules([CONFIG / "rules" / name for name in rule_files])
        ]
        self._outbox = Outbox(database, urls)
        self._dispatcher = Dispatcher(
            database, self._outbox, policy.build(loaded.alerting, loaded.cluster, zone=UTC), FakeClock()
        )

    def tell(self, series: Mapping[str, str], step_ms: int = STEP_MS) -> list[Said]:
        """What the phone shows. ``series``: promtool's notation, a value each ``step_ms``; the longest is the end."""
        every = [(series_labels(name), samples(values)) for name, values in series.items()]
        length = max(len(values) for _, values in every)
        for position in range(length):
            now_ms = BEGIN_MS + position * step_ms
            for labels, values in every:
                if position < len(values) and (value := values[position]) is not None:
                    self._storage.put(labels, now_ms, value)
            for group in self._groups:
                self._dispatcher.update(group.evaluate(now_ms).told, now_ms)
            wake_ms = self._dispatcher.process(now_ms)
            while wake_ms is not None and wake_ms < now_ms + step_ms:
                wake_ms = self._dispatcher.process(wake_ms)
        return [
            Said((entry.queued_ms - BEGIN_MS) / 1000, entry.title, entry.body)
            for entry in reversed(self._outbox.journal())
            if entry.receiver == "phone"
        ]
