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

_NO_TIMES: IntArray = np.empty(0, np.int64)
_NO_VALUES: FloatArray = np.empty(0)


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
    disk only. ``distinct``: no two with a column have equal labels. ``generation`` is that of ``Newest`` of before all
    of it was looked up: in another one slots and columns may be of other series.
    """

    series: tuple[Series, ...]
    labels: list[Labels]
    slots: IntArray
    parts: tuple[Part, ...]
    elsewhere: bool
    distinct: bool
    generation: int


class Quick:
    """Thread-safe."""

    def __init__(self, registry: Registry, sources: dict[int, Source], newest: Newest, max_samples: int) -> None:
        self._registry = registry
        self._sources = sources
        self._newest = newest
        self._max_samples = max_samples
        self._lock = threading.Lock()
        self._plans: OrderedDict[tuple[Matcher, ...], Plan] = OrderedDict()
        # By the identity of the matchers, which are held.
        self._asked: dict[int, tuple[tuple[Matcher, ...], Plan]] = {}
        self._state = (-1, -1)

    def latest(self, matchers: Sequence[Matcher], time_ms: int, lookback_ms: int) -> Instant | None:
        """See ``QuickQuerier``."""
        plan = self._plan(matchers)
        found = self._newest.get(plan.slots, plan.generation) if plan.distinct else None
        if found is None:
            return None
        times, values = found
        after_ms = time_ms - lookback_ms
        if len(times) and int(times.max()) > time_ms:
            return self._latest_before(matchers, time_ms, lookback_ms)
        unknown = plan.elsewhere or (len(times) and int(times.min()) == NEVER_MS)
        if unknown and not all(_in_memory(part.source, after_ms + 1, time_ms) for part in plan.parts):
            return None  # what was not heard of since the start may still have a sample on disk
        keep = (times > after_ms) & (values.view(np.int64) != STALE_BITS)
        if keep.all():
            return Instant(plan.labels, times, values)
        rows = keep.nonzero()[0]
        return Instant([plan.labels[row] for row in rows.tolist()], times[rows], values[rows])

    def _latest_before(self, matchers: Sequence[Matcher], time_ms: int, lookback_ms: int) -> Instant | None:
        """Something newer came in between: a rule is evaluated for its time, a moment ago."""
        runs = self.recent(matchers, time_ms - lookback_ms + 1, time_ms)
        if runs is None:
            return None
        last = runs.bounds[1:] - 1
        values = runs.values[last]
        rows = (values.view(np.int64) != STALE_BITS).nonzero()[0]
        return Instant([runs.labels[row] for row in rows.tolist()], runs.times[last[rows]], values[rows])

    def recent(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Runs | None:
        """See ``QuickQuerier``."""
        plan = self._plan(matchers)
        if not plan.distinct:
            return None
        times: list[IntArray] = [_NO_TIMES] * len(plan.labels)
        values: list[FloatArray] = [_NO_VALUES] * len(plan.labels)
        size = 0
        for part in plan.parts:
            head = part.source.head
            with head.lock:  # rows move from the head to a block under it
                if self._newest.generation != plan.generation or not part.source.in_memory(start_ms, end_ms):
                    return None
                rows_ms, rows = head.window(start_ms, end_ms)
            size += len(rows_ms) * len(part.columns)
            if size > self._max_samples:
                return None
            for place, row in zip(part.places, rows[:, part.columns].T, strict=True):
                times[place], values[place] = rows_ms, row
        return _runs(plan.labels, times, values)

    def _plan(self, matchers: Sequence[Matcher]) -> Plan:
        state = self._registry.version, self._newest.generation
        with self._lock:
            if state != self._state:  # no plan holds any more, and they hold series that are gone
                self._plans.clear()
                self._asked.clear()
                self._state = state
            # A rule asks with the same tuple each time: no need to hash its matchers.
            asked = self._asked.get(id(matchers))
        if asked is not None and asked[0] is matchers:
            return asked[1]
        plan = self._shared_plan(tuple(matchers), state[1])
        with self._lock:
            if isinstance(matchers, tuple) and state == self._state:
                if len(self._asked) >= PLANS:
                    self._asked.clear()
                self._asked[id(matchers)] = (matchers, plan)
        return plan

    def _shared_plan(self, key: tuple[Matcher, ...], generation: int) -> Plan:
        series = self._registry.resolve(key)
        with self._lock:
            plan = self._plans.get(key)
            if plan is not None and plan.series is series and plan.generation == generation:
                self._plans.move_to_end(key)
                return plan
        plan = self._new_plan(series, generation)
        with self._lock:
            self._plans[key] = plan
            if len(self._plans) > PLANS:
                self._plans.popitem(last=False)
        return plan

    def _new_plan(self, series: tuple[Series, ...], generation: int) -> Plan:
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
            generation=generation,
        )


def _in_memory(source: Source, start_ms: int, end_ms: int) -> bool:
    with source.head.lock:
        return source.in_memory(start_ms, end_ms)


def _runs(labels: list[Labels], times: list[IntArray], values: list[FloatArray]) -> Runs:
    """Absent places taken out, and series that have nothing else."""
    bounds = np.zeros(len(labels) + 1, np.int64)
    if not labels:
        return Runs([], np.empty(0, np.int64), np.empty(0), bounds)
    np.cumsum([len(run) for run in times], out=bounds[1:])
    all_times, all_values = np.concatenate(times), np.concatenate(values)
    given = all_values.view(np.int64) != ABSENT_BITS
    if not given.all():
        before = np.zeros(len(given) + 1, np.int64)
        np.cumsum(given, out=before[1:])
        bounds = before[bounds]
        all_times, all_values = all_times[given], all_values[given]
    lengths = np.diff(bounds)
    if not lengths.all():
        labels = [one for one, length in zip(labels, lengths.tolist(), strict=True) if length]
        bounds = np.concatenate((bounds[:1], bounds[1:][lengths > 0]))
    return Runs(labels, all_times, all_values, bounds)
