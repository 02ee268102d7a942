"""The aggregator's work without its network, in simulated time: seven recorded nodes, a real store, the shipped rules.

A round is what five seconds bring: seven pages read and stored, every rule evaluated, every other time a flush.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from alerting.model.labels import Labels
from alerting.model.matcher import Matcher
from alerting.model.series import ABSENT, IntArray, SeriesData
from alerting.promql.engine import Engine
from alerting.rules.expressions import evaluate_with
from alerting.rules.group import RunningGroup, Surroundings
from alerting.rules.load import load_rules
from alerting.scrape.exposition import PageReader
from alerting.scrape.targets import Target, targets_of
from alerting.storage.ports import Instant, Runs
from alerting.storage.store import Store, StoreOptions
from config.load import load
from tests.bench.recorded import Recording

CONFIG = Path(__file__).parents[2] / "config"
START = 1_700_000_000_000
STEP_MS = 5000
FLUSH_ROUNDS = 2

Result = TypeVar("Result")


class Node:
    """One target: its page, its reader, its columns."""

    def __init__(self, target: Target, store: Store) -> None:
        self._recording = Recording(target.labels.get("node"))
        self._reader = PageReader(target.limits, target.attach)
        self._writer = store.source(f"scrape/{target.name}")
        self._up = target.labels.replace(__name__="up")
        self._columns: IntArray = np.empty(0, np.int64)

    def page(self, number: int) -> bytes:
        return self._recording.page(number)

    def scrape(self, body: bytes, time_ms: int) -> None:
        page = self._reader.read(body)
        if len(self._reader.labels) > len(self._columns):
            self._columns = np.array([self._writer.column(labels) for labels in self._reader.labels], np.int64)
        up = self._writer.column(self._up)
        row = np.full(self._writer.width, ABSENT)
        row[self._columns[page.slots]] = page.values
        row[up] = 1.0
        assert self._writer.append(time_ms, row)


class CountingStore(Store):
    """Counts what is asked of it: all questions, and those that memory alone did not answer."""

    questions = 0
    selects = 0

    def latest(self, matchers: Sequence[Matcher], time_ms: int, lookback_ms: int) -> Instant | None:
        self.questions += 1
        return super().latest(matchers, time_ms, lookback_ms)

    def recent(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Runs | None:
        self.questions += 1
        return super().recent(matchers, start_ms, end_ms)

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[SeriesData]:
        self.selects += 1
        return super().select(matchers, start_ms, end_ms)


class Simulation:
    """``seconds``: CPU seconds of this thread by part."""

    def __init__(self, folder: Path) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.number = 0
        self.store = CountingStore.open(folder / "metrics.db", StoreOptions(), START)
        config = load(CONFIG, {})
        self.nodes = [Node(target, self.store) for target in targets_of(config) if target.job == "node"]
        around = Surroundings(evaluate_with(Engine(self.store)), self.store, default_interval_ms=STEP_MS)
        self.groups = [RunningGroup(group, around) for group in load_rules(config.rule_paths())]

    @property
    def now_ms(self) -> int:
        return START + self.number * STEP_MS

    @property
    def rules(self) -> int:
        return sum(len(group.rules) for group in self.groups)

    def round(self, *, rules: bool = True) -> None:
        """``rules`` False: history only, which is quicker."""
        self.number += 1
        now_ms = self.now_ms
        for node in self.nodes:
            body = node.page(self.number)
            self._timed("scrape", lambda node=node, body=body: node.scrape(body, now_ms))  # type: ignore[misc]
        if rules:
            for group in self.groups:
                outcome = self._timed("rules", lambda group=group: group.evaluate(now_ms + 500))  # type: ignore[misc]
                assert outcome.failures == 0, [state.last for state in group.rules if state.last and state.last.error]
        if self.number % FLUSH_ROUNDS == 0:
            assert self._timed("flush", lambda: self.store.flush(now_ms))

    def answers(self) -> dict[str, list[tuple[Labels, float]]]:
        """What every rule's expression gives now."""
        evaluate = evaluate_with(Engine(self.store))
        states = [state for group in self.groups for state in group.rules]
        return {state.rule_id: list(evaluate(state.rule.expr, self.now_ms)) for state in states}

    def close(self) -> None:
        self.store.close()

    def _timed(self, part: str, work: Callable[[], Result]) -> Result:
        began = time.thread_time()
        try:
            return work()
        finally:
            self.seconds[part] += time.thread_time() - began
