"""Small blocks made into large ones: what is read over hours and days is then a few pieces instead of hundreds.

Sealed blocks of a window (``block_ms``) become one, and those of a long window (``long_block_ms``) become one again:
each sample is written three times in all. A large merge is done in pieces, one each flush, so that neither memory nor
the time of a flush grows with it; it reaches the disk at its end, in one transaction, and until then nothing has
changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import numpy as np

from alerting.model.series import IntArray
from alerting.storage.blocks import Numbering, divide, new_block
from alerting.storage.chunks import ChunkReader, Unreadable
from alerting.storage.codec import IdArray, encode
from alerting.storage.disk import Block, Disk, Members, NewBlock
from alerting.storage.options import StoreOptions
from alerting.storage.query import NEWEST, Source

CELLS_AT_ONCE = 1 << 19  # 4 MiB of float64; a tenth of a second of a fast machine
MOST_CELLS = 1 << 26  # of a merged block; also bounds its bundles


class Merge:
    """Some neighbouring blocks of one source on their way into one."""

    def __init__(
        self, source: Source, blocks: Sequence[Block], level: int, chunks: ChunkReader, name_of: Callable[[int], str]
    ) -> None:
        self.source = source
        self.blocks = blocks
        self.level = level
        self._chunks = chunks
        self._ids: IdArray = np.unique(np.concatenate([block.members.ids for block in blocks]))
        self._rows = sum(block.count for block in blocks)
        self._bundles = divide([name_of(series_id) for series_id in self._ids.tolist()], self._rows)
        self._times: IntArray = np.zeros(0, np.int64)
        self._encoded: list[bytes] = []

    def step(self) -> bool:
        """Some bundles more; whether that was all. Raises Unreadable, Vanished and StorageError."""
        counts = np.bincount(self._bundles)
        first = end = len(self._encoded)
        if first == len(counts):  # the disk refused the result
            return True
        cells = 0
        while end < len(counts) and (end == first or cells + int(counts[end]) * self._rows <= CELLS_AT_ONCE):
            cells += int(counts[end]) * self._rows
            end += 1
        chosen = np.flatnonzero((self._bundles >= first) & (self._bundles < end))
        ids, bundles = self._ids[chosen], self._bundles[chosen]
        start_ms, end_ms = self.blocks[0].start_ms, self.blocks[-1].end_ms
        self._times, values, _ = self._chunks.assemble(self.blocks, ids, start_ms, end_ms, keep=False, strict=True)
        for number in range(first, end):
            rows = np.flatnonzero(bundles == number)
            self._encoded.append(encode(ids[rows], values[rows]))
        return end == len(counts)

    def result(self, block_id: int) -> NewBlock:
        """The new block, when all is done."""
        first = np.full(len(self._ids), self._rows, np.uint32)
        last = np.zeros(len(self._ids), np.uint32)
        at = 0
        for block in self.blocks:
            place = self._ids.searchsorted(block.members.ids)
            first[place] = np.minimum(first[place], block.members.first + np.uint32(at))
            last[place] = block.members.last + np.uint32(at)
            at += block.count
        return new_block(
            block_id=block_id,
            source=self.source.id,
            level=self.level,
            times=self._times,
            members=Members(self._ids, self._bundles, first, last),
            chunks=self._encoded,
        )


class Merger:
    """One merge at a time, the small ones first."""

    def __init__(
        self,
        disk: Disk,
        chunks: ChunkReader,
        sources: dict[int, Source],
        numbering: Numbering,
        options: StoreOptions,
    ) -> None:
        self._disk = disk
        self._chunks = chunks
        self._sources = sources
        self._numbering = numbering
        self._stages = [(1, options.block_ms)]
        # A block is dropped when all of it is too old: one must not be long against the time that is kept.
        times = min(options.long_block_ms, options.retention_ms // 10) // options.block_ms
        if times > 1:
            self._stages.append((2, times * options.block_ms))
        self._wait_ms = options.seal_after_ms
        self._merge: Merge | None = None
        self._refused: set[tuple[int, int, int]] = set()  # windows in which nothing can be merged
        self._unreadable: set[int] = set()

    def step(self, now_ms: int) -> tuple[bool, list[Block]]:
        """A piece of a merge: whether there was any, and the blocks that are no more needed, which are no longer in
        memory but still on disk. Raises StorageError and Vanished."""
        merge = self._merge
        if merge is not None and not _there(merge):
            merge = self._merge = None
        if merge is None:
            merge = self._merge = self._next(now_ms)
        if merge is None:
            return False, []
        try:
            if not merge.step():
                return True, []
            new = merge.result(self._numbering.take())
        except Unreadable as error:
            self._unreadable.add(error.block.id)
            self._merge = None
            return True, []
        self._disk.write_merged(new, merge.blocks)
        self._merge = None
        gone = {block.id for block in merge.blocks}
        with merge.source.head.lock:
            kept = [block for block in merge.source.blocks if block.id not in gone]
            shared = self._numbering.share(new.block)
            merge.source.set_blocks(sorted([*kept, shared], key=lambda block: block.start_ms))
        return True, list(merge.blocks)

    def forget(self) -> None:
        """The file is another one."""
        self._merge = None
        self._refused.clear()

    def _next(self, now_ms: int) -> Merge | None:
        for level, span_ms in self._stages:
            complete = (now_ms - self._wait_ms) // span_ms  # the first window that is not
            for source in list(self._sources.values()):
                windows: dict[int, list[Block]] = {}
                for block in source.blocks:
                    if block.level < level:
                        windows.setdefault(block.start_ms // span_ms, []).append(block)
                for window, blocks in sorted(windows.items()):
                    key = (source.id, level, window)
                    if len(blocks) < 2 or window >= complete or key in self._refused:
                        continue
                    run, may_change = self._neighbours(source, blocks)
                    if run:
                        return Merge(source, run, level, self._chunks, self._numbering.name_of)
                    if not may_change:
                        self._refused.add(key)
        return None

    def _neighbours(self, source: Source, blocks: Sequence[Block]) -> tuple[list[Block], bool]:
        """The first of some blocks that can become one; and whether that may be otherwise later.

        Not where times overlap, also with other blocks and rows (the clock was set back, or they are imported): which
        of them was written last must stay visible.
        """
        with source.head.lock:
            spans = source.spans(min(one.start_ms for one in blocks), max(one.end_ms for one in blocks))
        wanted = {one.id: one for one in blocks if one.id not in self._unreadable}
        alone = _apart((low, high) for _, low, high in spans)
        run: list[Block] = []
        for number, low, high in sorted(spans, key=lambda span: (span[1], span[2])):
            block = wanted.get(number)
            if block is not None and (low, high) in alone and _cells(*run, block) <= MOST_CELLS:
                run.append(block)
            elif len(run) > 1:
                break
            else:
                run = []
        return (run if len(run) > 1 else []), any(number >= NEWEST for number, _, _ in spans)


def _apart(spans: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
    """Those that overlap no other."""
    ordered = sorted(spans)
    found = set(ordered)
    latest = ordered[0][1] if ordered else 0
    for one, other in pairwise(ordered):
        if other[0] <= one[1]:
            found.discard(one)
        if other[0] <= latest:
            found.discard(other)
        latest = max(latest, other[1])
    return found


def _cells(*blocks: Block) -> int:
    """Of a block made of these."""
    ids = np.unique(np.concatenate([block.members.ids for block in blocks]))
    return len(ids) * sum(block.count for block in blocks)


def _there(merge: Merge) -> bool:
    """Whether all the blocks are still there: meanwhile some may have been dropped."""
    there = {block.id for block in merge.source.blocks}
    return all(block.id in there for block in merge.blocks)
