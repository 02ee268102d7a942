"""Gathers what the page shows from the parts of a running aggregator."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from alerting.clock import Clock
from alerting.dispatch.dispatcher import AlertView
from alerting.model.alert import Alert
from alerting.notify import outbox
from alerting.page.services import CONTAINER_QUERY, PROBE_QUERY, UNIT_QUERY, by_service
from alerting.page.status import JournalEntry, Known, TargetHealth, build_status
from alerting.page.vitals import FLAGS, SPARK_MINUTES, SPARK_POINTS, SPARK_QUERY, VITALS, Figures
from alerting.promql.errors import QueryError
from alerting.promql.nodes import Expr
from alerting.promql.parse import parse
from alerting.promql.value import Matrix, Result, Vector
from alerting.scrape.report import TargetView
from alerting.scrape.targets import NODE_JOB
from alerting.storage.ports import StorageError
from config.load import Config
from config.units import format_duration

log = logging.getLogger(__name__)

_JOURNAL = 12
_WAITING_TOO_LONG_MS = 60_000
_VITALS = [(vital.key, parse(vital.query)) for vital in VITALS]
_FLAGS = [parse(query) for query, _, _ in FLAGS]
_SERVICES = (parse(PROBE_QUERY), parse(CONTAINER_QUERY), parse(UNIT_QUERY))
_SPARK = parse(SPARK_QUERY)


class Parts(Protocol):
    """What of the aggregator is asked."""

    @property
    def config(self) -> Config: ...
    def targets(self) -> Sequence[TargetView]: ...
    def active_alerts(self) -> Sequence[Alert]: ...
    def told_alerts(self) -> Sequence[AlertView]: ...
    def journal(self, limit: int) -> Sequence[outbox.JournalEntry]: ...
    def query(self, expr: Expr, time_ms: int) -> Result: ...
    def query_range(self, expr: Expr, start_ms: int, end_ms: int, step_ms: int) -> Result: ...
    def notes(self) -> Sequence[str]: ...


class PageSource:
    """A ``StatusSource``."""

    def __init__(self, parts: Parts, clock: Clock) -> None:
        self._parts = parts
        self._clock = clock

    async def __call__(self) -> dict[str, Any]:
        now_ms = self._clock.now_ms()
        figures, journal = await asyncio.to_thread(self._slow, now_ms)
        parts = self._parts
        known = Known(
            cluster=parts.config.cluster,
            targets=[_health(view) for view in parts.targets()],
            alerts=parts.active_alerts(),
            hidden=_hidden(parts.told_alerts()),
            figures=figures,
            journal=[_entry(entry) for entry in journal],
            notes=[*parts.notes(), *_late(journal, now_ms)],
        )
        return build_status(known, now_ms)

    def _slow(self, now_ms: int) -> tuple[Figures, Sequence[outbox.JournalEntry]]:
        try:
            journal = self._parts.journal(_JOURNAL)
        except StorageError as error:
            log.warning("the journal cannot be read: %s", error)
            journal = []
        vitals = {key: self._by_node(expr, now_ms) for key, expr in _VITALS}
        flags: dict[str, tuple[int, ...]] = {}
        for index, expr in enumerate(_FLAGS):
            for node in self._by_node(expr, now_ms):
                flags[node] = (*flags.get(node, ()), index)
        services = by_service(*(self._vector(expr, now_ms) for expr in _SERVICES))
        return Figures(vitals, self._sparks(now_ms), flags, services), journal

    def _by_node(self, expr: Expr, now_ms: int) -> dict[str, float]:
        return {labels.get("node"): number for labels, number in self._vector(expr, now_ms) or ()}

    def _vector(self, expr: Expr, now_ms: int) -> Vector | None:
        try:
            value = self._parts.query(expr, now_ms).value
        except (QueryError, StorageError) as error:
            log.warning("a figure of the page is missing: %s", error)
            return None
        return value if isinstance(value, Vector) else None

    def _sparks(self, now_ms: int) -> Mapping[str, list[float | None]]:
        step_ms = SPARK_MINUTES * 60_000 // SPARK_POINTS
        # Whole steps, so that a line keeps its shape and only moves on.
        end_ms = now_ms // step_ms * step_ms
        start_ms = end_ms - step_ms * (SPARK_POINTS - 1)
        try:
            value = self._parts.query_range(_SPARK, start_ms, end_ms, step_ms).value
        except (QueryError, StorageError) as error:
            log.warning("the lines of the page are missing: %s", error)
            return {}
        sparks: dict[str, list[float | None]] = {}
        for series in value if isinstance(value, Matrix) else ():
            line: list[float | None] = [None] * SPARK_POINTS
            for time_ms, number in zip(series.times.tolist(), series.values.tolist(), strict=True):
                line[(time_ms - start_ms) // step_ms] = round(number, 4) if math.isfinite(number) else None
            sparks[series.labels.get("node")] = line
        return sparks


def _health(view: TargetView) -> TargetHealth:
    labels = view.target.labels
    service = "" if view.target.job == NODE_JOB else labels.get("service")
    return TargetHealth(labels.get("node"), service, view.health, view.last_error, view.since_ms)


def _hidden(views: Sequence[AlertView]) -> dict[str, str]:
    names = {view.alert.fingerprint: view.alert.name for view in views}
    return {
        view.alert.fingerprint: names.get(view.inhibited_by[0], view.inhibited_by[0])
        for view in views
        if view.inhibited_by
    }


def _entry(entry: outbox.JournalEntry) -> JournalEntry:
    if entry.state == "delivered":
        text = f"told {entry.receiver}"
        if entry.done_ms is not None and entry.done_ms - entry.queued_ms >= _WAITING_TOO_LONG_MS:
            text += f", {format_duration((entry.done_ms - entry.queued_ms) // 1000)} late"
    elif entry.state == "waiting":
        text = f"waiting, {entry.attempts} tries: {entry.reason}" if entry.attempts else "on its way"
    else:
        text = f"given up: {entry.reason}"
    return JournalEntry(entry.queued_ms, entry.receiver, entry.title, entry.state, text)


def _late(journal: Sequence[outbox.JournalEntry], now_ms: int) -> list[str]:
    waiting = [
        entry for entry in journal if entry.state == "waiting" and now_ms - entry.queued_ms > _WAITING_TOO_LONG_MS
    ]
    if not waiting:
        return []
    oldest = min(waiting, key=lambda entry: entry.queued_ms)
    age = format_duration((now_ms - oldest.queued_ms) // 1000)
    return [f"{oldest.receiver} could not be told for {age}: {oldest.reason or 'no answer yet'}; trying on"]
