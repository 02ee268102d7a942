"""The time series store: rows in memory, a tail and compressed blocks in one SQLite file."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from alerting.model.labels import Labels
from alerting.model.matcher import Matcher
from alerting.model.series import SeriesData
from alerting.storage.chunks import ChunkReader
from alerting.storage.codec import Damaged
from alerting.storage.disk import Block, Disk, Loaded
from alerting.storage.head import Head, Rows
from alerting.storage.newest import Newest
from alerting.storage.options import IMPORTED, Stats, StoreOptions
from alerting.storage.ports import Instant, Runs, StorageError
from alerting.storage.query import Query, Source
from alerting.storage.quick import Quick
from alerting.storage.registry import Registry
from alerting.storage.tail import TailReader
from alerting.storage.upkeep import Upkeep

log = logging.getLogger(__name__)

BLOCKS_AHEAD = 16  # read ahead at once


class Store:
    """Implements ``Storage`` and ``QuickQuerier``. Everything at the same time: appends on any thread (each writer used
    by one at a time: targets append on the event loop, rules on a worker thread), queries on any, ``flush`` on one."""

    def __init__(self, disk: Disk, options: StoreOptions) -> None:
        """For ``Store.open``."""
        self._disk = disk
        self._options = options
        self._rows_lost = 0
        self._lock = threading.Lock()
        self._registry = Registry(options.max_series)
        self._sources: dict[int, Source] = {}
        self._by_name: dict[str, Source] = {}
        self._chunks = ChunkReader(disk, options.cache_bytes, self._is_kept)
        self._newest = Newest()
        self._query = Query(self._registry, self._sources, self._chunks, options.max_select_samples)
        self._quick = Quick(self._registry, self._sources, self._newest, options.max_select_samples)
        self._upkeep = Upkeep(disk, self._chunks, self._registry, self._sources, options)

    @classmethod
    def open(cls, path: Path, options: StoreOptions, now_ms: int) -> Self:
        """The store in the file ``path``, made when missing; its folder must exist.

        A damaged file is moved aside (``NAME.corrupt-<now_ms>``) and the store starts empty. Raises StorageError when
        the file cannot be opened at all (missing folder, permissions, made by a newer version).
        """
        disk = Disk(path, now_ms)
        try:
            loaded = disk.load_or_start_empty(now_ms)
            store = cls(disk, options)
            store._restore(loaded, now_ms)
        except BaseException:
            disk.close()
            raise
        return store

    # --- writing ----------------------------------------------------------------------------------------------------

    def source(self, name: str) -> Head:
        """The writer of a source; the same name gives the same writer, and after a restart the same series."""
        with self._lock:
            found = self._by_name.get(name)
            if found is None:
                number = max(self._sources, default=0) + 1
                found = self._add_source(number, name, self._head(number))
                self._upkeep.new_source(number, name)
            return found.head

    def flush(self, now_ms: int) -> bool:
        """Make what was appended durable, and do a bounded piece of upkeep; call it each 10 s or more often.

        Blocks on the disk: never on the event loop. False when the disk refused; everything stays in memory (as far
        as ``max_head_rows`` goes) for the next call.
        """
        return self._upkeep.flush(now_ms)

    def read_ahead(self, now_ms: int, deadline: float) -> None:
        """Unpack the newest blocks into the cache until it is full: after a start they are asked for first.

        Blocks on the disk; stops at ``deadline`` (a reading of time.monotonic()), when the disk refuses, and when the
        store is closed.
        """
        blocks = [block for source in list(self._sources.values()) for block in source.blocks]
        # What lies in the future is of a clock that was wrong.
        blocks.sort(key=lambda block: (block.start_ms <= now_ms, block.end_ms), reverse=True)
        with suppress(StorageError):
            for low in range(0, len(blocks), BLOCKS_AHEAD):
                if not self._chunks.read_ahead(blocks[low : low + BLOCKS_AHEAD], deadline):
                    return

    @property
    def trouble(self) -> str:
        """Why the last flush failed; empty when it did not."""
        return self._upkeep.trouble

    def close(self) -> None:
        """Flush and let go of the file. Appending or asking afterwards is an error."""
        self._upkeep.close()
        self._disk.close()

    # --- reading ----------------------------------------------------------------------------------------------------

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[SeriesData]:
        """Series that match, sorted by labels. Times of one source's series may be one shared read-only array.

        Of two sources with the same label set the samples are merged; at equal times a sample goes before a staleness
        marker, and the source known longer before the other. Raises StorageError when it would read too much.
        """
        return self._query.select(matchers, start_ms, end_ms)

    def latest(self, matchers: Sequence[Matcher], time_ms: int, lookback_ms: int) -> Instant | None:
        """See ``QuickQuerier``."""
        return self._quick.latest(matchers, time_ms, lookback_ms)

    def recent(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Runs | None:
        """See ``QuickQuerier``."""
        return self._quick.recent(matchers, start_ms, end_ms)

    def series(self, matcher_sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[Labels]:
        """Label sets with a sample in the window, sorted.

        On disk a series counts as present from its first to its last sample in a block (half a day at most).
        """
        return self._query.series(matcher_sets, start_ms, end_ms)

    def label_names(self, matcher_sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[str]:
        """Names of the labels that ``series`` would show, sorted."""
        return self._query.label_names(matcher_sets, start_ms, end_ms)

    def label_values(
        self, name: str, matcher_sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int
    ) -> list[str]:
        """Values of one label that ``series`` would show, sorted."""
        return self._query.label_values(name, matcher_sets, start_ms, end_ms)

    def stats(self) -> Stats:
        """Numbers for the store's own metrics. Asks the file for its size: not on the event loop."""
        sources = list(self._sources.values())
        heads = [source.head for source in sources]
        blocks = [block for source in sources for block in source.blocks]
        starts = [block.start_ms for block in blocks]
        held = cells = 0
        for head in heads:
            with head.lock:
                rows = head.rows()
                held += head.count
                cells += head.count * head.width
            if len(rows.times):
                starts.append(int(rows.times.min()))
        return Stats(
            series=len(self._registry),
            head_rows=held,
            head_samples=cells,
            blocks=len(blocks),
            chunk_bytes=sum(block.bytes for block in blocks),
            file_bytes=self._disk.file_bytes(),
            oldest_ms=min(starts, default=None),
            samples_appended=sum(head.samples for head in heads),
            frames_appended=sum(head.frames for head in heads),
            frames_refused=sum(head.refused for head in heads),
            frames_dropped=sum(head.dropped for head in heads),
            flushes=self._upkeep.flushes,
            flush_failures=self._upkeep.failures,
            last_flush_ms=self._upkeep.last_flush_ms,
            rows_lost=self._rows_lost,
            chunks_lost=self._chunks.lost,
            databases_moved_aside=self._disk.moved_aside,
            bytes_written=self._disk.bytes_written,
            cache_hits=self._chunks.hits,
            cache_misses=self._chunks.misses,
        )

    # --- at the start -----------------------------------------------------------------------------------------------

    def _head(self, source: int, first_row: int = 0, columns: Sequence[tuple[int, Labels]] = ()) -> Head:
        return Head(
            source,
            register=self._registry.add,
            ended=self._registry.ended,
            newest=self._newest,
            max_rows=self._options.max_head_rows,
            step_back_ms=self._options.step_back_ms,
            first_row=first_row,
            columns=columns,
        )

    def _is_kept(self, block: Block) -> bool:
        source = self._sources.get(block.source)
        return source is not None and any(one.id == block.id for one in source.blocks)

    def _add_source(self, number: int, name: str, head: Head) -> Source:
        source = Source(number, name, head)
        self._sources[number] = self._by_name[name] = source
        return source

    def _restore(self, loaded: Loaded, now_ms: int) -> None:
        for series_id, source_id, labels in loaded.series:
            if source_id in loaded.sources:
                self._registry.restore(series_id, source_id, labels)
        self._registry.start_at(loaded.next_series)
        rows, groups, damaged = self._read_tail(loaded)
        self._drop_lost(loaded.blocks_lost)
        # The last one written, as far as that can be told: what lies in the future is of a clock that was wrong.
        newest = {block.source: block for block in sorted(loaded.blocks, key=lambda b: (b.end_ms <= now_ms, b.end_ms))}
        for source_id, (name, sealed) in loaded.sources.items():
            mine = rows.get(source_id, [])
            # Only series seen lately get a column: those that died in a long life stay on disk.
            ids = {series_id for part in mine for series_id in part.ids.tolist()}
            if source_id in newest:
                ids.update(newest[source_id].members.ids.tolist())
            if name.startswith(IMPORTED):  # nothing is ever appended: a column would only send rules to the disk
                ids = set()
            known = [(i, series.labels) for i in sorted(ids) if (series := self._registry.get(i)) is not None]
            first = max(sealed, mine[0].first if mine else 0)
            head = self._head(source_id, first, known)
            source = self._add_source(source_id, name, head)
            source.set_blocks(block for block in loaded.blocks if block.source == source_id)
            for part in mine:
                damaged = damaged or part.first != head.end
                refused = head.put_back(part)
                self._rows_lost += refused
                damaged = damaged or bool(refused)
            if head.last_ms is None and source_id in newest:
                block = newest[source_id]
                head.resume(block.end_ms, *self._chunks.last_row(block))
        if damaged:
            for source in self._sources.values():
                source.head.unsaved()
        having = {i for source in self._sources.values() for i in source.head.ids()}
        imported = {source.id for source in self._sources.values() if source.imported}
        self._registry.ended(i for i, source_id, _ in loaded.series if i not in having and source_id not in imported)
        self._upkeep.continue_from(
            block=loaded.next_block,
            row=max((row for row, _, _ in loaded.tail), default=0) + 1,
            groups=groups,
            rewrite=damaged,
            damaged=loaded.damaged,
            to_save=loaded.to_save,
        )
        if self._rows_lost:
            log.warning("%s: %d pieces of the newest samples could not be read", self._disk.path, self._rows_lost)

    def _drop_lost(self, blocks: list[int]) -> None:
        if not blocks:
            return
        log.warning("%s: %d blocks cannot be read and are dropped", self._disk.path, len(blocks))
        self._chunks.lost += len(blocks)
        try:
            self._disk.delete_blocks(blocks)
        except StorageError as error:  # no harm: they are met again at the next start
            log.warning("%s", error)

    def _read_tail(self, loaded: Loaded) -> tuple[dict[int, list[Rows]], dict[int, dict[int, int]], bool]:
        """Each source's rows that are in no block; each group's ends; whether something could not be read."""
        known = {series_id for series_id, _, _ in loaded.series}
        rows: dict[int, list[Rows]] = {}
        groups: dict[int, dict[int, int]] = {}
        reader, current, damaged = TailReader(), None, False
        for number, group, data in loaded.tail:
            if group != current:
                reader, current = TailReader(), group
            ends = groups.setdefault(group, {})
            try:
                parts = reader.decode(data)
            except Damaged as error:
                log.warning("%s: tail row %d is skipped: %s", self._disk.path, number, error)
                damaged = True
                self._rows_lost += 1
                reader = TailReader()
                continue
            for source_id, part in parts:
                ends[source_id] = part.end
                sealed = loaded.sources[source_id][1] if source_id in loaded.sources else part.first
                # Series that ended long ago may be forgotten, whether their rows are here or in blocks already.
                left = part.after(sealed).without_empty_columns()
                if source_id not in loaded.sources or not known.issuperset(left.ids.tolist()):
                    damaged = True
                    self._rows_lost += len(left.times)
                elif len(left.times):
                    rows.setdefault(source_id, []).append(left)
        return rows, groups, damaged


__all__ = ["Stats", "StorageError", "Store", "StoreOptions"]
