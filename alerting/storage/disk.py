"""How the store lies in its SQLite file. SQL is written here only; what the blobs mean, in ``codec`` and ``tail``.

A *block* is some rows of one source, compressed; its columns are divided into *bundles* of neighbouring metric names,
a blob each, so that a query reads the names it needs and SQLite's pages stay full. ``members`` says which series lie
in which bundle. The *tail* has the rows that are in no block yet; ``sources.sealed`` is the number of the first of
them, so a row in both is read once.
"""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from alerting.model.labels import Labels
from alerting.storage.codec import Damaged, IdArray
from alerting.storage.database import Database, DatabaseDamaged
from alerting.storage.options import MIB
from alerting.storage.ports import StorageError
from alerting.storage.reader import Reader
from alerting.storage.registry import Series

log = logging.getLogger(__name__)

PAGE = 1024  # of new files: a flush changes few bytes of several pages, and writes the pages
WAL_FRAME_HEADER = 24  # https://www.sqlite.org/fileformat.html section 4.1
REPLACED = -1  # the level of a block that another one has taken in
BUNDLE_BITS = 16  # a chunk's key is its block's id and its bundle's number
FREE_BYTES_KEPT = 8 * MIB  # reused by the next blocks: giving them back would be written twice
LOG_BYTES = 16 * MIB
AT_ONCE = 64  # blobs read by one statement
VACUUM_BYTES = 2 * MIB  # given back at once

BLOCK_COLUMNS = ("id", "source", "level", "start_ms", "end_ms", "count", "bytes", "members")

SCHEMA = """
CREATE TABLE sources (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, sealed INTEGER NOT NULL DEFAULT 0);
CREATE TABLE series (id INTEGER PRIMARY KEY, source INTEGER NOT NULL, labels TEXT NOT NULL);
CREATE TABLE tail (id INTEGER PRIMARY KEY, grp INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE blocks (id INTEGER PRIMARY KEY, source INTEGER NOT NULL, level INTEGER NOT NULL,
  start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, count INTEGER NOT NULL, bytes INTEGER NOT NULL,
  times BLOB NOT NULL, members BLOB NOT NULL);
CREATE TABLE chunks (key INTEGER PRIMARY KEY, data BLOB NOT NULL);
"""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Members:
    """The series of a block by ascending id, the bundle of each, and its first and last row with a sample."""

    ids: IdArray
    bundles: npt.NDArray[np.uint16]
    first: IdArray
    last: IdArray

    def pack(self) -> bytes:
        steps = np.diff(self.ids, prepend=np.uint32(0)).astype(np.uint32)
        parts = (steps, self.bundles.astype(np.uint32), self.first, self.last)
        return zlib.compress(b"".join(part.tobytes() for part in parts), 6)

    @classmethod
    def unpack(cls, data: bytes) -> Members:
        """Raises Damaged."""
        try:
            steps, bundles, first, last = np.frombuffer(zlib.decompress(data), np.uint32).reshape(4, -1)
        except (ValueError, zlib.error) as error:
            raise Damaged(f"members: {error}") from error
        return cls(np.cumsum(steps, dtype=np.uint32), bundles.astype(np.uint16), first, last)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some rows of one source on disk; both ends included. ``level`` 0 was sealed, 1 was merged, 2 once more."""

    id: int
    source: int
    level: int
    start_ms: int
    end_ms: int
    count: int
    bytes: int
    members: Members


@dataclass(frozen=True, slots=True)
class NewBlock:
    """A block to be written: its times encoded, and each bundle's blob."""

    block: Block
    times: bytes
    chunks: list[bytes]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was found on disk; ``sources`` is id -> (name, sealed)."""

    sources: dict[int, tuple[str, int]]
    series: list[tuple[int, int, Labels]]
    blocks: list[Block]
    blocks_lost: list[int]
    next_block: int
    next_series: int
    """Above every number on disk, also those of blocks and series that were left out."""
    tail: list[tuple[int, int, bytes]]
    """(row, group, blob) in the order of writing."""
    damaged: Path | None = None
    """A file that was moved aside; ``to_save`` are blocks that can perhaps still be read from it."""
    to_save: tuple[Block, ...] = ()


class Disk:
    """Every method raises StorageError; DatabaseDamaged when the file itself is broken."""

    def __init__(self, path: Path, now_ms: int) -> None:
        self.path = path
        self.bytes_written = 0
        self._log_counted = 0
        self._log_bytes = 0
        self._database = Database(
            path, [SCHEMA], now_ms=now_ms, page_size=PAGE, incremental_vacuum=True, checkpoint_pages=0
        )
        self._page = self._database.pragma("page_size")
        self.moved_aside = int(self._database.moved_aside is not None)
        try:
            self._reader = Reader(path, beside=self._database)
        except StorageError:
            self._database.close()
            raise

    def load_or_start_empty(self, now_ms: int) -> Loaded:
        """``load``; a file that opens but cannot be read, or lacks its tables, goes aside, and what can be read of it
        comes into the new one: small things at once, the blocks later."""
        aside = self._database.moved_aside
        if aside is None:
            try:
                return self.load()
            except (DatabaseDamaged, OverflowError, TypeError, ValueError) as error:
                log.warning("%s: %s", self.path, error)
            except StorageError as error:
                if "no such" not in str(error):
                    raise
                log.warning("%s", error)
            aside = self.start_empty(now_ms)
        blocks = self._save_small_things(aside)
        loaded = self.load()
        blocks = [block for block in blocks if block.source in loaded.sources]
        return replace(
            loaded,
            next_block=max([loaded.next_block, *(block.id + 1 for block in blocks)]),
            next_series=max([loaded.next_series, *(int(block.members.ids[-1]) + 1 for block in blocks)]),
            damaged=aside,
            to_save=tuple(blocks),
        )

    def _save_small_things(self, aside: Path) -> list[Block]:
        """Sources, series and tail; returns the blocks that are known."""
        reader = Reader(aside, damaged=True)
        try:
            sources, _ = reader.readable("sources", "id", ("id", "name", "sealed"))
            series, _ = reader.readable("series", "id", ("id", "source", "labels"))
            tail, _ = reader.readable("tail", "id", ("id", "grp", "data"))
            described, _ = reader.readable("blocks", "id", BLOCK_COLUMNS)
        except StorageError as error:
            log.warning("%s: nothing of it can be read: %s", aside, error)
            return []
        finally:
            reader.close()
        rows = {
            "INSERT OR IGNORE INTO sources VALUES (?, ?, ?)": _like(sources, (int, str, int)),
            "INSERT OR IGNORE INTO series VALUES (?, ?, ?)": _like(series, (int, int, str)),
            "INSERT OR IGNORE INTO tail VALUES (?, ?, ?)": _like(tail, (int, int, bytes)),
        }
        with self._database.transaction() as connection:
            for statement, good in rows.items():
                connection.executemany(statement, good)
        blocks, _ = _blocks(row for row in described if isinstance(row[2], int) and row[2] >= 0)
        numbers = (len(sources), len(series), len(tail), len(blocks))
        log.warning("%s: read back %d sources, %d series, %d flushes; %d blocks are looked for next", aside, *numbers)
        return [block for block in blocks if len(block.members.ids)]

    def load(self) -> Loaded:
        """Everything but the chunks. A block or a series that makes no sense is left out."""
        rows = self._database.rows
        sources = {int(i): (str(name), int(sealed)) for i, name, sealed in rows("SELECT id, name, sealed FROM sources")}
        series = []
        pairs: dict[tuple[str, str], tuple[str, str]] = {}  # most are in many series
        for series_id, source, text in rows("SELECT id, source, labels FROM series ORDER BY id"):
            try:
                labels = Labels(pairs.setdefault(pair, pair) for pair in Labels.of(json.loads(text)))
                series.append((int(series_id), int(source), labels))
            except (OverflowError, TypeError, ValueError):
                continue
        replaced = [int(block) for (block,) in rows("SELECT id FROM blocks WHERE level = ?", (REPLACED,))]
        if replaced:
            try:
                self.delete_blocks(replaced)
            except DatabaseDamaged:
                raise
            except StorageError as error:  # a full disk: they are left out below, and go at another start
                log.warning("%s", error)
        columns = ", ".join(BLOCK_COLUMNS)
        blocks, lost = _blocks(rows(f"SELECT {columns} FROM blocks WHERE level >= 0 ORDER BY start_ms, id"))  # noqa: S608
        tail = [(int(i), int(grp), _bytes(data)) for i, grp, data in rows("SELECT id, grp, data FROM tail ORDER BY id")]
        ((block_top, chunk_top, series_top),) = rows(
            "SELECT (SELECT max(id) FROM blocks), (SELECT max(key) FROM chunks), (SELECT max(id) FROM series)"
        )
        next_block = max(block_top or 0, (chunk_top or 0) >> BUNDLE_BITS) + 1
        # Of a series that was given up the number is still in blocks.
        tops = [series_top or 0, *(int(block.members.ids[-1]) for block in blocks if len(block.members.ids))]
        return Loaded(sources, series, blocks, lost, next_block, max(tops) + 1, tail)

    def write_tail(
        self,
        row: int,
        group: int,
        data: bytes,
        *,
        series: Sequence[Series],
        sources: dict[int, str],
        instead_of: Sequence[int] = (),
    ) -> None:
        """One flush, with the series and sources it is the first to speak of; the groups ``instead_of`` go."""
        with self._database.transaction() as connection:
            connection.executemany("INSERT OR IGNORE INTO sources (id, name) VALUES (?, ?)", sources.items())
            connection.executemany("INSERT OR REPLACE INTO series VALUES (?, ?, ?)", _texts(series))
            connection.executemany("DELETE FROM tail WHERE grp = ?", ((gone,) for gone in instead_of))
            connection.execute("INSERT INTO tail (id, grp, data) VALUES (?, ?, ?)", (row, group, data))
        self._log_bytes += len(data) + 6 * self._page

    def write_sealed(self, new: NewBlock | None, source: int, *, sealed: int, groups: Sequence[int]) -> None:
        """A block in (None: its rows had no sample), the source's mark up, the tail's ``groups`` out."""
        with self._database.transaction() as connection:
            if new is not None:
                _insert(connection, new)
            connection.execute("UPDATE sources SET sealed = ? WHERE id = ?", (sealed, source))
            connection.executemany("DELETE FROM tail WHERE grp = ?", ((group,) for group in groups))
        self._log_bytes += (new.block.bytes if new is not None else 0) + 10 * self._page

    def write_saved(self, new: NewBlock) -> None:
        """A block carried over from a damaged file."""
        with self._database.transaction() as connection:
            _insert(connection, new)
        self._log_bytes += new.block.bytes + 10 * self._page

    def write_merged(self, new: NewBlock, replaces: Sequence[Block]) -> None:
        """A block in; those it replaces are marked, to be deleted with ``delete_blocks`` (``load`` does it too)."""
        with self._database.transaction() as connection:
            _insert(connection, new)
            marks = ((REPLACED, block.id) for block in replaces)
            connection.executemany("UPDATE blocks SET level = ? WHERE id = ?", marks)
        self._log_bytes += new.block.bytes + 10 * self._page

    def delete_blocks(self, blocks: Sequence[int], series: Iterable[int] = ()) -> None:
        with self._database.transaction() as connection:
            _delete(connection, blocks)
            connection.executemany("DELETE FROM series WHERE id = ?", ((one,) for one in series))

    def times(self, block: Block) -> bytes | None:
        """None when the block is gone."""
        found = self._reader.rows("SELECT times FROM blocks WHERE id = ?", (block.id,))
        return _bytes(found[0][0]) if found else None

    def chunk(self, key: int) -> bytes | None:
        """None when the block is gone."""
        found = self._reader.rows("SELECT data FROM chunks WHERE key = ?", (key,))
        return _bytes(found[0][0]) if found else None

    def times_of(self, blocks: Sequence[Block]) -> dict[int, bytes]:
        """Those of several blocks by their ids, as far as they are there."""
        return self._several("SELECT id, times FROM blocks WHERE id IN", [block.id for block in blocks])

    def chunks(self, keys: Sequence[int]) -> dict[int, bytes]:
        """Several chunks, as far as they are there."""
        return self._several("SELECT key, data FROM chunks WHERE key IN", keys)

    def _several(self, select: str, keys: Sequence[int]) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        for low in range(0, len(keys), AT_ONCE):
            some = sorted(keys[low : low + AT_ONCE])
            rows = self._reader.rows(f"{select} ({','.join('?' * len(some))})", some)
            found.update((int(key), _bytes(data)) for key, data in rows)
        return found

    def checkpoint(self) -> None:
        """Move the write-ahead log into the file once it is long, and count what both cost.

        Most of the log is tail, deleted and written over before long: the longer the log, the less of it is ever
        copied. It makes nothing less durable.
        """
        if self._log_bytes < LOG_BYTES:
            return
        self._log_bytes = 0
        logged, copied = self._database.checkpoint()
        self.bytes_written += max(logged - self._log_counted, 0) * (self._page + WAL_FRAME_HEADER)
        self.bytes_written += copied * self._page
        self._log_counted = 0 if logged == copied else logged  # a log copied whole is written from its start again

    def used_bytes(self) -> int:
        """Pages in use: what the limit of size speaks of. Free ones inside the file and the log are not counted."""
        return (self._database.pragma("page_count") - self._database.pragma("freelist_count")) * self._page

    def file_bytes(self) -> int:
        return _file_size(self.path) + _file_size(self.path.with_name(self.path.name + "-wal"))

    def give_back(self) -> None:
        """Return some of the file's free pages to the file system, when there are many."""
        if self._database.pragma("freelist_count") * self._page > FREE_BYTES_KEPT:
            self._database.rows(f"PRAGMA incremental_vacuum({VACUUM_BYTES // self._page})")

    def start_empty(self, now_ms: int) -> Path:
        """The file is damaged: it goes aside, and an empty one takes its place. Returns where it went."""
        with suppress(StorageError):
            self._reader.close()
        aside = self._database.reopen_empty(now_ms)
        self._reader = Reader(self.path, beside=self._database)
        self._page = self._database.pragma("page_size")
        self._log_counted = 0
        self.moved_aside += 1
        return aside

    def close(self) -> None:
        self._reader.close()
        self._database.close()


def chunk_key(block: Block, bundle: int) -> int:
    return (block.id << BUNDLE_BITS) | bundle


def read_block(reader: Reader, block: Block) -> NewBlock:
    """A whole block as it lies in a file. Raises StorageError when a piece of it is missing or cannot be read."""
    first = block.id << BUNDLE_BITS
    times = reader.rows("SELECT times FROM blocks WHERE id = ?", (block.id,))
    chunks = reader.rows(
        "SELECT key, data FROM chunks WHERE key BETWEEN ? AND ? ORDER BY key", (first, first + (1 << BUNDLE_BITS) - 1)
    )
    wanted = range(first, first + int(block.members.bundles.max(initial=0)) + 1)
    if not times or [int(key) for key, _ in chunks] != list(wanted):
        raise StorageError(f"{reader.path}: block {block.id} is not whole")
    return NewBlock(block, _bytes(times[0][0]), [_bytes(data) for _, data in chunks])


def _blocks(rows: Iterable[Sequence[Any]]) -> tuple[list[Block], list[int]]:
    """Blocks of rows of ``BLOCK_COLUMNS``, and the ids of those that make no sense."""
    blocks, lost, shared = [], list[int](), dict[bytes, Members]()
    for *numbers, members in rows:
        try:
            if members not in shared:
                shared[members] = Members.unpack(members)
            block_id, source, level, start_ms, end_ms, count, size = (int(number) for number in numbers)
            blocks.append(Block(block_id, source, level, start_ms, end_ms, count, size, shared[members]))
        except (Damaged, OverflowError, TypeError, ValueError):
            lost.append(int(numbers[0]))
    return blocks, lost


def _like(rows: Iterable[Sequence[Any]], types: Sequence[type]) -> list[Sequence[Any]]:
    """Those whose values have these types: SQLite does not notice every byte that has changed."""
    return [row for row in rows if all(isinstance(value, of) for value, of in zip(row, types, strict=True))]


def _bytes(value: object) -> bytes:
    """A blob; what has taken its place in a damaged file is none, and reads as an empty one."""
    return value if isinstance(value, bytes) else b""


def _insert(connection: Any, new: NewBlock) -> None:
    block = new.block
    numbers = (block.id, block.source, block.level, block.start_ms, block.end_ms, block.count, block.bytes)
    connection.execute(
        "INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*numbers, new.times, block.members.pack())
    )
    connection.executemany("INSERT INTO chunks VALUES (?, ?)", enumerate(new.chunks, block.id << BUNDLE_BITS))


def _delete(connection: Any, blocks: Sequence[int]) -> None:
    for block in blocks:
        connection.execute("DELETE FROM blocks WHERE id = ?", (block,))
        first = block << BUNDLE_BITS
        connection.execute("DELETE FROM chunks WHERE key BETWEEN ? AND ?", (first, first + (1 << BUNDLE_BITS) - 1))


def _texts(series: Sequence[Series]) -> list[tuple[int, int, str]]:
    return [(one.id, one.source, json.dumps(dict(one.labels), separators=(",", ":"))) for one in series]


def _file_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
