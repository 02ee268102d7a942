from __future__ import annotations

import random
from pathlib import Path

from alerting.dispatch.groups import Group, Told
from alerting.dispatch.store import State, load, open_database, save
from alerting.model.alert import Alert
from alerting.model.labels import Labels
from alerting.notify.message import Message
from alerting.notify.outbox import Outbox
from config.secrets import Secret

NOW = 1_700_000_000_000
URLS = {"phone": (Secret("json://127.0.0.1/hook"),)}


def alert(number: int) -> Alert:
    labels = Labels.of({"alertname": f"A{number}", "node": f"N{number}"})
    return Alert(labels, {"summary": "it is hot"}, "firing", 81.5, NOW, NOW, None, None)


def filled(path: Path) -> None:
    database = open_database(path, NOW)
    outbox = Outbox(database, URLS)
    outbox.adopt(URLS, NOW)
    alerts = {alert(number).fingerprint: alert(number) for number in range(30)}
    groups = {
        f"g{number}": Group(
            f"g{number}",
            "phone",
            Labels.of({"node": f"N{number}"}),
            {alert(number).fingerprint: Told(alert(number), None)},
            NOW,
        )
        for number in range(30)
    }
    with database.transaction() as connection:
        save(connection, State(), State(alerts, groups))
        for number in range(30):
            outbox.queue(connection, "phone", f"g{number}", Message(f"title {number}", "body", "failure"), NOW)
    database.close()


def loaded(path: Path) -> State:
    """What a start does with the file."""
    database = open_database(path, NOW + 1)
    outbox = Outbox(database, URLS)
    outbox.adopt(URLS, NOW + 1)
    state = load(database)
    outbox.heads()
    outbox.stats(NOW)
    outbox.journal()
    database.close()
    return state


def test_an_entry_that_cannot_be_read_costs_itself_only(tmp_path: Path) -> None:
    path = tmp_path / "alerts.db"
    filled(path)
    data = path.read_bytes()
    text = b'{"labels": {"alertname": "A7"'
    assert text in data
    path.write_bytes(data.replace(text, b'{"labels" {"alertname": "A7" '))
    state = loaded(path)
    seven = alert(7).fingerprint
    assert state.active.keys() == {alert(n).fingerprint for n in range(30)} - {seven}
    assert len(state.groups) == 30
    assert [name for name, group in state.groups.items() if not group.told] == ["g7"]


def test_whatever_byte_changes_the_start_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "alerts.db"
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
