"""The own store first, the remote one for what the own does not have: the meaning of Prometheus' fan-out storage
(storage/fanout.go, storage/remote/read.go), where a failure of the second is a warning and never an error.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np

from alerting.model.labels import Labels
from alerting.model.matcher import Matcher
from alerting.model.series import IntArray, SeriesData, is_stale
from alerting.remote.http import RemoteFailed
from alerting.remote.own_part import OwnPart
from alerting.remote.querier import RemoteQuerier
from alerting.remote.stats import ReadStats
from alerting.storage.options import Stats as StoreStats
from alerting.storage.ports import Instant, QuickQuerier, Runs, StorageError

OLDEST_ASKED_S = 10.0
FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 30.0
PROBE_S = 1.0
"""How long the first query after a pause may wait: the others go without the remote meanwhile."""

T = TypeVar("T")
Ordered = TypeVar("Ordered", Labels, str)


class OwnStore(QuickQuerier, Protocol):
    """The part of ``alerting.storage.store.Store`` that is read."""

    def stats(self) -> StoreStats: ...

    def label_names(self, matcher_sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[str]: ...

    def label_values(
        self, name: str, matcher_sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int
    ) -> list[str]: ...


class Pause:
    """After a failure the remote is left alone for a while, longer each time; then one query tries. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0
        self._length = 0.0
        self._why = ""

    def admits(self, now: float) -> tuple[bool, bool]:
        """Whether it may be asked, and whether this is the first time after a failure."""
        with self._lock:
            if not self._length:
                return True, False
            if now < self._until:
                return False, False
            self._until = now + self._length  # the others wait for what this one finds
            return True, True

    def failed(self, why: str, now: float) -> None:
        with self._lock:
            self._length = min(max(2 * self._length, FIRST_PAUSE_S), LONGEST_PAUSE_S)
            self._until = now + self._length
            self._why = why

    def worked(self) -> None:
        with self._lock:
            self._length = 0.0
            self._why = ""

    @property
    def why(self) -> str:
        """What failed last; empty when it works."""
        return self._why


class FanOut:
    """Made once; ``begin`` for each query. May be used from many threads."""

    def __init__(self, own: OwnStore, remote: RemoteQuerier | OwnPart, *, read_recent: bool) -> None:
        self.stats = ReadStats()
        self._counting = threading.Lock()
        self.pause = Pause()
        self.own = own
        self.remote = remote
        self.read_recent = read_recent
        self._oldest: tuple[float, int | None] = (-OLDEST_ASKED_S, None)

    def begin(self, deadline: float | None, warn: Callable[[str], None]) -> Session:
        """See ``PerQuery``."""
        return Session(self, deadline, warn)

    def count(self, *, queries: int = 0, failures: int = 0, skipped: int = 0, seconds: float = 0.0) -> None:
        """Add to the stats."""
        with self._counting:
            self.stats.queries += queries
            self.stats.failures += failures
            self.stats.skipped += skipped
            self.stats.seconds += seconds

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[SeriesData]:
        """See ``Querier``; what the remote could not do is told to nobody."""
        return self.begin(None, _nobody).select(matchers, start_ms, end_ms)

    def series(self, matcher_sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[Labels]:
        """See ``Querier``."""
        return self.begin(None, _nobody).series(matcher_sets, start_ms, end_ms)

    def remote_until(self, end_ms: int) -> int:
        """The last time that the remote is asked for, of a query up to ``end_ms``."""
        if self.read_recent:
            return end_ms
        asked, oldest = self._oldest
        now = time.monotonic()
        if now - asked >= OLDEST_ASKED_S:
            oldest = self.own.stats().oldest_ms
            self._oldest = (now, oldest)
        return end_ms if oldest is None else min(end_ms, oldest - 1)


class Session:
    """What one query reads: ``QuerySession``, ``QuickQuerier``, and the index of series."""

    def __init__(self, fan_out: FanOut, deadline: float | None, warn: Callable[[str], None]) -> None:
        self._all = fan_out
        self._own = fan_out.own
        self._deadline = deadline
        self._warn = warn

    @property
    def quick(self) -> QuickQuerier | None:
        return None if self._all.read_recent else self

    def latest(self, matchers: Sequence[Matcher], time_ms: int, lookback_ms: int) -> Instant | None:
        """See ``QuickQuerier``."""
        if self._all.remote_until(time_ms) > time_ms - lookback_ms:
            return None
        return self._own.latest(matchers, time_ms, lookback_ms)

    def recent(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Runs | None:
        """See ``QuickQuerier``."""
        return None if self._all.remote_until(end_ms) >= start_ms else self._own.recent(matchers, start_ms, end_ms)

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[SeriesData]:
        """See ``Querier``."""
        own = self._own.select(matchers, start_ms, end_ms)
        until_ms = self._all.remote_until(end_ms)
        if until_ms < start_ms:
            return own
        return merged(own, self._ask(lambda remote: remote.select(matchers, start_ms, until_ms)))

    def at(self, matchers: Sequence[Matcher], times: IntArray, lookback_ms: int) -> list[SeriesData]:
        """See ``QuerySession``."""
        start_ms, end_ms = int(times[0]) - lookback_ms + 1, int(times[-1])
        own = self._own.select(matchers, start_ms, end_ms)
        until_ms = self._all.remote_until(end_ms)
        if until_ms < start_ms:
            return own
        within = times[times <= until_ms]
        theirs = self._ask(lambda remote: remote.at(matchers, within, lookback_ms)) if len(within) else []
        if len(within) < len(times):
            # What the later times still see of it is what it had last.
            last: IntArray = np.array([until_ms], np.int64)
            theirs = merged(theirs, self._ask(lambda remote: remote.at(matchers, last, lookback_ms)))
        return merged(own, theirs)

    def series(self, matcher_sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[Labels]:
        """See ``Querier``."""
        own = self._own.series(matcher_sets, start_ms, end_ms)
        return self._both(own, lambda remote, until: remote.series(matcher_sets, start_ms, until), start_ms, end_ms)

    def label_names(self, matcher_sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[str]:
        own = self._own.label_names(matcher_sets, start_ms, end_ms)
        return self._both(
            own, lambda remote, until: remote.label_names(matcher_sets, start_ms, until), start_ms, end_ms
        )

    def label_values(
        self, name: str, matcher_sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int
    ) -> list[str]:
        own = self._own.label_values(name, matcher_sets, start_ms, end_ms)
        return self._both(
            own, lambda remote, until: remote.label_values(name, matcher_sets, start_ms, until), start_ms, end_ms
        )

    def _both(
        self,
        own: list[Ordered],
        ask: Callable[[RemoteQuerier | OwnPart, int], list[Ordered]],
        start_ms: int,
        end_ms: int,
    ) -> list[Ordered]:
        until_ms = self._all.remote_until(end_ms)
        if until_ms < start_ms:
            return own
        theirs = self._ask(lambda remote: ask(remote, until_ms))
        both: set[Ordered] = set(own)
        both.update(theirs)
        return sorted(both) if theirs else own

    def _ask(self, work: Callable[[RemoteQuerier | OwnPart], list[T]]) -> list[T]:
        """What the remote says; nothing, with a warning, when it does not answer."""
        pause = self._all.pause
        began = time.monotonic()
        admitted, probing = pause.admits(began)
        if not admitted:
            self._all.count(skipped=1)
            self._warn(f"remote storage is not asked for a moment, because it failed: {pause.why}")
            return []
        # Half of the time: the own store's part of the answer is still to be worked out.
        limits = [] if self._deadline is None else [began + (self._deadline - began) / 2]
        limits += [began + PROBE_S] if probing else []
        try:
            answer = work(self._all.remote.begin(min(limits, default=None), self._warn))
        except RemoteFailed as error:
            pause.failed(str(error), time.monotonic())
            self._failed(error)
            return []
        except StorageError as error:  # it answers, but not this
            pause.worked()
            self._failed(error)
            return []
        finally:
            self._all.count(queries=1, seconds=time.monotonic() - began)
        pause.worked()
        return answer

    def _failed(self, error: StorageError) -> None:
        self._all.count(failures=1)
        self._warn(f"remote storage did not answer, what only it has is missing: {error}")


def merged(own: list[SeriesData], theirs: list[SeriesData]) -> list[SeriesData]:
    """One series a label set, sorted; at equal times the own sample."""
    if not theirs:
        return own
    found = {one.labels: one for one in own}
    for one in theirs:
        mine = found.get(one.labels)
        found[one.labels] = one if mine is None else _together(mine, one)
    return [found[labels] for labels in sorted(found)]


def _together(own: SeriesData, theirs: SeriesData) -> SeriesData:
    theirs = _without_overtaken_markers(own, theirs)
    if not len(theirs.times):
        return own
    if theirs.times[-1] < own.times[0]:
        return SeriesData(own.labels, np.append(theirs.times, own.times), np.append(theirs.values, own.values))
    times, first = np.unique(np.append(own.times, theirs.times), return_index=True)
    return SeriesData(own.labels, times, np.append(own.values, theirs.values)[first])


def _without_overtaken_markers(own: SeriesData, theirs: SeriesData) -> SeriesData:
    """A marker of the remote may stand later than where its series ended (it is only seen from outside): where the own
    store knows of something in between, that is what counts."""
    marks = is_stale(theirs.values)
    if not marks.any():
        return theirs
    before = np.append(theirs.times[:1] - 1, theirs.times[:-1])
    known = np.searchsorted(own.times, theirs.times, side="right") > np.searchsorted(own.times, before, side="right")
    keep = ~(marks & known)
    return SeriesData(theirs.labels, theirs.times[keep], theirs.values[keep])


def _nobody(_: str) -> None:
    return None
