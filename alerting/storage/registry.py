"""Which series exist: by id, by metric name, by matchers."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from alerting.model.labels import METRIC_NAME, Labels
from alerting.model.matcher import Matcher
from alerting.storage.ports import StorageError

PLANS = 512


@dataclass(frozen=True, slots=True)
class Series:
    """One label set of one source. Two sources may have the same label set."""

    id: int
    source: int
    labels: Labels
    name: str


class Registry:
    """Thread-safe. What a set of matchers found is remembered until series come or go."""

    def __init__(self, max_series: int) -> None:
        self._max = max_series
        self._lock = threading.Lock()
        self._by_id: dict[int, Series] = {}
        self._by_name: dict[str, dict[int, Series]] = {}
        self._next = 1
        self._version = 0
        self._plans: OrderedDict[tuple[Matcher, ...], tuple[Series, ...]] = OrderedDict()
        self._plans_version = 0
        self._unsaved: dict[int, Series] = {}
        self._ended: dict[int, int] = {}  # hash of source and labels -> id
        self._revived: set[int] = set()

    @property
    def version(self) -> int:
        """Another one whenever series came or went."""
        return self._version

    def __len__(self) -> int:
        return len(self._by_id)

    def add(self, source: int, labels: Labels) -> int:
        """A new series, or one that had ended; returns its id. Raises StorageError when there are too many."""
        with self._lock:
            known = self._by_id.get(self._ended.get(hash((source, labels)), 0))
            if known is not None and known.source == source and known.labels == labels:
                del self._ended[hash((source, labels))]
                self._revived.add(known.id)
                self._version += 1
                return known.id
            if len(self._by_id) >= self._max:
                raise StorageError(f"more than {self._max} series: {labels} is not stored; look for a label that grows")
            series = Series(self._next, source, labels, labels.metric_name)
            self._put(series)
            self._unsaved[series.id] = series
            return series.id

    def start_at(self, series_id: int) -> None:
        """New series get this id or a higher one."""
        with self._lock:
            self._next = max(self._next, series_id)

    def restore(self, series_id: int, source: int, labels: Labels) -> None:
        """A series read back from disk."""
        with self._lock:
            self._put(Series(series_id, source, labels, labels.metric_name))

    def _put(self, series: Series) -> None:
        self._by_id[series.id] = series
        self._by_name.setdefault(series.name, {})[series.id] = series
        self._next = max(self._next, series.id + 1)
        self._version += 1

    def ended(self, ids: Iterable[int]) -> None:
        """These are on disk only. The same labels of the same source will be the same series again."""
        with self._lock:
            for series_id in ids:
                series = self._by_id.get(series_id)
                if series is not None:
                    self._ended[hash((series.source, series.labels))] = series_id

    @property
    def ended_count(self) -> int:
        """How many are known to be on disk only."""
        return len(self._ended)

    def ended_ids(self) -> list[int]:
        with self._lock:
            return list(self._ended.values())

    def watch(self) -> None:
        """From now on ``remove`` spares what ``add`` brings back."""
        with self._lock:
            self._revived.clear()

    def remove(self, ids: Iterable[int]) -> set[int]:
        """Returns those that it removed."""
        removed = set()
        with self._lock:
            for series_id in ids:
                if series_id in self._revived:
                    continue
                series = self._by_id.pop(series_id, None)
                if series is None:
                    continue
                removed.add(series_id)
                self._unsaved.pop(series_id, None)
                key = hash((series.source, series.labels))
                if self._ended.get(key) == series_id:
                    del self._ended[key]
                same = self._by_name[series.name]
                del same[series_id]
                if not same:
                    del self._by_name[series.name]
            self._version += 1
        return removed

    def get(self, series_id: int) -> Series | None:
        return self._by_id.get(series_id)

    def highest(self) -> int:
        """No id is above this one."""
        return self._next - 1

    def ids(self) -> set[int]:
        with self._lock:
            return set(self._by_id)

    def unsaved(self) -> list[Series]:
        """Series not on disk yet."""
        with self._lock:
            return list(self._unsaved.values())

    def saved(self, series: Iterable[Series]) -> None:
        with self._lock:
            for one in series:
                self._unsaved.pop(one.id, None)

    def forget_saved(self) -> None:
        """The disk is empty again: every series is unsaved."""
        with self._lock:
            self._unsaved = dict(self._by_id)

    def resolve(self, matchers: Sequence[Matcher]) -> tuple[Series, ...]:
        """Series that match, sorted by labels, then by id."""
        key = tuple(matchers)
        with self._lock:
            version = self._version
            if version != self._plans_version:  # none of them holds any more, and they hold series that are gone
                self._plans.clear()
                self._plans_version = version
            known = self._plans.get(key)
            if known is not None:
                self._plans.move_to_end(key)
                return known
            names = self._names(matchers)
        # Without the lock: an expression may take its time, and who makes a series must not wait for it.
        on_name = [matcher for matcher in matchers if matcher.name == METRIC_NAME]
        rest = [matcher for matcher in matchers if matcher.name != METRIC_NAME]
        fitting = [name for name in names if all(matcher.matches(name) for matcher in on_name)]
        with self._lock:
            candidates = [series for name in fitting for series in self._by_name.get(name, {}).values()]
        found = tuple(sorted((s for s in candidates if _matches(rest, s.labels)), key=lambda s: (s.labels, s.id)))
        with self._lock:
            if version == self._plans_version:
                self._plans[key] = found
                if len(self._plans) > PLANS:
                    self._plans.popitem(last=False)
        return found

    def _names(self, matchers: Sequence[Matcher]) -> list[str]:
        """The metric names that may fit. The caller holds the lock."""
        for matcher in matchers:
            if matcher.name == METRIC_NAME and matcher.op == "=":
                return [matcher.value] if matcher.value in self._by_name else []
        return list(self._by_name)


def _matches(matchers: Sequence[Matcher], labels: Labels) -> bool:
    return all(matcher.matches(labels.get(matcher.name)) for matcher in matchers)
