"""A ``Querier`` over any server with Prometheus' HTTP API."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from alerting.model.labels import METRIC_NAME, Labels
from alerting.model.matcher import Matcher
from alerting.model.series import STALE, BoolArray, FloatArray, IntArray, SeriesData
from alerting.remote.api import MOST_STEPS, Api, TooMuch, selector
from alerting.remote.http import Http
from alerting.storage.ports import QuickQuerier, StorageError

MOST_SAMPLES = 30_000_000
"""Of one ``select``, as the own store's."""
PIECE_SAMPLES = 200_000
"""So many at once are aimed at: decoding holds about 200 bytes for each."""
FIRST_PIECE_MS = 2 * 3_600_000
SHORTEST_PIECE_MS = 1000
MOST_POINTS = 500_000
"""Of one range query, as far as it can be told."""


class ServerKind:
    """What is known of a server, however many queries ask it."""

    def __init__(self) -> None:
        self._markers_as_nan: bool | None = None

    def with_markers(self, found: list[SeriesData], api: Api) -> list[SeriesData]:
        """VictoriaMetrics writes staleness markers as NaN, and takes in no other NaN; it is told by its language,
        which has operators of its own. Elsewhere NaN is a value like others."""
        nan = [bool(np.isnan(one.values).any()) for one in found]
        if not any(nan):
            return found
        if self._markers_as_nan is None:
            self._markers_as_nan = api.understands("1 default 2")
        if not self._markers_as_nan:
            return found
        return [_nan_as_marker(one) if has else one for one, has in zip(found, nan, strict=True)]


class RemoteQuerier:
    """``begin`` one for each query, or use it as it is, without a deadline. May be used from many threads."""

    def __init__(
        self,
        http: Http,
        deadline: float | None = None,
        warn: Callable[[str], None] | None = None,
        kind: ServerKind | None = None,
    ) -> None:
        self._http = http
        self._api = Api(http, deadline) if warn is None else Api(http, deadline, warn)
        self._kind = kind or ServerKind()

    @property
    def quick(self) -> QuickQuerier | None:
        return None

    def begin(self, deadline: float | None, warn: Callable[[str], None]) -> RemoteQuerier:
        """See ``PerQuery``."""
        return RemoteQuerier(self._http, deadline, warn, self._kind)

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[SeriesData]:
        """See ``Querier``. Staleness markers are not among the samples: Prometheus' answers do not carry them."""
        asked = selector(matchers)
        parts: dict[Labels, list[SeriesData]] = {}
        total, at_ms, piece_ms = 0, start_ms, FIRST_PIECE_MS
        while at_ms <= end_ms:
            until_ms = min(end_ms, at_ms + piece_ms - 1)
            try:
                found = self._api.raw(asked, at_ms, until_ms)
            except TooMuch:
                if until_ms - at_ms < SHORTEST_PIECE_MS:
                    raise
                piece_ms = (until_ms - at_ms + 1) // 2
                continue
            count = sum(len(one.times) for one in found)
            total += count
            if total > MOST_SAMPLES:
                raise StorageError(
                    f"{self._http.name}: the query would read more than {MOST_SAMPLES} samples; "
                    "ask for a shorter time or fewer series"
                )
            for one in self._kind.with_markers(found, self._api):
                parts.setdefault(one.labels, []).append(one)
            at_ms = until_ms + 1
            piece_ms = _next_piece(piece_ms, count)
        return [_joined(labels, pieces) for labels, pieces in sorted(parts.items())]

    def series(self, matcher_sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[Labels]:
        """See ``Querier``. Servers look at whole blocks: a series may be told that has no sample inside the times."""
        return self._api.series([selector(one) for one in matcher_sets or [()]], start_ms, end_ms)

    def label_names(self, matcher_sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[str]:
        return self._api.label_names([selector(one) for one in matcher_sets], start_ms, end_ms)

    def label_values(
        self, name: str, matcher_sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int
    ) -> list[str]:
        return self._api.label_values(name, [selector(one) for one in matcher_sets], start_ms, end_ms)

    def at(self, matchers: Sequence[Matcher], times: IntArray, lookback_ms: int) -> list[SeriesData]:
        """See ``GridQuerier``: the server says which series it sees at each time, and so where one had ended."""
        asked = selector(matchers)
        if any(matcher.name == METRIC_NAME and matcher.op == "=" for matcher in matchers):
            # timestamp() takes the name away, and of one name every series still has labels of its own.
            seen = self._on_grid(asked, times, lookback_ms)
            if not seen:
                return []
            stamps = {_nameless(one): one for one in self._on_grid(f"timestamp({asked})", times, lookback_ms)}
            found = [_stamped(one, stamps.get(_nameless(one))) for one in seen]
        else:
            found = self.select(matchers, int(times[0]) - lookback_ms + 1, int(times[-1]))
            seen = self._on_grid(asked, times, lookback_ms) if found else []
        visible = {one.labels: np.isin(times, one.times) for one in seen}
        nowhere: BoolArray = np.zeros(len(times), np.bool_)
        marked = [_marked(one, times, visible.get(one.labels, nowhere), lookback_ms) for one in found]
        return sorted(marked, key=lambda one: one.labels)

    def _on_grid(self, expr: str, times: IntArray, lookback_ms: int) -> list[SeriesData]:
        """The values of an expression at evenly spaced times, asked for in as many pieces as the server wants."""
        step_ms = int(times[1] - times[0]) if len(times) > 1 else 0
        parts: dict[Labels, list[SeriesData]] = {}
        first, most = 0, MOST_STEPS
        while first < len(times):
            count = min(most, len(times) - first)
            try:
                found = self._api.at_times(expr, int(times[first]), step_ms, count, lookback_ms)
            except TooMuch:
                if count == 1:
                    raise
                most = count // 2
                continue
            for one in found:
                parts.setdefault(one.labels, []).append(one)
            first += count
        return [_joined(labels, pieces) for labels, pieces in parts.items()]


def _next_piece(piece_ms: int, count: int) -> int:
    """How long the next piece should be, after one with so many samples."""
    if count == 0:
        return piece_ms * 16  # nothing was kept then, and maybe nothing for years
    if count > PIECE_SAMPLES:
        return max(piece_ms // 2, SHORTEST_PIECE_MS)
    return piece_ms * 4 if count * 8 < PIECE_SAMPLES else piece_ms


def _joined(labels: Labels, pieces: Sequence[SeriesData]) -> SeriesData:
    if len(pieces) == 1:
        return pieces[0]
    times = np.concatenate([piece.times for piece in pieces])
    return SeriesData(labels, times, np.concatenate([piece.values for piece in pieces]))


def _nameless(series: SeriesData) -> Labels:
    return series.labels.without((METRIC_NAME,))


def _stamped(seen: SeriesData, stamps: SeriesData | None) -> SeriesData:
    """What was seen on a grid, each value at the time of its sample, each sample once."""
    times = seen.times.copy()
    if stamps is not None:
        where = np.isin(times, stamps.times)
        theirs = np.round(stamps.values[np.isin(stamps.times, times)] * 1000).astype(np.int64)
        times[where] = np.minimum(theirs, times[where])
    times, first = np.unique(times, return_index=True)
    return SeriesData(seen.labels, times, seen.values[first])


def _marked(series: SeriesData, times: IntArray, visible: BoolArray, lookback_ms: int) -> SeriesData:
    """With a staleness marker at each time where its newest sample would still be seen, and the server sees none."""
    newest = np.searchsorted(series.times, times, side="right") - 1
    stamps = series.times[np.maximum(newest, 0)]
    ended = (newest >= 0) & (stamps > times - lookback_ms) & ~visible
    if not ended.any():
        return series
    # One marker ends a sample for all later times, so only the first of those with the same newest sample is needed.
    _, first = np.unique(newest[ended], return_index=True)
    at: IntArray = times[ended][first]
    marks: FloatArray = np.full(len(at), STALE)
    all_times, all_values = np.append(at, series.times), np.append(marks, series.values)
    kept, index = np.unique(all_times, return_index=True)  # of equal times the marker: it stands first
    return SeriesData(series.labels, kept, all_values[index])


def _nan_as_marker(series: SeriesData) -> SeriesData:
    return SeriesData(series.labels, series.times, np.where(np.isnan(series.values), STALE, series.values))
