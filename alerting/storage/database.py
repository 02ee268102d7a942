"""SQLite behind one door: open with the right pragmas, migrate, survive a damaged file.

Every error of sqlite3 leaves here as ``StorageError`` (``DatabaseDamaged`` when the file itself is broken), so no room
above imports sqlite3. A database is meant for little data written often and durably: WAL, and ``synchronous=FULL`` so
that a committed transaction survives a power cut.
"""

from __future__ import annotations

import logging
import re
import sqlite3
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from alerting.storage.ports import StorageError

log = logging.getLogger(__name__)

BUSY_TIMEOUT_S = 10.0
# Primary result codes, https://www.sqlite.org/rescode.html.
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
# Also what SQLite says of a header or a schema that it cannot make sense of ("unsupported file format").
_DAMAGED_OR_SENSELESS = _DAMAGED | {sqlite3.SQLITE_ERROR}
# A disk that takes nothing: full, broken, or mounted read-only after an error.
_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN})
TRY_DISK_S, PATIENCE_S = 5.0, 60.0
_COLUMNS = "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table'"
BELIEVABLE = 1000  # schema versions ahead of ours that a newer program may have; more is damage
DAMAGED_KEPT = 3  # files moved aside that stay for a person to look at
UNREADABLE = 2000  # rows of a damaged table that are looked for in vain before the rest is given up
_SIDE_FILES = ("-wal", "-shm", "-journal")


class DatabaseDamaged(StorageError):
    """The file is no usable SQLite database (any more)."""


class Database:
    """One SQLite file with one connection, guarded by a lock: any thread may call, one at a time.

    ``migrations`` are SQL scripts; ``user_version`` counts how many have run, so a new one is only ever appended.
    A file that SQLite calls damaged is moved aside (``NAME.corrupt-<now_ms>``) and an empty one takes its place:
    ``moved_aside`` then says where it went. A file made by a newer version is refused, never touched.

    ``memory_when_full``, for a small file whose changes cannot wait: the transaction that the disk refuses fails, and
    the next ones work on a copy in memory, which is written back as soon as the disk takes it. What is only there is
    lost with the process.
    """

    def __init__(
        self,
        path: Path,
        migrations: Sequence[str],
        *,
        now_ms: int,
        page_size: int = 4096,
        incremental_vacuum: bool = False,
        checkpoint_pages: int = 1000,
        memory_when_full: bool = False,
    ) -> None:
        """Open or create. ``checkpoint_pages`` 0 leaves checkpoints to ``checkpoint()``. Raises StorageError."""
        self.path = path
        self.moved_aside: Path | None = None
        self._migrations = tuple(migrations)
        self._page_size = page_size
        self._incremental_vacuum = incremental_vacuum
        self._checkpoint_pages = checkpoint_pages
        self._lock = threading.RLock()
        self._in_transaction = False
        self._memory_when_full = memory_when_full
        self._file: sqlite3.Connection | None = None
        self._try_s = 0.0
        self._back_s = -PATIENCE_S
        try:
            self._connection = self._connect()
        except DatabaseDamaged as error:
            self.moved_aside = move_aside(path, now_ms)
            log.warning("%s; moved to %s, starting empty", error, self.moved_aside)
            self._connection = self._connect()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing: commits at the end, rolls back when the body raises. Does not nest.

        Raises StorageError for anything SQLite refuses (disk full, input/output error, constraint).
        """
        with self._lock, _our_errors(self.path):
            if self._in_transaction:
                raise StorageError(f"{self.path}: a transaction inside a transaction")
            self._write_back()
            self._in_transaction = True
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException as error:
                with suppress(sqlite3.Error):  # after a full disk SQLite may have rolled back already
                    self._connection.execute("ROLLBACK")
                if _primary(error) in _FULL:
                    self._go_on_in_memory(error)
                raise
            finally:
                self._in_transaction = False

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and fetch everything. Raises StorageError."""
        with self._lock, _our_errors(self.path):
            self._write_back()
            return self._connection.execute(sql, parameters).fetchall()

    @property
    def in_memory(self) -> bool:
        """Whether what was written last is in memory only, see ``memory_when_full``."""
        return self._file is not None

    def _go_on_in_memory(self, error: BaseException) -> None:
        if not self._memory_when_full or self._file is not None:
            return
        copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        copy.text_factory = _text
        try:
            self._connection.backup(copy)
            copy.execute("PRAGMA foreign_keys=ON")
        except sqlite3.Error:  # the disk cannot be read either
            copy.close()
            return
        log.error("%s: %s; going on in memory until the disk takes it", self.path, error)
        self._file, self._connection = self._connection, copy
        now = time.monotonic()
        # A disk that has room for a little only must not be tried, and told of, all the time.
        self._try_s = now + (TRY_DISK_S if now - self._back_s > PATIENCE_S else PATIENCE_S)

    def _write_back(self) -> None:
        """Everything in memory to disk, in one transaction, when it is time to try again."""
        if self._file is None or self._in_transaction or time.monotonic() < self._try_s:
            return
        self._try_s = time.monotonic() + TRY_DISK_S
        try:
            self._connection.backup(self._file)
        except sqlite3.Error as error:
            log.debug("%s: %s", self.path, error)
            return
        self._connection.close()
        self._connection, self._file = self._file, None
        self._back_s = time.monotonic()
        log.warning("%s: on disk again, with all that was in memory", self.path)

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run one statement as a transaction of its own; returns the number of rows it changed."""
        with self.transaction() as connection:
            return connection.execute(sql, parameters).rowcount

    def execute_many(self, sql: str, parameters: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each set of parameters, all in one transaction."""
        with self.transaction() as connection:
            connection.executemany(sql, parameters)

    def pragma(self, text: str) -> int:
        """The number that a PRAGMA answers with (0 when it answers nothing)."""
        found = self.rows(f"PRAGMA {text}")
        return int(found[0][0]) if found else 0

    def checkpoint(self) -> tuple[int, int]:
        """Copy the write-ahead log into the file without waiting for readers: (pages in the log, pages copied)."""
        ((_, logged, copied),) = self.rows("PRAGMA wal_checkpoint(PASSIVE)")
        return max(int(logged), 0), max(int(copied), 0)

    def reopen_empty(self, now_ms: int) -> Path:
        """Move a file that turned out damaged aside and go on with an empty one; returns where it went."""
        with self._lock:
            with suppress(sqlite3.Error):
                self._close()
            self.moved_aside = move_aside(self.path, now_ms)
            log.warning("%s: damaged; moved to %s, starting empty", self.path, self.moved_aside)
            self._connection = self._connect()
            return self.moved_aside

    def empty_if_damaged(self, now_ms: int) -> Path | None:
        """Read the whole file; when anything in it is damaged, go on with an empty one and return where it went. For
        small files that must not fail later. Raises StorageError."""
        try:
            with self._lock, _our_errors(self.path, _DAMAGED_OR_SENSELESS):
                ((found,),) = self._connection.execute("PRAGMA integrity_check(1)").fetchall()
        except DatabaseDamaged as error:
            found = str(error)
        if found == "ok":
            return None
        log.warning("%s: %s", self.path, " ".join(str(found).split()))
        return self.reopen_empty(now_ms)

    def close(self) -> None:
        with self._lock, _our_errors(self.path):
            self._try_s = 0.0
            self._write_back()
            if self._file is not None:
                log.error("%s: the disk does not take what is in memory, it is lost", self.path)
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._connection.close()

    def _connect(self) -> sqlite3.Connection:
        with _our_errors(self.path):
            connection = sqlite3.connect(
                self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
        connection.text_factory = _text
        try:
            with _our_errors(self.path, _DAMAGED_OR_SENSELESS):
                connection.execute(f"PRAGMA page_size={self._page_size}")
                if self._incremental_vacuum:
                    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
                connection.execute("PRAGMA journal_mode=WAL")
            with _our_errors(self.path):
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute("PRAGMA foreign_keys=ON")
                connection.execute(f"PRAGMA wal_autocheckpoint={self._checkpoint_pages}")
                self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if not 0 <= version <= len(self._migrations) + BELIEVABLE:
            raise DatabaseDamaged(f"{self.path}: schema version {version}")
        if version > len(self._migrations):
            raise StorageError(
                f"{self.path}: made by a newer version (schema {version}, this one knows {len(self._migrations)}); "
                "install that version again or move the file away"
            )
        if set(connection.execute(_COLUMNS)) != _columns(self._migrations[:version]):
            raise DatabaseDamaged(f"{self.path}: its tables are not those of schema version {version}")
        for number, script in enumerate(self._migrations[version:], version + 1):
            try:
                connection.executescript(f"BEGIN IMMEDIATE;\n{script};\nPRAGMA user_version={number};\nCOMMIT;")
            except sqlite3.Error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise


class Reader:
    """A second connection that only reads, beside a ``Database``: any thread, one at a time, never behind a writer."""

    def __init__(self, path: Path, *, damaged: bool = False) -> None:
        """``damaged``: read what can be read of a file that was cut short."""
        self.path = path
        self._lock = threading.Lock()
        with _our_errors(path):
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro",
                uri=True,
                timeout=BUSY_TIMEOUT_S,
                isolation_level=None,
                check_same_thread=False,
            )
        if damaged:
            self._connection.text_factory = _text
            with suppress(StorageError):  # pages beyond the file's end are then an error of their own
                self.rows("PRAGMA writable_schema=ON")

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and fetch everything. Raises StorageError."""
        with self._lock, _our_errors(self.path):
            return self._connection.execute(sql, parameters).fetchall()

    def readable(self, table: str, key: str, columns: Sequence[str]) -> tuple[list[tuple[Any, ...]], int]:
        """The rows of a damaged file's table that can be read, by ascending key, and how many tries found nothing:
        ranges that fail are halved until what fails is one row."""
        found: list[tuple[Any, ...]] = []
        lost = 0
        between = f"SELECT {', '.join(columns)} FROM {table} WHERE {key} BETWEEN ? AND ? ORDER BY {key}"  # noqa: S608
        ranges = [self._range(table, key)]
        while ranges and lost < UNREADABLE:
            low, high = ranges.pop()
            try:
                found += self.rows(between, (low, high))
            except StorageError:
                if low >= high:
                    lost += 1
                    continue
                middle = (low + high) // 2
                ranges += [(middle + 1, high), (low, middle)]
        return found, lost

    def _range(self, table: str, key: str) -> tuple[int, int]:
        ends = []
        for which, otherwise in (("min", 0), ("max", 1 << 24)):
            try:
                ((end,),) = self.rows(f"SELECT {which}({key}) FROM {table}")  # noqa: S608 - our own names
            except StorageError:
                end = otherwise
            ends.append(end if isinstance(end, int) else 0)
        return ends[0], ends[1]

    def close(self) -> None:
        with self._lock, _our_errors(self.path):
            self._connection.close()


def move_aside(path: Path, now_ms: int) -> Path:
    """Rename a database and its side files to ``NAME.corrupt-<now_ms>``. Raises StorageError when that fails."""
    target = path.with_name(f"{path.name}.corrupt-{now_ms}")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.corrupt-{now_ms}-{number}")
    try:
        for suffix in ("", *_SIDE_FILES):
            file = path.with_name(path.name + suffix)
            if file.exists():
                file.rename(target.with_name(target.name + suffix))
    except OSError as error:
        raise StorageError(f"{path}: damaged, and cannot be moved aside: {error}") from error
    _forget_oldest(path)
    return target


def _forget_oldest(path: Path) -> None:
    """Damage that comes again and again must not fill the disk."""
    pattern = re.compile(re.escape(path.name) + r"\.corrupt-(\d+)(-\d+)?")
    aside = [(int(found[1]), file) for file in path.parent.iterdir() if (found := pattern.fullmatch(file.name))]
    for _, file in sorted(aside)[:-DAMAGED_KEPT]:
        for suffix in ("", *_SIDE_FILES):
            with suppress(OSError):
                file.with_name(file.name + suffix).unlink(missing_ok=True)


def _columns(migrations: Iterable[str]) -> set[tuple[str, str]]:
    """(table, column) of everything that these scripts make."""
    scratch = sqlite3.connect(":memory:")
    try:
        for script in migrations:
            scratch.executescript(script)
        return set(scratch.execute(_COLUMNS))
    finally:
        scratch.close()


def _text(data: bytes) -> str:
    """Text whose bytes were damaged is for the reader to judge, not a reason to fail."""
    return data.decode("utf-8", "replace")


def _primary(error: BaseException) -> int | None:
    """SQLite's primary result code; the low byte of the extended one."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


@contextmanager
def _our_errors(path: Path, damaged: Collection[int] = _DAMAGED) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:  # SQLite quotes the damaged schema in its message
        raise DatabaseDamaged(f"{path}: text that is no UTF-8") from error
    except sqlite3.Error as error:
        if _primary(error) in damaged:
            raise DatabaseDamaged(f"{path}: {error}") from error
        raise StorageError(f"{path}: {error}") from error
