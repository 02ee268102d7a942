from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from alerting.model.alert import Alert
from alerting.model.labels import Labels
from alerting.rules.state_store import SqliteStateStore, StoredStates
from alerting.storage.database import Database
from alerting.storage.ports import StorageError

NOW = 1_700_000_000_000


def alert(number: int) -> Alert:
    labels = Labels.of({"alertname": f"A{number}", "node": "ONE"})
    return Alert(labels, {"summary": "it is hot"}, "firing", 81.5, NOW, NOW, None, None)


def filled(path: Path) -> None:
    store = SqliteStateStore(path, NOW)
    store.save({f"rule {number}": [alert(number)] for number in range(40)}, NOW)
    store.close()


def loaded(path: Path) -> StoredStates:
    store = SqliteStateStore(path, NOW + 1)
    states = store.load()
    store.save({"rule 1": [alert(1)]}, NOW + 2)
    store.close()
    return states


def test_a_state_that_cannot_be_read_costs_itself_only(tmp_path: Path) -> None:
    path = tmp_path / "states.db"
    filled(path)
    data = path.read_bytes()
    for text, other in [(b'"A7"', b'"A7\xff'), (b'"A9", "node"', b'"A9", !node"')]:
        assert text in data
        data = data.replace(text, other)
    path.write_bytes(data)
    found = loaded(path)
    assert found.seen_ms == NOW
    assert found.alerts.keys() == {f"rule {number}" for number in range(40) if number not in (7, 9)}


def test_whatever_byte_changes_the_start_goes_on_and_states_are_saved_again(tmp_path: Path) -> None:
    path = tmp_path / "states.db"
    filled(path)
    whole = path.read_bytes()
    chance = random.Random(20260101)
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(chance.choice([1, 20])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        for file in tmp_path.iterdir():
            file.unlink()
        path.write_bytes(data)
        loaded(path)
        store = SqliteStateStore(path, NOW + 3)
        assert store.load().alerts["rule 1"] == (alert(1),)
        store.close()


def break_while_open(database: Database) -> None:
    """The file's bytes change under a running process, and nothing of them is in its memory any more."""
    database.pragma("wal_checkpoint(TRUNCATE)")
    data = bytearray(database.path.read_bytes())
    data[4096:] = b"\x55" * (len(data) - 4096)
    database.path.write_bytes(data)
    database.pragma("shrink_memory")


def test_a_file_that_is_damaged_while_running_is_replaced_at_once_with_all_that_is_known(tmp_path: Path) -> None:
    path = tmp_path / "states.db"
    filled(path)
    store = SqliteStateStore(path, NOW)
    before = store.load().alerts
    store.save({"rule 50": [alert(50)], "rule 3": []}, NOW + 1)
    break_while_open(store.database)
    store.save({"rule 51": [alert(51)]}, NOW + 2)
    assert (tmp_path / f"states.db.corrupt-{NOW + 2}").exists()
    break_while_open(store.database)
    store.note(NOW + 3)
    store.close()
    store = SqliteStateStore(path, NOW + 4)
    found = store.load()
    assert found.seen_ms == NOW + 3
    assert found.alerts.keys() == {*before, "rule 50", "rule 51"} - {"rule 3"}
    store.close()


def test_what_a_full_disk_kept_from_being_written_anew_is_written_later(tmp_path: Path) -> None:
    path = tmp_path / "states.db"
    filled(path)
    store = SqliteStateStore(path, NOW)
    store.load()
    break_while_open(store.database)
    writes = store._write
    calls = []

    def full_at_second(states: Mapping[str, Sequence[Alert]], now_ms: int) -> None:
        calls.append(now_ms)
        if len(calls) == 2:
            raise StorageError("database or disk is full")
        writes(states, now_ms)

    store._write = full_at_second  # type: ignore[method-assign]
    with pytest.raises(StorageError, match="full"):
        store.save({"rule 50": [alert(50)]}, NOW + 1)
    store.save({"rule 50": [alert(50)]}, NOW + 2)
    store.close()
    store = SqliteStateStore(path, NOW + 4)
    assert len(store.load().alerts) == 41
    store.close()
