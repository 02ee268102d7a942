"""A small world for rules: a clock moved by hand, a store in memory, somebody who listens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from alerting.clock import FakeClock
from alerting.model.alert import Alert
from alerting.model.labels import Labels
from alerting.model.matcher import Matcher
from alerting.promql.engine import Engine
from alerting.rules.definitions import Group
from alerting.rules.expressions import evaluate_with
from alerting.rules.group import Surroundings
from alerting.rules.load import load_rules
from alerting.rules.manager import Options, RuleManager
from alerting.rules.scratch import ScratchStorage
from alerting.rules.state_store import AlertStateStore, MemoryStateStore


@dataclass
class Listener:
    """Who hears of alerts. ``heard``: (time, names and states) of every call that brought any."""

    heard: list[tuple[int, list[str]]] = field(default_factory=list)
    last: Sequence[Alert] = ()

    def update(self, alerts: Sequence[Alert], now_ms: int) -> None:
        self.last = tuple(alerts)
        if alerts:
            self.heard.append((now_ms, sorted(f"{alert.name} {alert.state}" for alert in alerts)))


class World:
    def __init__(self, folder: Path, *, store: AlertStateStore | None = None) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.storage = ScratchStorage()
        self.listener = Listener()
        self.store: AlertStateStore = store or MemoryStateStore()
        self.around = Surroundings(
            evaluate_with(Engine(self.storage)),
            self.storage,
            5_000,
            {"site": "home"},
            "http://hub/",
            monotonic=lambda: self.clock.now_ms() / 1000,
        )

    def groups(self, text: str, name: str = "r.yml") -> list[Group]:
        path = self.folder / name
        path.write_text(text)
        return load_rules([path])

    def manager(
        self, text: str, *, ready: Callable[[int], bool] = lambda _: True, around: Surroundings | None = None
    ) -> RuleManager:
        manager = RuleManager(
            self.groups(text),
            around or self.around,
            sink=self.listener,
            clock=self.clock,
            store=self.store,
            options=Options(ready=ready),
        )
        manager.restore()
        return manager

    def put(self, name: str, value: float, **labels: str) -> None:
        """A sample now."""
        self.storage.put(Labels.of({"__name__": name, **labels}), self.clock.now_ms(), value)

    def last(self, name: str) -> dict[Labels, float]:
        """The newest sample of each series of a metric, its name left out."""
        found = self.storage.select([Matcher("__name__", "=", name)], 0, self.clock.now_ms() + 1000)
        return {series.labels.without(("__name__",)): float(series.values[-1]) for series in found}
