"""Answering queries: samples of blocks and heads put together, label set by label set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

import numpy as np

from alerting.model.labels import METRIC_NAME, Labels
from alerting.model.matcher import Matcher
from alerting.model.series import ABSENT_BITS, STALE_BITS, BoolArray, FloatArray, IntArray, SeriesData
from alerting.storage.chunks import ChunkReader, Restoring, Vanished
from alerting.storage.codec import IdArray
from alerting.storage.disk import Block
from alerting.storage.head import Head, Rows
from alerting.storage.newest import NEVER_MS
from alerting.storage.options import IMPORTED
from alerting.storage.ports import StorageError
from alerting.storage.registry import Registry, Series

Found = TypeVar("Found")
Span = tuple[int, int, int]

TRIES = 4  # a block stays on disk for a flush after it left memory: only a very slow read loses it, and looks again
NEWEST = 1 << 60  # rows in memory were written after every block
BRIDGED_MS = 120_000  # between two blocks written one after the other
SMALL_ROWS = 1024  # up to here absent places are looked for in all columns at once


class Source:
    """What is kept of one source. ``blocks`` is replaced, never changed; its lock is the head's."""

    def __init__(self, number: int, name: str, head: Head) -> None:
        self.id = number
        self.name = name
        self.head = head
        self.imported = name.startswith(IMPORTED)
        self.blocks: tuple[Block, ...] = ()
        self.blocks_end_ms = NEVER_MS
        self.blocks_rows = 0
        self._starts = self._ends = np.zeros(0, np.int64)

    def set_blocks(self, blocks: Iterable[Block]) -> None:
        """The caller holds the lock."""
        self.blocks = tuple(blocks)
        self._starts = np.array([block.start_ms for block in self.blocks], np.int64)
        self._ends = np.array([block.end_ms for block in self.blocks], np.int64)
        self.blocks_rows = sum([block.count for block in self.blocks])
        self.blocks_end_ms = max((block.end_ms for block in self.blocks), default=NEVER_MS)

    def overlapping(self, start_ms: int, end_ms: int) -> list[Block]:
        """The caller holds the lock."""
        if start_ms > self.blocks_end_ms:
            return []
        found = np.flatnonzero((self._starts <= end_ms) & (self._ends >= start_ms))
        return [self.blocks[number] for number in found.tolist()]

    def spans(self, start_ms: int, end_ms: int) -> list[Span]:
        """Everything that overlaps the window: (when it was written, its first and last time). The caller holds the
        lock."""
        return _spans(self.overlapping(start_ms, end_ms), (*self.head.past, self.head.rows_now()), start_ms, end_ms)

    def in_memory(self, start_ms: int, end_ms: int) -> bool:
        """Whether nothing of the window is anywhere else than in the head's window. The caller holds the lock."""
        past = self.head.past
        if past and any(((rows.times >= start_ms) & (rows.times <= end_ms)).any() for rows in past):
            return False
        return start_ms > self.blocks_end_ms or not ((self._starts <= end_ms) & (self._ends >= start_ms)).any()


class Query:
    """Thread-safe; holds no lock while it reads or decodes."""

    def __init__(self, registry: Registry, sources: dict[int, Source], chunks: ChunkReader, max_samples: int) -> None:
        self._registry = registry
        self._sources = sources
        self._chunks = chunks
        self._max_samples = max_samples

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[SeriesData]:
        if end_ms < start_ms:
            return []
        return self.read(self._registry.resolve(matchers), start_ms, end_ms)

    def read(self, chosen: Iterable[Series], start_ms: int, end_ms: int) -> list[SeriesData]:
        """What ``select`` gives, of these series."""
        by_source: dict[int, list[Series]] = {}
        for series in chosen:
            by_source.setdefault(series.source, []).append(series)
        self._check_size(by_source, start_ms, end_ms)
        found = self._read_all(
            [(self._sources[number], its) for number, its in sorted(by_source.items())], start_ms, end_ms
        )
        found.sort(key=lambda data: data.labels)  # stable: of equal label sets the source known first leads
        return _merge_equal(found)

    def read_source(self, source: Source, series_list: list[Series], start_ms: int, end_ms: int) -> list[SeriesData]:
        """The samples of one source's series, whatever their number, in the order of ``series_list``."""
        return self._read_all([(source, series_list)], start_ms, end_ms)

    def _read_all(self, wanted: Iterable[tuple[Source, list[Series]]], start_ms: int, end_ms: int) -> list[SeriesData]:
        work = Restoring()
        parts = [_retrying(partial(self._read, source, its, start_ms, end_ms, work)) for source, its in wanted]
        work.finish()
        return [data for part in parts for data in part()]

    def present(self, start_ms: int, end_ms: int) -> BoolArray:
        """For each series id whether it has a sample in the window; inside a block, between its first and last one."""
        seen: BoolArray = np.zeros(self._registry.highest() + 1, np.bool_)
        for source in list(self._sources.values()):
            _retrying(partial(self._mark, source, start_ms, end_ms, seen))
        return seen

    def series(self, matcher_sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[Labels]:
        return sorted({series.labels for series in self._matching(matcher_sets, start_ms, end_ms)})

    def label_names(self, matcher_sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[str]:
        names: set[str] = set()
        for series in self._matching(matcher_sets, start_ms, end_ms):
            names.update(name for name, _ in series.labels)
        return sorted(names)

    def label_values(
        self, name: str, matcher_sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int
    ) -> list[str]:
        found = self._matching(matcher_sets, start_ms, end_ms)
        if name == METRIC_NAME:
            values = {series.name for series in found}
        else:
            values = {series.labels.get(name) for series in found}
        return sorted(values - {""})

    def _matching(self, matcher_sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> Iterable[Series]:
        if end_ms < start_ms:
            return []
        chosen = {one.id: one for matchers in (matcher_sets or [()]) for one in self._registry.resolve(matchers)}
        seen = self.present(start_ms, end_ms)
        return [one for one in chosen.values() if one.id < len(seen) and seen[one.id]]

    def _mark(self, source: Source, start_ms: int, end_ms: int, seen: BoolArray) -> None:
        with source.head.lock:
            blocks = source.overlapping(start_ms, end_ms)
            heads = [rows.within(start_ms, end_ms) for rows in (*source.head.past, source.head.rows_now())]
        for block in blocks:
            members = block.members
            if start_ms <= block.start_ms and block.end_ms <= end_ms:
                seen[members.ids[members.ids < len(seen)]] = True
                continue
            times = self._chunks.times(block)
            if not len(times):
                continue
            inside = (times[members.first] <= end_ms) & (times[members.last] >= start_ms)
            inside &= members.ids < len(seen)
            seen[members.ids[inside]] = True
        for rows in heads:
            has = (rows.values.view(np.int64) != ABSENT_BITS).any(axis=0) & (rows.ids < len(seen))
            seen[rows.ids[has]] = True

    def _check_size(self, by_source: dict[int, list[Series]], start_ms: int, end_ms: int) -> None:
        every = ((self._sources[number], len(its)) for number, its in by_source.items())
        if sum([(source.blocks_rows + source.head.count) * count for source, count in every]) <= self._max_samples:
            return  # whatever the window
        cells = 0
        for source_id, series_list in by_source.items():
            source = self._sources[source_id]
            with source.head.lock:
                rows = sum(block.count for block in source.overlapping(start_ms, end_ms)) + source.head.count
            cells += rows * len(series_list)
        if cells > self._max_samples:
            raise StorageError(
                f"the query would read {cells} samples, at most {self._max_samples} are allowed; "
                "ask for a shorter time or fewer series"
            )

    def _read(
        self, source: Source, series_list: list[Series], start_ms: int, end_ms: int, work: Restoring
    ) -> Callable[[], list[SeriesData]]:
        """What gives the samples, once ``work`` is finished."""
        ids: IdArray = np.sort(np.array([series.id for series in series_list], np.uint32))
        with source.head.lock:  # blocks and head of the same moment: rows move from one to the other
            blocks = source.overlapping(start_ms, end_ms)
            kept, rows_kept = source.blocks, (*source.head.past, source.head.rows_now())
        heads = [rows.within(start_ms, end_ms) for rows in rows_kept]
        size = sum(block.count for block in blocks) * len(ids) * 8
        keep = size < self._chunks.bound // 2  # a long query would only push out what short ones use
        room = sum(len(rows.times) for rows in heads)
        times, matrix, filled = self._chunks.assemble(blocks, ids, start_ms, end_ms, keep=keep, room=room, work=work)
        for rows in heads:
            if len(rows.times):
                end = filled + len(rows.times)
                times[filled:end] = rows.times
                place = ids.searchsorted(rows.ids)
                here = (ids.take(place, mode="clip") == rows.ids).nonzero()[0]
                matrix[place[here], filled:end] = rows.values[:, here].T
                filled = end
        chosen = None
        if not source.imported and not (times[1:] > times[:-1]).all():
            pieces = [self._chunks.times(block) for block in blocks]
            pieces = [found[(found >= start_ms) & (found <= end_ms)] for found in pieces]
            pieces += [rows.times for rows in heads]
            ages = [block.id for block in blocks] + [NEWEST + number for number in range(len(heads))]
            around = _spans(kept, rows_kept, start_ms - BRIDGED_MS, end_ms + BRIDGED_MS)
            chosen = written_last(times, np.repeat(ages, [len(piece) for piece in pieces]), around)
            times = times[chosen]
        times.flags.writeable = False  # shared by the series below

        def split() -> list[SeriesData]:
            return _split(series_list, ids, times, matrix if chosen is None else matrix[:, chosen])

        return split


def _spans(blocks: Iterable[Block], heads: Iterable[Rows], start_ms: int, end_ms: int) -> list[Span]:
    """Those of blocks and rows in memory that overlap the window."""
    found = [(one.id, one.start_ms, one.end_ms) for one in blocks if one.start_ms <= end_ms and one.end_ms >= start_ms]
    for number, rows in enumerate(heads):
        if len(rows.times) and rows.times[0] <= end_ms and rows.times[-1] >= start_ms:
            found.append((NEWEST + number, int(rows.times[0]), int(rows.times[-1])))
    return found


def _retrying(read: Callable[[], Found]) -> Found:
    """``read`` again when a block was merged or dropped under its hands."""
    for _ in range(TRIES):
        with suppress(Vanished):
            return read()
    raise StorageError("blocks that should be on disk are not there")


def written_last(times: IntArray, ages: IntArray, around: Sequence[Span]) -> IntArray:
    """The places in ``times`` that count, in the order of time.

    When the clock was set back the same hour is recorded twice. For as long as what was written later lasts, what was
    written before is left out: two runs of a counter among each other would look like a reset at every sample.
    ``ages``: when each place was written, by the numbers in ``around``.
    """
    keep = np.ones(len(times), np.bool_)
    for age in np.unique(ages).tolist():
        newer = sorted((low, high) for number, low, high in around if number > age)
        mine = ages == age
        covered_from, covered_to = 0, -1
        for low, high in newer:
            covered_from = covered_from if low <= covered_to + BRIDGED_MS else low
            covered_to = max(covered_to, high)
            keep &= ~(mine & (times >= covered_from) & (times <= covered_to))
    places = keep.nonzero()[0]
    return places[np.argsort(times[places], kind="stable")]


def _split(series_list: list[Series], ids: IdArray, times: IntArray, matrix: FloatArray) -> list[SeriesData]:
    """Each series' samples, without absent places; those without any left out."""
    bits = matrix.view(np.int64)
    rows = np.searchsorted(ids, np.array([series.id for series in series_list], np.uint32)).tolist()
    ascending = bool((times[1:] > times[:-1]).all())  # not where imported blocks of other series lie beside each other
    whole = (bits != ABSENT_BITS).all(axis=1).tolist() if matrix.shape[1] <= SMALL_ROWS else None
    found = []
    for series, row in zip(series_list, rows, strict=True):
        its_times, values = times, matrix[row]
        if whole is None or not whole[row]:
            present = bits[row] != ABSENT_BITS
            if not present.all():
                its_times, values = times[present], values[present]
        if not len(its_times):
            continue
        if not ascending:
            its_times, values = _in_order(its_times, values)
        found.append(SeriesData(series.labels, its_times, values))
    return found


def _merge_equal(found: list[SeriesData]) -> list[SeriesData]:
    """One series a label set; ``found`` is sorted by labels."""
    merged: list[SeriesData] = []
    for data in found:
        if merged and merged[-1].labels == data.labels:
            first = merged[-1]
            times, values = np.concatenate([first.times, data.times]), np.concatenate([first.values, data.values])
            merged[-1] = SeriesData(data.labels, *_in_order(times, values))
        else:
            merged.append(data)
    return merged


def _in_order(times: IntArray, values: FloatArray) -> tuple[IntArray, FloatArray]:
    """Sorted by time; of several samples at one time the first that is no staleness marker, else the first."""
    stale = values.view(np.int64) == STALE_BITS
    order = np.lexsort((stale, times))
    times, values = times[order], values[order]
    keep = np.ones(len(times), np.bool_)
    keep[1:] = times[1:] != times[:-1]
    return times[keep], values[keep]
