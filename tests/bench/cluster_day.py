"""The seven nodes of the shipped cluster, scraped and judged in simulated time: as much of a day as wanted.

Each step brings every node's page, read and stored as the scraper does it, the shipped rules, and a flush.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from alerting.model.labels import METRIC_NAME, quote
from alerting.model.series import ABSENT, STALE_BITS, IntArray
from alerting.promql.engine import Engine
from alerting.promql.value import format_value
from alerting.rules.expressions import evaluate_with
from alerting.rules.group import RunningGroup, Surroundings
from alerting.rules.load import load_rules
from alerting.scrape.exposition import PageReader
from alerting.scrape.schedule import offset_ms, places
from alerting.scrape.targets import NODE_JOB, Target, targets_of
from alerting.storage.store import Store
from config.load import load
from tests.bench.recorded import nodes

CONFIG = Path(__file__).parents[2] / "config"
STEP_MS = 15_000
_REPORTS = (
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
)


class ScrapedNode:
    """One target and its columns."""

    def __init__(self, target: Target, store: Store, offset_ms: int, seed: int) -> None:
        self.name = target.labels.get("node")
        self.offset_ms = offset_ms
        self._reader = PageReader(target.limits, target.attach)
        self._writer = store.source(f"scrape/{target.name}")
        self._reports = [self._writer.column(target.labels.replace(__name__=name)) for name in _REPORTS]
        self._columns: IntArray = np.empty(0, np.int64)
        self._random = np.random.default_rng(seed)

    def scrape(self, time_ms: int, body: bytes) -> None:
        page = self._reader.read(body)
        if len(self._reader.labels) > len(self._columns):
            self._columns = np.array([self._writer.column(labels) for labels in self._reader.labels], np.int64)
        row = np.full(self._writer.width, ABSENT)
        row[self._columns[page.slots]] = page.values
        took = 0.02 + self._random.gamma(2, 0.005)
        row[self._reports] = (1.0, took, page.samples, page.samples, page.added)
        assert self._writer.append(time_ms, row)


class ClusterDay:
    """Feeds a store with ``pages`` (``living_pages.stream``). ``now_ms`` is the end of what was fed.

    ``groups``: the rules, those of an aggregator; else the shipped ones.
    """

    def __init__(
        self, store: Store, pages: Iterator[list[bytes]], start_ms: int, groups: Sequence[RunningGroup] | None = None
    ) -> None:
        self.store = store
        self.now_ms = start_ms
        self._pages = pages
        config = load(CONFIG, {})
        targets = [target for target in targets_of(config) if target.job == NODE_JOB]
        offsets = [offset_ms(target.name, STEP_MS, places(len(targets))) for target in targets]
        self._nodes = [ScrapedNode(targets[n], store, offsets[n], seed=n) for n in range(len(targets))]
        self._nodes.sort(key=lambda node: node.offset_ms)
        self._place = {name: place for place, name in enumerate(nodes())}
        around = Surroundings(evaluate_with(Engine(store)), store, default_interval_ms=STEP_MS)
        shipped = load_rules(config.rule_paths()) if groups is None else []
        self._groups = groups or [RunningGroup(group, around) for group in shipped]

    def step(self, *, rules: bool = True) -> None:
        pages = next(self._pages)
        for node in self._nodes:
            node.scrape(self.now_ms + node.offset_ms, pages[self._place[node.name]])
        self.now_ms += STEP_MS
        for group in self._groups if rules else ():
            outcome = group.evaluate(self.now_ms - 1)
            assert not outcome.failures, [state.last for state in group.rules if state.last and state.last.error]
        assert self.store.flush(self.now_ms)


def openmetrics(store: Store, start_ms: int, end_ms: int) -> Iterator[str]:
    """What a store has in a window (the end not included) as OpenMetrics text, a piece a series.

    The format has no staleness markers: they are left out.
    """
    for series in store.select([], start_ms, end_ms - 1):
        name = series.labels.metric_name
        inner = ",".join(f"{label}={quote(text)}" for label, text in series.labels if label != METRIC_NAME)
        head = f"{name}{{{inner}}} "
        keep = series.values.view(np.int64) != STALE_BITS
        texts: dict[float, str] = {}
        lines = []
        for time_ms, value in zip(series.times[keep].tolist(), series.values[keep].tolist(), strict=True):
            text = texts.get(value)
            if text is None:
                text = texts[value] = format_value(value)
            lines.append(f"{head}{text} {time_ms / 1000:.3f}\n")
        yield "".join(lines)
    yield "# EOF\n"
