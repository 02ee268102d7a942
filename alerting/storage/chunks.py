"""Blocks read back, with the chunks unpacked last kept in memory."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from alerting.model.series import ABSENT, FloatArray, IntArray
from alerting.storage.codec import (
    Damaged,
    IdArray,
    Inflated,
    Wanted,
    columns,
    decode_many_times,
    decode_times,
    inflate,
)
from alerting.storage.database import DatabaseDamaged
from alerting.storage.disk import Block, Disk, Members, chunk_key

log = logging.getLogger(__name__)

TIMES = 0xFFFF  # stands for a block's times where a bundle's number would stand
BAD_REMEMBERED = 10_000
AHEAD_AT_ONCE = 32  # bundles of some KiB
CELLS_AT_ONCE = 1 << 16  # restored together: many small columns in one go, within half a MiB that is not asked for anew


class Vanished(Exception):
    """The block is not on disk any more: look again which blocks there are."""


class Unreadable(Exception):
    """A piece of this block cannot be read back."""

    def __init__(self, block: Block) -> None:
        super().__init__(f"block {block.id}")
        self.block = block


Place: TypeAlias = tuple[int, npt.NDArray[np.intp], IdArray]
"""A bundle of a block that has some of the series asked for: its number, where these stand among all, these."""


class Piece(NamedTuple):  # made by the dozen in each query: a frozen dataclass takes thrice as long
    """The columns of these series out of a bundle, and where the ``window`` of them belongs: ``rows`` of the matrix,
    ``into`` these of its columns."""

    found: Inflated
    ids: IdArray
    matrix: FloatArray
    rows: npt.NDArray[np.intp]
    into: slice
    window: slice


class Restoring:
    """Columns on their way into matrices, restored many at a time."""

    def __init__(self) -> None:
        self._wanted: list[Wanted] = []
        self._pieces: list[tuple[Piece, npt.NDArray[np.intp]]] = []
        self._cells = 0

    def add(self, piece: Piece) -> None:
        found, rows = piece.found, piece.rows
        chosen = found.ids.searchsorted(piece.ids)
        chosen[chosen == len(found.ids)] = 0
        here = found.ids[chosen] == piece.ids
        if not here.all():
            chosen, rows = chosen[here], rows[here]
        self._wanted.append((found, chosen))
        self._pieces.append((piece, rows))
        self._cells += len(rows) * found.rows
        if self._cells > CELLS_AT_ONCE:
            self.finish()

    def finish(self) -> None:
        """All that was added is in its place."""
        for (piece, rows), values in zip(self._pieces, columns(self._wanted), strict=True):
            piece.matrix[_as_slice(rows), piece.into] = values[:, piece.window]
        self._wanted, self._pieces, self._cells = [], [], 0


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

    def bundle(self, block: Block, number: int, keep: bool, ready: dict[int, bytes] | None = None) -> Inflated | None:
        """None when it cannot be read back. ``ready``: what was read already. Raises Vanished and StorageError."""
        key = chunk_key(block, number)
        kept = self._find(key)
        if isinstance(kept, Inflated):
            return kept
        try:
            data = (ready or {}).get(key)
            found = inflate(self._found(self._disk.chunk(key), block) if data is None else data)
            if found.rows != block.count:
                raise Damaged(f"{found.rows} rows instead of {block.count}")
        except (Damaged, DatabaseDamaged) as error:
            self._report(key, block, error)
            return None
        if keep:
            self._keep(key, found)
        return found

    def assemble(
        self,
        blocks: Sequence[Block],
        ids: IdArray,
        start_ms: int,
        end_ms: int,
        *,
        keep: bool,
        room: int = 0,
        strict: bool = False,
        work: Restoring | None = None,
    ) -> tuple[IntArray, FloatArray, int]:
        """The window of some blocks one after the other: (times, ids x rows with ``ABSENT`` for no sample, rows).

        ``room`` rows more are left free at the end of both arrays. ``ids`` ascend. ``strict``: a piece that cannot be
        read back raises Unreadable. With ``work`` the samples are there when that is finished. Raises Vanished and
        StorageError.
        """
        windows = []
        total = 0
        for block, times in zip(blocks, self._times_of(blocks), strict=True):
            if strict and not len(times):
                raise Unreadable(block)
            low, high = 0, len(times)
            if block.start_ms < start_ms or block.end_ms > end_ms:
                low, high = int(times.searchsorted(start_ms)), int(times.searchsorted(end_ms, side="right"))
            if low < high:
                windows.append((block, times[low:high], slice(low, high)))
                total += high - low
        all_times = np.empty(total + room, np.int64)
        matrix = np.full((len(ids), total + room), ABSENT)
        pieces: list[Piece] = []
        places = _places_of([block for block, _, _ in windows], ids)
        bundles = iter(self._bundles_of(windows, places, keep))
        at = 0
        for (block, times, window), here in zip(windows, places, strict=True):
            into = slice(at, at + len(times))
            at += len(times)
            all_times[into] = times
            for _, rows, its_ids in here:
                found = next(bundles)
                if found is not None:
                    pieces.append(Piece(found, its_ids, matrix, rows, into, window))
                elif strict:
                    raise Unreadable(block)
        mine = work or Restoring()
        for piece in pieces:  # only now: a block may have vanished, and then all of this is done again
            mine.add(piece)
        if work is None:
            mine.finish()
        return all_times, matrix, total

    def _times_of(self, blocks: Sequence[Block]) -> list[IntArray]:
        """``times`` of each."""
        keys = [chunk_key(block, TIMES) for block in blocks]
        kept = self._look_up(keys)
        self._read_times([block for block, entry in zip(blocks, kept, strict=True) if entry is None])
        its = zip(blocks, kept, strict=True)
        return [entry if isinstance(entry, np.ndarray) else self.times(block) for block, entry in its]

    def _bundles_of(
        self, windows: Sequence[tuple[Block, IntArray, slice]], places: Sequence[Sequence[Place]], keep: bool
    ) -> list[Inflated | None]:
        """``bundle`` of each place of each window."""
        wanted = [(block, number) for (block, _, _), here in zip(windows, places, strict=True) for number, _, _ in here]
        keys = [chunk_key(block, number) for block, number in wanted]
        kept = self._look_up(keys)
        unknown = [key for key, entry in zip(keys, kept, strict=True) if entry is None]
        ready = self._read_chunks(unknown) if keep else {}
        return [
            entry if isinstance(entry, Inflated) else self.bundle(block, number, keep, ready)
            for (block, number), entry in zip(wanted, kept, strict=True)
        ]

    def _look_up(self, keys: Sequence[int]) -> list[IntArray | Inflated | None]:
        """What is in memory of these."""
        with self._lock:
            found = [self._kept.get(key) for key in keys]
            for key, entry in zip(keys, found, strict=True):
                if entry is not None:
                    self._kept.move_to_end(key)
                    self.hits += 1
        return found

    def _read_times(self, unknown: Sequence[Block], *, spare: bool = False) -> None:
        """Those of several blocks at one go. Only for speed, as ``_read_chunks``."""
        if len(unknown) < 2:
            return
        with suppress(DatabaseDamaged):
            data = self._disk.times_of(unknown)
            there = [block for block in unknown if block.id in data]
            for block, times in zip(there, decode_many_times([data[block.id] for block in there]), strict=True):
                if times is not None and len(times) == block.count:
                    self._keep(chunk_key(block, TIMES), times, spare=spare)

    def _read_chunks(self, unknown: Sequence[int]) -> dict[int, bytes]:
        """Several at one go. Only for speed: what is missing here, or damaged, is met again where it is read alone."""
        if len(unknown) > 1:
            with suppress(DatabaseDamaged):
                return self._disk.chunks(unknown)
        return {}

    def read_ahead(self, blocks: Sequence[Block], deadline: float) -> bool:
        """What nobody has asked for yet into memory, in this order, as far as nothing has to go for it; whether there
        is room and time left. What is damaged is for those who ask. Raises StorageError.

        ``deadline`` is a reading of time.monotonic().
        """
        if time.monotonic() > deadline:
            return False
        with self._lock:
            unknown = [block for block in blocks if chunk_key(block, TIMES) not in self._kept]
            every = ((block, chunk_key(block, number)) for block in blocks for number in _bundles(block))
            block_of = {key: block for block, key in every if key not in self._kept}
        self._read_times(unknown, spare=True)
        keys = list(block_of)
        for low in range(0, len(keys), AHEAD_AT_ONCE):
            some = keys[low : low + AHEAD_AT_ONCE]
            data = self._read_chunks(some)
            for key in some:
                with suppress(Damaged):
                    found = inflate(data.get(key, b""))
                    if found.rows == block_of[key].count and not self._keep(key, found, spare=True):
                        return False
            if time.monotonic() > deadline:
                return False
        return True

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
                for number in (TIMES, *_bundles(block)):
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

    def _keep(self, key: int, entry: IntArray | Inflated, *, spare: bool = False) -> bool:
        """Whether it is in memory now. ``spare``: only where there is room, and first to go when that is needed."""
        with self._lock:
            if key in self._kept:
                return True
            if _size(entry) > self._bound - (self._size if spare else 0):
                return False
            self._kept[key] = entry
            self._size += _size(entry)
            if spare:
                self._kept.move_to_end(key, last=False)
            while self._size > self._bound:
                self._size -= _size(self._kept.popitem(last=False)[1])
            return True

    def _report(self, key: int, block: Block, error: Exception) -> None:
        with self._lock:
            if key in self._bad:
                return
            if len(self._bad) < BAD_REMEMBERED:
                self._bad.add(key)
            self.lost += 1
        log.warning("%s: block %d (%d ms to %d ms): %s; skipped", self._disk.path, block.id, *_span(block), error)


def _places_of(blocks: Sequence[Block], ids: IdArray) -> list[list[Place]]:
    known: dict[int, list[Place]] = {}  # many blocks share their members
    for block in blocks:
        if id(block.members) not in known:
            known[id(block.members)] = _places(block.members, ids)
    return [known[id(block.members)] for block in blocks]


def _places(members: Members, ids: IdArray) -> list[Place]:
    place = np.minimum(members.ids.searchsorted(ids), len(members.ids) - 1)
    rows = (members.ids[place] == ids).nonzero()[0]
    bundles = members.bundles[place[rows]]
    numbers = set(bundles.tolist())
    if len(numbers) == 1:
        return [(numbers.pop(), rows, ids[rows])]
    return [(number, its := rows[bundles == number], ids[its]) for number in sorted(numbers)]


def _as_slice(rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp] | slice:
    """Ascending numbers as a slice where they are neighbours: what is written there is copied in one go."""
    if not len(rows):
        return slice(0)
    first, last = rows.item(0), rows.item(-1)
    return slice(first, last + 1) if last - first + 1 == len(rows) else rows


def _bundles(block: Block) -> range:
    """The numbers of its bundles."""
    return range(int(block.members.bundles.max(initial=0)) + 1)


def _size(entry: IntArray | Inflated) -> int:
    return (entry.bytes if isinstance(entry, Inflated) else entry.nbytes) + 400


def _span(block: Block) -> tuple[int, int]:
    return block.start_ms, block.end_ms
