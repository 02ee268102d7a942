"""Carrying what can still be read out of a damaged database file into the new one, some blocks at a time."""

from __future__ import annotations

import logging
from pathlib import Path

from alerting.storage.disk import Block, NewBlock, read_block
from alerting.storage.ports import StorageError
from alerting.storage.reader import Reader

log = logging.getLogger(__name__)

BLOCKS_AT_ONCE = 8


class Salvage:
    """The blocks of a file that was moved aside; their place and series are known from memory, newest go first."""

    def __init__(self, path: Path, blocks: list[Block]) -> None:
        """Raises StorageError when the file cannot be opened."""
        self._path = path
        self._reader = Reader(path, damaged=True)
        self._left = sorted(blocks, key=lambda block: block.end_ms)
        self._total = len(blocks)
        self.lost = 0

    def next(self) -> NewBlock | None:
        """The next block; None when it cannot be read, which is counted in ``lost``. The same one until ``taken``."""
        block = self._left[-1]
        try:
            return read_block(self._reader, block)
        except StorageError as error:
            self.lost += 1
            log.warning("block %d (%d ms to %d ms) is lost: %s", block.id, block.start_ms, block.end_ms, error)
            return None

    def taken(self) -> None:
        """That block is dealt with."""
        self._left.pop()

    @property
    def done(self) -> bool:
        return not self._left

    def close(self) -> None:
        log.warning("%s: %d of %d blocks saved", self._path, self._total - self.lost - len(self._left), self._total)
        self._reader.close()
