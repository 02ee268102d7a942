"""What the API needs from the other rooms, as small protocols: tests give fakes, the application the real ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from alerting.clock import Clock
from alerting.model.alert import Alert
from alerting.model.labels import Labels
from alerting.model.matcher import Matcher
from alerting.promql import nodes
from alerting.promql.budget import Patience
from alerting.promql.value import Result
from alerting.rules.views import GroupView
from alerting.scrape.line import Metadata
from alerting.scrape.report import TargetView
from alerting.scrape.targets import Target


class Queries(Protocol):
    """``alerting.promql.engine.Engine``; called in worker threads."""

    def instant(
        self, expr: nodes.Expr, time_ms: int, *, patience: Patience | None = None, lookback_ms: int | None = None
    ) -> Result: ...

    def range(
        self,
        expr: nodes.Expr,
        start_ms: int,
        end_ms: int,
        step_ms: int,
        *,
        patience: Patience | None = None,
        lookback_ms: int | None = None,
    ) -> Result: ...


class SeriesIndex(Protocol):
    """The part of ``alerting.storage.store.Store`` that tells which series there are; called in worker threads."""

    def series(self, matcher_sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[Labels]: ...

    def label_names(self, matcher_sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[str]: ...

    def label_values(
        self, name: str, matcher_sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int
    ) -> list[str]: ...


@runtime_checkable
class IndexPerQuery(Protocol):
    """An index that also asks elsewhere: ``warn`` gets whole sentences about what could not be asked."""

    def begin(self, deadline: float | None, warn: Callable[[str], None]) -> SeriesIndex: ...


class Rules(Protocol):
    """The part of ``alerting.rules.manager.RuleManager`` that shows."""

    def groups(self) -> list[GroupView]: ...

    def active(self) -> list[Alert]: ...


class Targets(Protocol):
    """The part of ``alerting.scrape.manager.ScrapeManager`` that shows."""

    def targets(self) -> list[TargetView]: ...

    def metadata(self) -> list[tuple[Target, dict[str, Metadata]]]:
        """Called in worker threads."""


@dataclass(frozen=True, slots=True)
class ConfigState:
    """How the last reading of the configuration went. ``text``: what runs, as YAML, without secrets.

    ``loaded_ms``: when what runs was read. ``error``: why the newest reading was refused; empty when it was not.
    """

    text: str = ""
    loaded_ms: int = 0
    ok: bool = True
    error: str = ""


@dataclass(frozen=True, slots=True)
class Services:
    """Everything the API answers from.

    ``not_ready`` gives the reason why the aggregator is not ready, an empty text when it is. ``metrics`` renders the
    page of its own metrics; it runs in a thread. Durations in seconds.
    """

    queries: Queries
    index: SeriesIndex | IndexPerQuery
    rules: Rules
    targets: Targets
    clock: Clock
    not_ready: Callable[[], str]
    metrics: Callable[[], bytes]
    config: Callable[[], ConfigState] = ConfigState
    version: str = "dev"
    started_ms: int = 0
    retention: float = 30 * 86400.0
    limits: Limits = field(default_factory=lambda: Limits())


@dataclass(frozen=True, slots=True)
class Limits:
    """``query_seconds``: the longest a query may take, waiting included. ``threads``: queries that run at once.

    ``waiting``: queries that may wait for one. ``body_bytes``: of a request. ``points``: samples in one answer, about
    30 bytes each as text.
    """

    query_seconds: float = 30.0
    threads: int = 2
    waiting: int = 64
    body_bytes: int = 1 << 20
    points: int = 2_000_000
