"""Answering queries about now and the last minutes from memory alone: what rules ask, over and over.

Which columns a set of matchers means is worked out once and remembered until series come or go. Whenever memory does
not hold all that was asked for, the answer is None and ``Query`` reads the disk too.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from alerting.model.labels import Labels
from alerting.model.matcher import Matcher
from alerting.model.series import ABSENT_BITS, STALE_BITS, FloatArray, IntArray
from alerting.storage.newest import NEVER_MS, Newest
from alerting.storage.ports import Instant, Runs
from alerting.storage.query import Source
from alerting.storage.registry import PLANS, Registry, Series


@dataclass(frozen=True, slots=True)
class Part:
    """The series of one source: their columns in its head, and their places among all that were asked for."""

    source: Source
    columns: IntArray
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """How to answer one set of matchers, for as long as the registry finds the same ``series``.

    ``labels`` and ``slots`` (in ``Newest``) are those of the series that have a column; ``elsewhere``: others are on
    disk only. ``distinct``: no two with a column have equal labels.
    """

    series: tuple[Series, ...]
    labels: list[Labels]
    slots: IntArray
    parts: tuple[Part, ...]
    elsewhere: bool
    distinct: bool


class Quick:
    """Thread-safe."""

    def __init__(self, registry: Registry, sources: dict[int, Source], newest: Newest, max_samples: int) -> None:
        self._registry = registry
        self._sources = sources
        self._newest = newest
        self._max_samples = max_samples
        self._lock = threading.Lock()
        self._plans: OrderedDict[tuple[Matcher, ...], Plan] = OrderedDict()

    def latest(self, matchers: Sequence[Matcher], time_ms: int, lookback_ms: int) -> Instant | None:
        """See ``QuickQuerier``."""
        plan = self._plan(matchers)
        if not plan.distinct:
            return None
        times, values = self._newest.get(plan.slots)
        after_ms = time_ms - lookback_ms
        if len(times) and int(times.max()) > time_ms:
            return None
        unknown = plan.elsewhere or (len(times) and int(times.min()) == NEVER_MS)
        if unknown and any(part.source.blocks_end_ms > after_ms for part in plan.parts):
            return None  # what was not heard of since the start may still have a sample on disk
        keep = (times > after_ms) & (values.view(np.int64) != STALE_BITS)
        if keep.all():
            return Instant(plan.labels, times, values)
        rows = keep.nonzero()[0]
        return Instant([plan.labels[row] for row in rows.tolist()], times[rows], values[rows])

    def recent(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Runs | None:
        """See ``QuickQuerier``."""
        plan = self._plan(matchers)
        if not plan.distinct:
            return None
        times: list[IntArray | None] = [None] * len(plan.labels)
        values: list[FloatArray | None] = [None] * len(plan.labels)
        size = 0
        for part in plan.parts:
            head = part.source.head
            with head.lock:  # rows move from the head to a block under it
                if part.source.blocks_end_ms >= start_ms:
                    return None
                rows_ms, rows = head.window(start_ms, end_ms)
            size += len(rows_ms) * len(part.columns)
            if size > self._max_samples:
                return None
            if len(rows_ms):
                _take(part, rows_ms, rows, times, values)
        return _runs(plan.labels, times, values)

    def _plan(self, matchers: Sequence[Matcher]) -> Plan:
        key = tuple(matchers)
        series = self._registry.resolve(matchers)
        with self._lock:
            plan = self._plans.get(key)
            if plan is not None and plan.series is series:
                self._plans.move_to_end(key)
                return plan
        plan = self._new_plan(series)
        with self._lock:
            self._plans[key] = plan
            self._plans.move_to_end(key)
            if len(self._plans) > PLANS:
                self._plans.popitem(last=False)
        return plan

    def _new_plan(self, series: tuple[Series, ...]) -> Plan:
        ids: dict[int, list[int]] = {}
        for one in series:
            ids.setdefault(one.source, []).append(one.id)
        found: dict[int, tuple[int, int]] = {}
        for source_id, its in ids.items():
            head = self._sources[source_id].head
            with head.lock:  # a series that the registry has and that is about to get its column has it then
                found.update((i, place) for i in its if (place := head.place_of(i)) is not None)
        here = [one for one in series if one.id in found]
        places = {one.id: number for number, one in enumerate(here)}
        parts = []
        for source_id, its in ids.items():
            known = [i for i in its if i in found]
            columns = np.array([found[i][0] for i in known], np.int64)
            parts.append(Part(self._sources[source_id], columns, tuple(places[i] for i in known)))
        return Plan(
            series=series,
            labels=[one.labels for one in here],
            slots=np.array([found[one.id][1] for one in here], np.int64),
            parts=tuple(parts),
            elsewhere=len(here) < len(series),
            distinct=all(one.labels != other.labels for one, other in pairwise(here)),
        )


def _take(
    part: Part, rows_ms: IntArray, rows: FloatArray, times: list[IntArray | None], values: list[FloatArray | None]
) -> None:
    """The samples of a source's series, put at their places."""
    matrix = np.ascontiguousarray(rows[:, part.columns].T)
    absent = matrix.view(np.int64) == ABSENT_BITS
    if not absent.any():
        for place, row in zip(part.places, matrix, strict=True):
            times[place], values[place] = rows_ms, row
        return
    for place, row, gaps in zip(part.places, matrix, absent, strict=True):
        times[place], values[place] = rows_ms[~gaps], row[~gaps]


def _runs(labels: list[Labels], times: list[IntArray | None], values: list[FloatArray | None]) -> Runs:
    kept_times = [run for run in times if run is not None and len(run)]
    if len(kept_times) < len(labels):
        labels = [one for one, run in zip(labels, times, strict=True) if run is not None and len(run)]
    bounds = np.zeros(len(labels) + 1, np.int64)
    if not labels:
        return Runs([], np.empty(0, np.int64), np.empty(0), bounds)
    np.cumsum([len(run) for run in kept_times], out=bounds[1:])
    kept_values = [run for run in values if run is not None and len(run)]
    return Runs(labels, np.concatenate(kept_times), np.concatenate(kept_values), bounds)
