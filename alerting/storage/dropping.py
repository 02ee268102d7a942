"""What the store keeps no longer: blocks beyond the limits of time and size, and series without a sample."""

from __future__ import annotations

import logging

import numpy as np

from alerting.model.series import IntArray
from alerting.storage.disk import Block, Disk
from alerting.storage.options import StoreOptions
from alerting.storage.query import Source
from alerting.storage.registry import Registry

DROPS_AT_ONCE = 16  # blocks a flush drops
REST_FLUSHES = 75  # between two looks for what is too old
FIRST_MS, LAST_MS = -(1 << 60), 1 << 60

log = logging.getLogger(__name__)


class Dropper:
    """Some blocks each flush."""

    def __init__(self, disk: Disk, registry: Registry, sources: dict[int, Source], options: StoreOptions) -> None:
        self._disk = disk
        self._registry = registry
        self._sources = sources
        self._options = options
        self._rest = 0

    def step(self, now_ms: int) -> tuple[list[Block], set[int]]:
        """Takes the oldest blocks out of memory, and series that are nowhere any more or too many; both are to go from
        disk."""
        self._registry.watch()
        given_up = self._give_up_ended()
        old = self._too_old(now_ms)
        if not old and self._disk.used_bytes() > self._options.max_bytes:
            old = sorted((block for source in list(self._sources.values()) for block in source.blocks), key=_age)
        old = old[:DROPS_AT_ONCE]
        if not old:
            return [], given_up
        gone = {block.id for block in old}
        dead = self._registry.ids()
        for source in list(self._sources.values()):
            with source.head.lock:  # a column is in the registry and in the head, or in neither
                dead.difference_update(source.head.ids())
            for block in source.blocks:
                if block.id not in gone:
                    dead.difference_update(block.members.ids.tolist())
        for source in list(self._sources.values()):
            with source.head.lock:
                source.set_blocks(block for block in source.blocks if block.id not in gone)
        return old, given_up | self._registry.remove(dead)

    def _give_up_ended(self) -> set[int]:
        """Series that ended longest ago, when there are too many; their samples stay in their blocks, unread."""
        count, options = self._registry.ended_count, self._options
        lasting = len(self._registry) - count
        most = max(min(options.max_ended_series, options.max_series * 15 // 16 - lasting), 0)
        if count <= most:
            return set()
        ids = np.array(sorted(self._registry.ended_ids()), np.int64)
        oldest = np.argsort(self._last_seen(ids), kind="stable")[: len(ids) - most * 7 // 8]
        given_up = self._registry.remove(ids[oldest].tolist())
        log.warning(
            "%d series have ended, at most %d are kept: the %d that ended longest ago are given up; "
            "look for a label that changes all the time",
            count, most, len(given_up),
        )  # fmt: skip
        return given_up

    def _last_seen(self, ids: IntArray) -> IntArray:
        """About when each of these, which ascend, had its last sample: the rows of a block are about evenly spaced."""
        newest: dict[int, Block] = {}  # many blocks share their members
        for source in list(self._sources.values()):
            for block in source.blocks:
                other = newest.setdefault(id(block.members), block)
                if other.end_ms < block.end_ms:
                    newest[id(block.members)] = block
        last: IntArray = np.full(len(ids), FIRST_MS)
        for block in newest.values():
            its, rows = block.members.ids, block.members.last.astype(np.int64)
            times = block.start_ms + (block.end_ms - block.start_ms) * rows // max(block.count - 1, 1)
            place = np.minimum(ids.searchsorted(its), len(ids) - 1)
            here = ids[place] == its
            last[place[here]] = np.maximum(last[place[here]], times[here])
        return last

    def _too_old(self, now_ms: int) -> list[Block]:
        """The oldest first. Looked for every ten minutes or so, until there are none."""
        self._rest -= 1
        if self._rest > 0:
            return []
        before = min(now_ms, self._recorded_since(self._options.retention_ms)) - 1
        before = min(before, now_ms - self._options.retention_ms - 1)
        sources = list(self._sources.values())
        old = [block for source in sources for block in source.blocks if block.end_ms <= before]
        if not old:
            self._rest = REST_FLUSHES
        return sorted(old, key=_age)

    def _recorded_since(self, span_ms: int) -> int:
        """The latest time after which so much was recorded, by whatever source; gaps do not count."""
        times = []
        for source in list(self._sources.values()):
            with source.head.lock:
                times += source.spans(FIRST_MS, LAST_MS)
        covered, edge = 0, LAST_MS
        for _, low, high in sorted(times, key=lambda span: -span[2]):
            if low >= edge:
                continue
            covered += min(high, edge) - low
            if covered >= span_ms:
                return low + covered - span_ms
            edge = low
        return FIRST_MS


def _age(block: Block) -> tuple[int, int]:
    return block.end_ms, block.id
