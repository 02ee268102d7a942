from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest

from alerting.storage import database as database_module
from alerting.storage.database import Database, DatabaseDamaged
from alerting.storage.ports import StorageError
from alerting.storage.reader import Reader
from tests.support.no_room import no_room

NOW = 1_700_000_000_000
FIRST = "CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"


def test_what_was_committed_is_there_after_reopening(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.db", [FIRST], now_ms=NOW)
    with database.transaction() as connection:
        connection.execute("INSERT INTO note (text) VALUES ('a')")
    database.close()
    database = Database(tmp_path / "state.db", [FIRST], now_ms=NOW)
    assert database.rows("SELECT text FROM note") == [("a",)]
    assert database.pragma("synchronous") == 2  # FULL
    database.close()


def test_a_failing_transaction_leaves_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.db", [FIRST], now_ms=NOW)
    with pytest.raises(ValueError, match="mine"), database.transaction() as connection:
        connection.execute("INSERT INTO note (text) VALUES ('a')")
        raise ValueError("mine")
    with pytest.raises(StorageError, match=r"state\.db: NOT NULL"):
        database.execute("INSERT INTO note (text) VALUES (NULL)")
    assert database.rows("SELECT * FROM note") == []
    assert database.execute("INSERT INTO note (text) VALUES ('b')") == 1
    database.close()


def test_transactions_do_not_nest(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.db", [FIRST], now_ms=NOW)
    with pytest.raises(StorageError, match="inside"), database.transaction(), database.transaction():
        pass
    database.execute_many("INSERT INTO note (text) VALUES (?)", [("a",), ("b",)])
    assert len(database.rows("SELECT * FROM note")) == 2
    database.close()


def test_migrations_run_once_and_in_order(tmp_path: Path) -> None:
    Database(tmp_path / "state.db", [FIRST], now_ms=NOW).close()
    second = "ALTER TABLE note ADD COLUMN at INTEGER; UPDATE note SET at = 0"
    database = Database(tmp_path / "state.db", [FIRST, second], now_ms=NOW)
    database.execute("INSERT INTO note (text, at) VALUES ('a', 1)")
    database.close()
    with pytest.raises(StorageError, match="newer version"):
        Database(tmp_path / "state.db", [FIRST], now_ms=NOW)
    assert [file.name for file in tmp_path.iterdir()] == ["state.db"]


def test_a_migration_that_fails_leaves_the_version_before(tmp_path: Path) -> None:
    Database(tmp_path / "state.db", [FIRST], now_ms=NOW).close()
    with pytest.raises(StorageError):
        Database(tmp_path / "state.db", [FIRST, "CREATE TABLE other (id INTEGER); nonsense"], now_ms=NOW)
    database = Database(tmp_path / "state.db", [FIRST, "CREATE TABLE other (id INTEGER)"], now_ms=NOW)
    assert database.rows("SELECT * FROM other") == []
    database.close()


@pytest.mark.parametrize("content", [b"this is no database, but it is long enough to be looked at" * 40, b"\0" * 8192])
def test_a_damaged_file_is_moved_aside(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        database = Database(path, [FIRST], now_ms=NOW)
    assert database.moved_aside == tmp_path / f"state.db.corrupt-{NOW}"
    assert database.moved_aside.read_bytes() == content
    assert "starting empty" in caplog.text
    assert database.rows("SELECT * FROM note") == []
    database.close()


def test_a_header_that_makes_no_sense_and_tables_of_somebody_else_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    Database(path, [FIRST], now_ms=NOW).close()
    data = bytearray(path.read_bytes())
    data[47] = 9  # the schema format number (https://www.sqlite.org/fileformat2.html#database_header)
    path.write_bytes(data)
    database = Database(path, [FIRST], now_ms=NOW)
    assert database.moved_aside is not None
    assert database.rows("SELECT * FROM note") == []
    database.close()

    database = Database(path, ["CREATE TABLE other (id INTEGER)"], now_ms=NOW + 1)
    assert database.moved_aside is not None
    assert database.rows("SELECT * FROM other") == []
    database.close()


def test_damage_that_only_a_full_look_finds(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    schema = f"{FIRST}; CREATE INDEX by_text ON note (text)"
    database = Database(path, [schema], now_ms=NOW)
    database.execute_many("INSERT INTO note (text) VALUES (?)", [(f"text {n:05}",) for n in range(500)])
    database.close()
    path.write_bytes(path.read_bytes().replace(b"text 00300", b"text 00030", 1))
    database = Database(path, [schema], now_ms=NOW)
    assert len(database.rows("SELECT * FROM note")) == 500
    for later in (0, 1):  # the second time there is nothing to do
        database.empty_if_damaged(NOW + later)
        assert [file.name for file in tmp_path.glob("*.corrupt-*[0-9]")] == [f"state.db.corrupt-{NOW}"]
        assert database.rows("SELECT * FROM note") == []
    database.close()


def test_damage_found_later_is_told_apart_from_a_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    database = Database(path, [FIRST], now_ms=NOW)
    database.execute_many("INSERT INTO note (text) VALUES (?)", [("x" * 500,)] * 200)
    database.close()
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    database = Database(path, [FIRST], now_ms=NOW)
    with pytest.raises(DatabaseDamaged):
        database.rows("SELECT * FROM note")
    aside = database.reopen_empty(NOW)
    assert aside.stat().st_size == len(data)
    assert database.rows("SELECT * FROM note") == []
    database.pragma("max_page_count=4")
    with pytest.raises(StorageError, match="full") as caught:
        database.execute_many("INSERT INTO note (text) VALUES (?)", [("x" * 500,)] * 200)
    assert not isinstance(caught.value, DatabaseDamaged)
    assert database.rows("SELECT count(*) FROM note") == [(0,)]
    database.close()


def test_a_path_that_cannot_be_opened_says_which(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"missing/state\.db"):
        Database(tmp_path / "missing" / "state.db", [FIRST], now_ms=NOW)


def test_many_threads_share_one_database(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.db", [FIRST], now_ms=NOW)

    def write() -> None:
        for _ in range(20):
            database.execute("INSERT INTO note (text) VALUES ('a')")

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert database.rows("SELECT count(*) FROM note") == [(80,)]
    database.close()
    with pytest.raises(StorageError):
        database.rows("SELECT 1")


def test_damage_again_and_again_does_not_fill_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    (tmp_path / "state.db.corrupt-notes.txt").write_text("mine")
    for number in range(6):
        path.write_bytes(b"no database" * 100)
        Database(path, [FIRST], now_ms=NOW + number).close()
    left = sorted(file.name for file in tmp_path.iterdir())
    kept = [f"state.db.corrupt-{NOW + number}" for number in (3, 4, 5)]
    assert left == ["state.db", *kept, "state.db.corrupt-notes.txt"]


def test_when_the_disk_is_full_it_goes_on_in_memory_and_comes_back_with_everything(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(tmp_path / "state.db", [FIRST], now_ms=NOW, memory_when_full=True)
    database.execute("INSERT INTO note (text) VALUES ('before')")
    database.pragma("max_page_count=1")
    long = "x" * 20_000
    with pytest.raises(StorageError, match="full"):
        database.execute("INSERT INTO note (text) VALUES (?)", (long,))
    assert [database.in_memory] == [True]
    for _ in range(3):
        database.execute("INSERT INTO note (text) VALUES (?)", (long,))
    assert database.rows("SELECT count(*) FROM note") == [(4,)]
    assert [database.in_memory] == [True]
    assert caplog.text.count("going on in memory") == 1
    second = Database(tmp_path / "state.db", [FIRST], now_ms=NOW)
    assert second.rows("SELECT text FROM note") == [("before",)]
    second.close()
    assert database._file is not None
    database._try_s = 0.0
    assert database.rows("SELECT count(*) FROM note") == [(4,)]
    assert [database.in_memory] == [True]  # tried, and refused
    database._file.execute("PRAGMA max_page_count=100000")
    database._try_s = 0.0
    assert database.rows("SELECT count(*) FROM note") == [(4,)]
    assert [database.in_memory] == [False]
    assert caplog.text.count("on disk again") == 1
    database.execute("INSERT INTO note (text) VALUES ('after')")
    database.close()
    database = Database(tmp_path / "state.db", [FIRST], now_ms=NOW)
    assert [len(text) for (text,) in database.rows("SELECT text FROM note ORDER BY id")] == [6, *[20_000] * 3, 5]
    assert database.rows("PRAGMA journal_mode") == [("wal",)]
    database.close()


def test_what_is_in_memory_is_written_at_the_end_when_it_can_be(tmp_path: Path) -> None:
    for room, kept in (("1", 0), ("100000", 1)):
        path = tmp_path / f"{room}.db"
        database = Database(path, [FIRST], now_ms=NOW, memory_when_full=True)
        database.pragma("max_page_count=1")
        with pytest.raises(StorageError):
            database.execute("INSERT INTO note (text) VALUES (?)", ("x" * 20_000,))
        database.execute("INSERT INTO note (text) VALUES (?)", ("x" * 20_000,))
        assert database._file is not None
        database._file.execute(f"PRAGMA max_page_count={room}")
        database.close()
        database = Database(path, [FIRST], now_ms=NOW)
        assert database.rows("SELECT count(*) FROM note") == [(kept,)]
        database.close()


@pytest.mark.parametrize("in_memory", [False, True])
def test_a_file_closed_well_opens_where_there_is_no_room(
    tmp_path: Path, in_memory: bool, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "state.db"
    database = Database(path, [FIRST], now_ms=NOW)
    database.execute("INSERT INTO note (text) VALUES ('before')")
    database.close()
    with no_room():
        database = Database(path, [FIRST], now_ms=NOW, memory_when_full=in_memory)
        beside, alone = Reader(path, beside=database), Reader(path)
        for reader in (database, beside, alone):
            assert reader.rows("SELECT text FROM note") == [("before",)]
        alone.close()
        if in_memory:
            database.execute("INSERT INTO note (text) VALUES ('meanwhile')")
        else:
            with pytest.raises(StorageError, match="readonly"):
                database.execute("INSERT INTO note (text) VALUES ('lost')")
        database._try_s = 0.0
        assert len(database.rows("SELECT * FROM note")) == 1 + in_memory  # tried, and refused
        assert [database.read_only] == [True]
    database._try_s = 0.0
    database.execute("INSERT INTO note (text) VALUES ('after')")
    assert [database.read_only] == [False]
    assert [database.in_memory] == [False]
    expected = [("before",), *([("meanwhile",)] if in_memory else []), ("after",)]
    for reader in (database, beside):
        assert reader.rows("SELECT text FROM note ORDER BY id") == expected
    assert beside.rows("PRAGMA journal_mode") == [("wal",)]
    beside.close()
    database.close()
    assert caplog.text.count("written to as soon as the disk has room") == 1
    database = Database(path, [FIRST], now_ms=NOW)
    assert database.rows("SELECT text FROM note ORDER BY id") == expected
    database.close()


def test_without_room_nothing_is_begun_and_no_log_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.db"
    with no_room(), pytest.raises(StorageError, match=r"disk I/O error|disk is full"):
        Database(path, [FIRST], now_ms=NOW)
    with monkeypatch.context() as patch, no_room(), pytest.raises(StorageError, match="no room on the disk, make some"):
        patch.setattr(database_module, "has_room", lambda _: False)
        Database(path, [FIRST], now_ms=NOW)
    path.unlink(missing_ok=True)
    Database(path, [FIRST], now_ms=NOW).close()
    path.with_name("state.db-wal").write_bytes(b"what a kill left")
    with no_room(), pytest.raises(StorageError, match="disk I/O error"):
        Database(path, [FIRST], now_ms=NOW)
