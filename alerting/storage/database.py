"""SQLite behind one door: open with the right pragmas, migrate, survive a damaged file.

Every error of sqlite3 leaves as ``StorageError`` (``DatabaseDamaged`` when the file itself is broken), so no room above
imports sqlite3. A database is meant for little data written often and durably: WAL, and ``synchronous=FULL`` so that a
committed transaction survives a power cut.
"""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from alerting.storage.ports import StorageError
from alerting.storage.sqlite import (
    BUSY_TIMEOUT_S,
    DAMAGED,
    FULL,
    SIDE_FILES,
    DatabaseDamaged,
    as_it_is,
    has_log,
    has_room,
    our_errors,
    primary,
    text,
)

log = logging.getLogger(__name__)

# Also what SQLite says of a header or a schema that it cannot make sense of ("unsupported file format").
_DAMAGED_OR_SENSELESS = DAMAGED | {sqlite3.SQLITE_ERROR}
TRY_DISK_S, PATIENCE_S = 5.0, 60.0
_COLUMNS = "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table'"
BELIEVABLE = 1000  # schema versions ahead of ours that a newer program may have; more is damage
DAMAGED_KEPT = 3  # files moved aside that stay for a person to look at


class Database:
    """One SQLite file with one connection, guarded by a lock: any thread may call, one at a time.

    ``migrations`` are SQL scripts; ``user_version`` counts how many have run, so a new one is only ever appended.
    A file that SQLite calls damaged is moved aside (``NAME.corrupt-<now_ms>``) and an empty one takes its place:
    ``moved_aside`` then says where it went. A file made by a newer version is refused, never touched.

    ``memory_when_full``, for a small file whose changes cannot wait: the transaction that the disk refuses fails, and
    the next ones work on a copy in memory, which is written back as soon as the disk takes it. What is only there is
    lost with the process.

    A file that was closed well opens also where there is no room for the files beside it (log, index of the log): it
    is read as it is, every transaction fails, and one in five seconds tries to open it for writing; see ``read_only``.
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
        self._waits = False
        self._try_s = 0.0
        self._back_s = -PATIENCE_S
        try:
            self._connection = self._connect()
        except DatabaseDamaged as error:
            self.moved_aside = move_aside(path, now_ms)
            log.warning("%s; moved to %s, starting empty", error, self.moved_aside)
            self._connection = self._connect()
        except StorageError as error:
            self._connection = self._without_room(error)
            self._go_on_in_memory(error)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing: commits at the end, rolls back when the body raises. Does not nest.

        Raises StorageError for anything SQLite refuses (disk full, input/output error, constraint).
        """
        with self._lock, our_errors(self.path):
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
                if primary(error) in FULL:
                    self._go_on_in_memory(error)
                raise
            finally:
                self._in_transaction = False

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and fetch everything. Raises StorageError."""
        with self._lock, our_errors(self.path):
            self._write_back()
            return self._connection.execute(sql, parameters).fetchall()

    @property
    def in_memory(self) -> bool:
        """Whether what was written last is in memory only, see ``memory_when_full``."""
        return self._file is not None

    @property
    def read_only(self) -> bool:
        """Whether the file is read as it is because there was no room to open it for writing."""
        return self._waits

    def _without_room(self, error: StorageError) -> sqlite3.Connection:
        """The file read as it is, after an ``error`` at opening. Raises that error when the disk is not the reason, or
        there is nothing to read, or a log beside the file holds what is not in it yet."""
        code = primary(error.__cause__) if error.__cause__ is not None else None
        may_write = os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)
        if code not in FULL or not may_write:
            raise error
        try:
            connection = _opened_as_it_is(self.path, self._migrate)
        except StorageError:
            if has_room(self.path):
                raise error from error.__cause__
            raise StorageError(f"{self.path}: no room on the disk, make some and start again") from error
        log.error("%s; it is read as it is, and written to as soon as the disk has room", error)
        self._waits = True
        self._try_s = time.monotonic() + TRY_DISK_S
        return connection

    def _open_for_writing(self) -> None:
        """Tries it when it is time to."""
        if not self._waits or self._in_transaction or time.monotonic() < self._try_s:
            return
        try:
            opened = self._connect()
        except StorageError as error:
            log.debug("%s", error)
            self._try_s = time.monotonic() + TRY_DISK_S
            return
        if self._file is None:
            self._connection.close()
            self._connection = opened
            log.warning("%s: can be written to again", self.path)
        else:  # what is in memory follows
            self._file.close()
            self._file = opened
        self._waits = False

    def _go_on_in_memory(self, error: BaseException) -> None:
        if not self._memory_when_full or self._file is not None:
            return
        copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        copy.text_factory = text
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
        self._open_for_writing()
        if self._waits or self._file is None or self._in_transaction or time.monotonic() < self._try_s:
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
            self._waits = False
            self.moved_aside = move_aside(self.path, now_ms)
            log.warning("%s: damaged; moved to %s, starting empty", self.path, self.moved_aside)
            self._connection = self._connect()
            return self.moved_aside

    def empty_if_damaged(self, now_ms: int) -> Path | None:
        """Read the whole file; when anything in it is damaged, go on with an empty one and return where it went. For
        small files that must not fail later. Raises StorageError."""
        try:
            with self._lock, our_errors(self.path, _DAMAGED_OR_SENSELESS):
                ((found,),) = self._connection.execute("PRAGMA integrity_check(1)").fetchall()
        except DatabaseDamaged as error:
            found = str(error)
        if found == "ok":
            return None
        log.warning("%s: %s", self.path, " ".join(str(found).split()))
        return self.reopen_empty(now_ms)

    def close(self) -> None:
        with self._lock, our_errors(self.path):
            if self._file is not None:
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
        with our_errors(self.path):
            connection = sqlite3.connect(
                self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
        connection.text_factory = text
        try:
            with our_errors(self.path, _DAMAGED_OR_SENSELESS):
                connection.execute(f"PRAGMA page_size={self._page_size}")
                if self._incremental_vacuum:
                    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
                connection.execute("PRAGMA journal_mode=WAL")
            with our_errors(self.path):
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


def _opened_as_it_is(path: Path, check: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    if has_log(path):
        raise StorageError(f"{path}: not all of it is in the file")
    connection = as_it_is(path)
    try:
        with our_errors(path):
            check(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def move_aside(path: Path, now_ms: int) -> Path:
    """Rename a database and its side files to ``NAME.corrupt-<now_ms>``. Raises StorageError when that fails."""
    target = path.with_name(f"{path.name}.corrupt-{now_ms}")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.corrupt-{now_ms}-{number}")
    try:
        for suffix in ("", *SIDE_FILES):
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
        for suffix in ("", *SIDE_FILES):
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


__all__ = ["Database", "DatabaseDamaged", "move_aside"]
