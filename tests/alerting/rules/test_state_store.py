from __future__ import annotations

import random
from pathlib import Path

from alerting.model.alert import Alert
from alerting.model.labels import Labels
from alerting.rules.state_store import SqliteStateStore, StoredStates

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
