"""What the store keeps no longer: blocks beyond the limits of time and size, and series without a sample."""

from __future__ import annotations

from alerting.storage.disk import Block, Disk
from alerting.storage.options import StoreOptions
from alerting.storage.query import Source
from alerting.storage.registry import Registry

DROPS_AT_ONCE = 16  # blocks a flush drops
REST_FLUSHES = 75  # between two looks for what is too old
FIRST_MS, LAST_MS = -(1 << 60), 1 << 60


class Dropper:
    """Some blocks each flush."""

    def __init__(self, disk: Disk, registry: Registry, sources: dict[int, Source], options: StoreOptions) -> None:
        self._disk = disk
        self._registry = registry
        self._sources = sources
        self._options = options
        self._rest = 0

    def step(self, now_ms: int) -> tuple[list[Block], set[int]]:
        """Takes the oldest blocks out of memory; they and the series that are nowhere any more are to go from disk."""
        old = self._too_old(now_ms)
        if not old and self._disk.used_bytes() > self._options.max_bytes:
            old = sorted((block for source in list(self._sources.values()) for block in source.blocks), key=_age)
        old = old[:DROPS_AT_ONCE]
        if not old:
            return [], set()
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
        self._registry.remove(dead)
        return old, dead

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
