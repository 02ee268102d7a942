"""Blocks: made from rows, and read back, with the chunks unpacked last kept in memory."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from alerting.model.series import ABSENT, ABSENT_BITS, FloatArray, IntArray
from alerting.storage.codec import (
    Damaged,
    IdArray,
    Inflated,
    Wanted,
    columns,
    decode_times,
    encode,
    encode_times,
    inflate,
)
from alerting.storage.database import DatabaseDamaged
from alerting.storage.disk import Block, Disk, Members, NewBlock, chunk_key

log = logging.getLogger(__name__)

BUNDLE_CELLS = 16_384  # a few KiB deflated: some pages, read at once
TIMES = 0xFFFF  # stands for a block's times where a bundle's number would stand
BAD_REMEMBERED = 10_000
CELLS_AT_ONCE = 1 << 16  # restored together: many small columns in one go, within half a MiB that is not asked for anew


class Vanished(Exception):
    """The block is not on disk any more: look again which blocks there are."""


# --- making ---------------------------------------------------------------------------------------------------------


def make_block(
    *,
    block_id: int,
    source: int,
    level: int,
    times: IntArray,
    ids: IdArray,
    values: FloatArray,
    name_of: Callable[[int], str],
) -> NewBlock | None:
    """Compress columns x rows; ``ids`` ascend. Columns without a sample are left out; None when none is left."""
    present = values.view(np.int64) != ABSENT_BITS
    used = present.any(axis=1)
    if not used.any():
        return None
    if not used.all():
        ids, values, present = ids[used], np.ascontiguousarray(values[used]), present[used]
    rows = len(times)
    bundles = divide([name_of(series_id) for series_id in ids.tolist()], rows)
    chunks = []
    for number in range(int(bundles.max()) + 1):
        chosen = np.flatnonzero(bundles == number)
        chunks.append(encode(ids[chosen], values[chosen]))
    members = Members(
        ids,
        bundles,
        np.argmax(present, axis=1).astype(np.uint32),
        (rows - 1 - np.argmax(present[:, ::-1], axis=1)).astype(np.uint32),
    )
    packed_times = encode_times(times)
    size = len(packed_times) + sum(map(len, chunks))
    block = Block(block_id, source, level, int(times[0]), int(times[-1]), rows, size, members)
    return NewBlock(block, packed_times, chunks)


def divide(names: Sequence[str], rows: int) -> npt.NDArray[np.uint16]:
    """The bundle of each column: neighbours by name together, a name in one bundle unless it alone is huge."""
    bundles = np.zeros(len(names), np.uint16)
    number, cells = 0, 0
    by_name: dict[str, list[int]] = {}
    for column, name in enumerate(names):
        by_name.setdefault(name, []).append(column)
    for name in sorted(by_name):
        columns = by_name[name]
        if cells and cells + len(columns) * rows > BUNDLE_CELLS:
            number, cells = number + 1, 0
        most = max(16 * BUNDLE_CELLS // rows, 1)
        for low in range(0, len(columns), most):
            if low:
                number += 1
            bundles[columns[low : low + most]] = number
        cells += len(columns) * rows
    return bundles


# --- reading --------------------------------------------------------------------------------------------------------


class ChunkReader:
    """Thread-safe. A chunk that cannot be read back is reported once, counted, and reads as no samples.

    So does one that is not there although its block ``is_kept``: a block leaves memory before it leaves the disk.
    """

    def __init__(self, disk: Disk, cache_bytes: int, is_kept: Callable[[Block], bool]) -> None:
        self.lost = 0
        self.hits = 0
        self.misses = 0
        self._disk = disk
        self._is_kept = is_kept
        self._bound = cache_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, IntArray | Inflated] = OrderedDict()
        self._size = 0
        self._bad: set[int] = set()

    @property
    def bound(self) -> int:
        return self._bound

    def times(self, block: Block) -> IntArray:
        """The times of a block's rows; none when they cannot be read back. Raises Vanished and StorageError."""
        key = chunk_key(block, TIMES)
        kept = self._find(key)
        if isinstance(kept, np.ndarray):
            return kept
        try:
            times = decode_times(self._found(self._disk.times(block), block))
            if len(times) != block.count:
                raise Damaged(f"{len(times)} times for {block.count} rows")
        except (Damaged, DatabaseDamaged) as error:
            self._report(key, block, error)
            return np.zeros(0, np.int64)
        self._keep(key, times)
        return times

    def bundle(self, block: Block, number: int, keep: bool) -> Inflated | None:
        """None when it cannot be read back. Raises Vanished and StorageError."""
        key = chunk_key(block, number)
        kept = self._find(key)
        if isinstance(kept, Inflated):
            return kept
        try:
            data = self._found(self._disk.chunk(key), block)
            found = inflate(data)
            if found.rows != block.count:
                raise Damaged(f"{found.rows} rows instead of {block.count}")
        except (Damaged, DatabaseDamaged) as error:
            self._report(key, block, error)
            return None
        if keep:
            self._keep(key, found)
        return found

    def assemble(
        self, blocks: Sequence[Block], ids: IdArray, start_ms: int, end_ms: int, *, keep: bool, room: int = 0
    ) -> tuple[IntArray, FloatArray, int]:
        """The window of some blocks one after the other: (times, ids x rows with ``ABSENT`` for no sample, rows).

        ``room`` rows more are left free at the end of both arrays. ``ids`` ascend. Raises Vanished, StorageError.
        """
        windows = []
        total = 0
        for block in blocks:
            times = self.times(block)
            low = int(np.searchsorted(times, start_ms))
            high = int(np.searchsorted(times, end_ms, side="right"))
            if low < high:
                windows.append((block, times[low:high], low, high))
                total += high - low
        all_times = np.empty(total + room, np.int64)
        matrix = np.full((len(ids), total + room), ABSENT)
        work = _Restoring(matrix)
        at = 0
        for block, times, low, high in windows:
            all_times[at : at + len(times)] = times
            for number, rows, its_ids in _places(block.members, ids):
                found = self.bundle(block, number, keep)
                if found is not None:
                    work.add(found, its_ids, rows, slice(at, at + len(times)), slice(low, high))
            at += len(times)
        work.finish()
        return all_times, matrix, total

    def last_row(self, block: Block) -> tuple[IdArray, FloatArray]:
        """The series of a block and their values in its last row; none when they cannot be read back. For the start,
        when nothing removes blocks. Raises StorageError."""
        ids = block.members.ids
        _, matrix, rows = self.assemble([block], ids, block.end_ms, block.end_ms, keep=False)
        return (ids, matrix[:, -1]) if rows else (ids[:0], matrix[:0].ravel())

    def forget(self, blocks: Sequence[Block]) -> None:
        """These blocks are gone."""
        with self._lock:
            for block in blocks:
                for number in (TIMES, *range(int(block.members.bundles.max(initial=0)) + 1)):
                    entry = self._kept.pop(chunk_key(block, number), None)
                    if entry is not None:
                        self._size -= _size(entry)

    def forget_all(self) -> None:
        with self._lock:
            self._kept.clear()
            self._size = 0

    def _found(self, data: bytes | None, block: Block) -> bytes:
        """Raises Vanished, or Damaged when it should be there."""
        if data is not None:
            return data
        if self._is_kept(block):
            raise Damaged("a part is missing")
        raise Vanished

    def _find(self, key: int) -> IntArray | Inflated | None:
        with self._lock:
            entry = self._kept.get(key)
            if entry is None:
                self.misses += 1
                return None
            self.hits += 1
            self._kept.move_to_end(key)
            return entry

    def _keep(self, key: int, entry: IntArray | Inflated) -> None:
        with self._lock:
            if key in self._kept or _size(entry) > self._bound:
                return
            self._kept[key] = entry
            self._size += _size(entry)
            while self._size > self._bound:
                self._size -= _size(self._kept.popitem(last=False)[1])

    def _report(self, key: int, block: Block, error: Exception) -> None:
        with self._lock:
            if key in self._bad:
                return
            if len(self._bad) < BAD_REMEMBERED:
                self._bad.add(key)
            self.lost += 1
        log.warning("%s: block %d (%d ms to %d ms): %s; skipped", self._disk.path, block.id, *_span(block), error)


def _places(members: Members, ids: IdArray) -> list[tuple[int, npt.NDArray[np.intp], IdArray]]:
    """The bundles of a block that have some of ``ids``: (number, where these stand in ``ids``, these)."""
    place = np.minimum(members.ids.searchsorted(ids), len(members.ids) - 1)
    rows = (members.ids[place] == ids).nonzero()[0]
    bundles = members.bundles[place[rows]]
    numbers = set(bundles.tolist())
    if len(numbers) == 1:
        return [(numbers.pop(), rows, ids[rows])]
    return [(number, its := rows[bundles == number], ids[its]) for number in sorted(numbers)]


class _Restoring:
    """Columns on their way into a matrix, restored many at a time."""

    def __init__(self, matrix: FloatArray) -> None:
        self._matrix = matrix
        self._wanted: list[Wanted] = []
        self._into: list[tuple[npt.NDArray[np.intp], slice, slice]] = []
        self._cells = 0

    def add(self, found: Inflated, ids: IdArray, rows: npt.NDArray[np.intp], into: slice, window: slice) -> None:
        """The ``window`` of the columns of these series belongs into these rows at ``into``."""
        chosen = np.minimum(found.ids.searchsorted(ids), len(found.ids) - 1)
        here = found.ids[chosen] == ids
        if not here.all():
            chosen, rows = chosen[here], rows[here]
        self._wanted.append((found, chosen))
        self._into.append((rows, into, window))
        self._cells += len(rows) * found.rows
        if self._cells > CELLS_AT_ONCE:
            self.finish()

    def finish(self) -> None:
        if self._wanted:
            for values, (rows, into, window) in zip(columns(self._wanted), self._into, strict=True):
                self._matrix[rows, into] = values[:, window]
        self._wanted, self._into, self._cells = [], [], 0


def _size(entry: IntArray | Inflated) -> int:
    return (entry.bytes if isinstance(entry, Inflated) else entry.nbytes) + 400


def _span(block: Block) -> tuple[int, int]:
    return block.start_ms, block.end_ms
