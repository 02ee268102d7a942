"""How far each source was written outlives the process, a change of the receiver, and the file itself."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from alerting.remote import cursors
from alerting.remote.cursors import Cursors
from alerting.storage.database import Database
from alerting.storage.ports import StorageError
from tests.support.no_room import no_room


def opened(folder: Path, destination: str = "there", now_ms: int = 1000) -> closing[Cursors]:
    return closing(Cursors(folder / "remote.db", destination, now_ms))


def test_each_destination_has_its_own(tmp_path: Path) -> None:
    with opened(tmp_path) as first:
        assert (first.begun_ms, first.load()) == (1000, {})
        first.save({"a": 5, "b": 6})
        first.save({"a": 7})
    with opened(tmp_path, "elsewhere", 2000) as other:
        assert (other.begun_ms, other.load()) == (2000, {})
    with opened(tmp_path, "there", 3000) as again:
        assert (again.begun_ms, again.load()) == (1000, {"a": 7, "b": 6})


def test_only_so_many_destinations_are_remembered(tmp_path: Path) -> None:
    for number in range(cursors.DESTINATIONS + 3):
        with opened(tmp_path, str(number), number) as one:
            one.save({"a": number})
    with closing(Database(tmp_path / "remote.db", [cursors.SCHEMA], now_ms=0)) as database:
        assert database.rows("SELECT count(*) FROM destinations") == [(cursors.DESTINATIONS,)]
        assert database.rows("SELECT count(*) FROM cursors") == [(cursors.DESTINATIONS,)]
    with opened(tmp_path, "before all", -5) as one:  # a clock that was not set yet
        assert one.begun_ms == -5
    with opened(tmp_path, "before all", 9) as one:
        assert one.begun_ms == -5


def test_a_damaged_file_begins_anew(tmp_path: Path) -> None:
    with opened(tmp_path) as first:
        first.save({"a": 5})
    (tmp_path / "remote.db").write_bytes(b"no database" * 1000)
    with opened(tmp_path, now_ms=9000) as second:
        assert (second.begun_ms, second.load()) == (9000, {})
    assert list(tmp_path.glob("remote.db.corrupt-*"))


def test_damage_while_running_keeps_what_is_known(tmp_path: Path) -> None:
    with opened(tmp_path) as first:
        first.save({"a": 5})
        first.start_empty(2000)
        first.save({"a": 6})
    with opened(tmp_path, now_ms=3000) as second:
        assert (second.begun_ms, second.load()) == (1000, {"a": 6})


def test_a_known_destination_goes_on_where_the_disk_is_full(tmp_path: Path) -> None:
    with opened(tmp_path) as first:
        first.save({"a": 5})
    with no_room():
        again = Cursors(tmp_path / "remote.db", "there", 3000)
        assert (again.begun_ms, again.load()) == (1000, {"a": 5})
        with pytest.raises(StorageError):
            again.save({"a": 6})
        again.close()
