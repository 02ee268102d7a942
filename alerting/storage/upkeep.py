"""What keeps the store durable and small, a bounded piece each flush: the tail to disk, sealing, merging, dropping."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from alerting.storage.blocks import Numbering, make_block
from alerting.storage.chunks import ChunkReader, Vanished
from alerting.storage.database import DatabaseDamaged
from alerting.storage.disk import Block, Disk
from alerting.storage.dropping import Dropper
from alerting.storage.head import Rows
from alerting.storage.merging import Merger
from alerting.storage.options import StoreOptions
from alerting.storage.ports import StorageError
from alerting.storage.query import Source
from alerting.storage.registry import Registry
from alerting.storage.salvage import BLOCKS_AT_ONCE, Salvage
from alerting.storage.tail import TailWriter

log = logging.getLogger(__name__)

ROWS_AT_ONCE = 64  # of each source: five minutes at the shipped interval
SEALS_AT_ONCE = 2  # sources a flush seals: the work of a node's page is some ten milliseconds
SAY_AGAIN = 60  # a failure that lasts is logged each so many flushes


class Upkeep:
    """``flush`` does a bounded piece of work; one thread at a time, beside appends and queries."""

    def __init__(
        self, disk: Disk, chunks: ChunkReader, registry: Registry, sources: dict[int, Source], options: StoreOptions
    ) -> None:
        self.flushes = 0
        self.failures = 0
        self.last_flush_ms: int | None = None
        self.trouble = ""
        self._disk = disk
        self._chunks = chunks
        self._registry = registry
        self._sources = sources
        self._options = options
        self._lock = threading.Lock()
        self._tail = TailWriter()
        self._numbering = Numbering(registry)
        self._merger = Merger(disk, chunks, sources, self._numbering, options)
        self._dropper = Dropper(disk, registry, sources, options)
        self._next_row = 1
        self._group = 0
        self._groups: dict[int, dict[int, int]] = {}  # group -> source -> number after its last row
        self._old_groups: list[int] = []  # groups whose rows are all in the heads, to be written again
        self._unsaved_sources: dict[int, str] = {}
        self._doomed: list[Block] = []
        self._dead_series: set[int] = set()
        self._salvage: Salvage | None = None
        self._to_save: list[Block] = []
        self._failing = 0
        self._damaged = False

    # --- at the start -----------------------------------------------------------------------------------------------

    def continue_from(
        self,
        *,
        block: int,
        row: int,
        groups: dict[int, dict[int, int]],
        rewrite: bool,
        damaged: Path | None = None,
        to_save: Sequence[Block] = (),
    ) -> None:
        """The first free numbers, and the tail's groups; ``rewrite``: their rows get new numbers with a new group.
        ``to_save``: blocks to be carried over from the file ``damaged``."""
        if damaged is not None and to_save:
            self._salvage = Salvage(damaged, list(to_save))
        self._numbering.next, self._next_row = block, row
        if rewrite:
            self._old_groups = list(groups)
        else:
            self._groups = groups

    def new_source(self, source: int, name: str) -> None:
        self._unsaved_sources[source] = name

    # --- each ten seconds -------------------------------------------------------------------------------------------

    def flush(self, now_ms: int) -> bool:
        """New rows to disk, then one step of upkeep. False, with a log line, when the disk refused something."""
        with self._lock:
            try:
                if self._damaged:
                    self._start_empty(now_ms)
                self._write_tail()
                self.last_flush_ms = now_ms
                self.flushes += 1
                self._step(now_ms)
            except DatabaseDamaged as error:
                self._failed(error)
                self._damaged = True
                return False
            except (StorageError, Vanished) as error:
                self._failed(error)
                return False
            if self._failing:
                log.warning("%s: writing again after %d failed flushes", self._disk.path, self._failing)
            self._failing = 0
            self.trouble = ""
            return True

    def close(self) -> None:
        """New rows to disk, a last time; a failure is logged."""
        with self._lock:
            try:
                self._write_tail()
                self._delete_doomed()
            except StorageError as error:
                log.warning("the newest samples are lost: %s", error)
            self._end_salvage()

    def _failed(self, error: Exception) -> None:
        if self._failing % SAY_AGAIN == 0:
            log.warning("flush failed, samples stay in memory until the next one: %s", error)
        self._failing += 1
        self.trouble = str(error)
        self.failures += 1

    def _write_tail(self) -> None:
        """In pieces, when much has gathered because the disk refused: one that it refuses again has cost little."""
        while self._write_some():
            pass

    def _write_some(self) -> bool:
        """Whether there is more."""
        parts: dict[int, Rows] = {}
        more = False
        for source in list(self._sources.values()):
            with source.head.lock:
                rows = source.head.rows(source.head.saved)
            if len(rows.times):
                parts[source.id] = rows.up_to(ROWS_AT_ONCE)
                more = more or len(rows.times) > ROWS_AT_ONCE
        series, sources = self._registry.unsaved(), dict(self._unsaved_sources)
        if not (parts or series or sources or self._old_groups):
            return False
        if not self._group or self._next_row - self._group >= self._options.key_every:
            self._tail.restart()
            self._group = self._next_row
        data = self._tail.encode(parts)
        self._disk.write_tail(
            self._next_row, self._group, data, series=series, sources=sources, instead_of=self._old_groups
        )
        self._tail.commit()
        self._old_groups = []
        self._next_row += 1
        self._registry.saved(series)
        for source_id in sources:
            del self._unsaved_sources[source_id]
        ends = self._groups.setdefault(self._group, {})
        for source_id, rows in parts.items():
            ends[source_id] = rows.end
            head = self._sources[source_id].head
            with head.lock:
                head.saved = max(head.saved, rows.end)
        return more

    def _step(self, now_ms: int) -> None:
        self._delete_doomed()
        busy = self._seal_due(now_ms)
        busy = busy or self._carry_over() or self._merge_some(now_ms)
        busy = self._drop_some(now_ms) or busy
        if busy:
            self._disk.give_back()
        self._disk.checkpoint()

    def _start_empty(self, now_ms: int) -> None:
        # First from memory: a query must not miss on disk what it was told is there.
        for source in list(self._sources.values()):
            with source.head.lock:
                self._to_save += source.blocks
                source.set_blocks(())
        aside = self._disk.start_empty(now_ms)
        self._damaged = False
        self._end_salvage()
        self._chunks.forget_all()
        self._merger.forget()
        self._registry.forget_saved()
        self._tail.restart()
        self._group, self._groups, self._old_groups = 0, {}, []
        self._doomed, self._dead_series = [], set()
        for source in list(self._sources.values()):
            self._unsaved_sources[source.id] = source.name
            with source.head.lock:
                source.head.unsaved()
        blocks, self._to_save = self._to_save, []
        if blocks:
            self._salvage = Salvage(aside, blocks)

    def _carry_over(self) -> bool:
        """Some blocks of a damaged file into the new one."""
        if self._salvage is None:
            return False
        for _ in range(BLOCKS_AT_ONCE):
            if self._salvage.done:
                break
            new = self._salvage.next()
            if new is not None:
                self._disk.write_saved(new)  # a full disk raises: the block is tried again at the next flush
                source = self._sources[new.block.source]
                with source.head.lock:
                    source.set_blocks(sorted([*source.blocks, new.block], key=lambda block: block.start_ms))
            self._salvage.taken()
        if self._salvage.done:
            self._end_salvage()
        return True

    def _end_salvage(self) -> None:
        if self._salvage is not None:
            self._chunks.lost += self._salvage.lost
            self._salvage.close()
            self._salvage = None

    # --- sealing ----------------------------------------------------------------------------------------------------

    def _seal_due(self, now_ms: int) -> bool:
        due = [(source, end) for source in list(self._sources.values()) if (end := self._due(source, now_ms))]
        for source, end in due[:SEALS_AT_ONCE]:
            self._seal(source, end)
        return bool(due)

    def _due(self, source: Source, now_ms: int) -> int:
        """The number after the last row to be sealed now; 0 when there is nothing to seal."""
        head, options = source.head, self._options
        with head.lock:
            rows = head.oldest()
            saved = head.saved
            count = len(rows.times)
            if head.past:  # of a time that the clock has left
                return min(rows.end, saved) if saved > rows.first else 0
        if not count or (now_ms - int(rows.times[0]) < options.seal_after_ms and count < options.seal_after_rows):
            return 0
        old = int(np.searchsorted(rows.times, now_ms - options.keep_ms, side="right"))
        if count >= options.seal_after_rows:
            old = max(old, count // 2)
        end = min(rows.first + old, saved)
        return end if end > rows.first else 0

    def _seal(self, source: Source, end: int) -> None:
        with source.head.lock:
            rows = source.head.oldest()
        count = end - rows.first
        if count <= 0:  # they had to make room in memory since
            return
        order = np.argsort(rows.ids)
        values = np.ascontiguousarray(rows.values[:count].T[order])
        new = make_block(
            block_id=self._numbering.take(),
            source=source.id,
            level=0,
            times=rows.times[:count],
            ids=rows.ids[order],
            values=values,
            name_of=self._numbering.name_of,
        )
        done = [group for group, ends in self._groups.items() if group != self._group and self._done(ends, source, end)]
        self._disk.write_sealed(new, source.id, sealed=end, groups=done)
        for group in done:
            del self._groups[group]
        with source.head.lock:
            if new is not None:
                source.set_blocks((*source.blocks, self._numbering.share(new.block)))
            source.head.drop(end)

    def _done(self, ends: dict[int, int], sealing: Source, end: int) -> bool:
        """Whether all rows of a tail group are in blocks, once ``sealing`` is sealed up to ``end``."""
        return all(
            last <= (end if source_id == sealing.id else self._sources[source_id].head.first)
            for source_id, last in ends.items()
        )

    # --- merging, dropping ------------------------------------------------------------------------------------------

    def _merge_some(self, now_ms: int) -> bool:
        busy, replaced = self._merger.step(now_ms)
        self._doomed += replaced
        return busy

    def _drop_some(self, now_ms: int) -> bool:
        old, dead = self._dropper.step(now_ms)
        self._doomed += old
        self._dead_series |= dead
        return bool(old or dead)

    def _delete_doomed(self) -> None:
        """What the last flush took out of memory goes from disk: a query under way has had ten seconds to read it."""
        if not self._doomed and not self._dead_series:
            return
        self._disk.delete_blocks([block.id for block in self._doomed], self._dead_series)
        self._chunks.forget(self._doomed)
        self._doomed, self._dead_series = [], set()
