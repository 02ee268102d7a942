from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from alerting.dispatch.store import open_database
from alerting.notify import outbox as module
from alerting.notify.message import Message
from alerting.notify.outbox import Outbox, backoff_ms
from alerting.notify.sender import Delivery
from alerting.notify.stats import ReceiverStats
from alerting.storage.database import Database
from config.secrets import Secret

NOW = 1_700_000_000_000
HOUR = 3_600_000
DAY = 24 * HOUR
A, B, C = (Secret(f"json://127.0.0.1/secret-{name}") for name in "abc")
URLS: Mapping[str, Sequence[Secret]] = {"phone": (A, B), "page": ()}
DELIVERED, FAILED = Delivery("delivered"), Delivery("failed", "connection refused")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = open_database(tmp_path / "alerts.db", NOW)
    yield found
    found.close()


@pytest.fixture
def box(database: Database) -> Outbox:
    return Outbox(database, URLS)


def queue(box: Outbox, *titles: str, now_ms: int = NOW, receiver: str = "phone") -> None:
    for title in titles:
        with box._database.transaction() as connection:
            box.queue(connection, receiver, "group", Message(title, "body", "info"), now_ms)
        box.queued([receiver])


def heads(box: Outbox) -> list[tuple[str, int, int]]:
    return [(head.title, head.url_index, head.attempts) for head in box.heads()]


def states(box: Outbox) -> list[tuple[str, int, str, str]]:
    return [(row.title, row.url_number, row.state, row.reason) for row in reversed(box.journal())]


def test_each_url_has_its_own_line_in_order(box: Outbox) -> None:
    queue(box, "one", "two")
    assert heads(box) == [("one", 0, 0), ("one", 1, 0)]
    first, second = box.heads()
    assert box.record(first, DELIVERED, NOW + 5) == "delivered"
    assert box.record(second, FAILED, NOW + 5) == "waiting"
    assert heads(box) == [("one", 1, 1), ("two", 0, 0)]
    assert states(box)[:2] == [("one", 1, "delivered", ""), ("one", 2, "waiting", "connection refused")]
    late, ready = box.heads()
    assert ready.is_due(NOW)
    assert not late.is_due(NOW + 5)
    assert late.is_due(NOW + 5 + 1000)
    assert late.is_due(NOW - DAY)  # the clock was set back


def test_a_receiver_without_urls_has_no_messages(box: Outbox) -> None:
    queue(box, "one", receiver="page")
    assert box.heads() == []
    assert (box.has_urls("page"), box.has_urls("phone"), box.has_urls("unknown")) == (False, True, False)


def test_waits_double_to_a_minute_and_to_ten_when_it_lasts() -> None:
    waits = [backoff_ms(7, attempt, 0) for attempt in range(1, 60)]
    for attempt, wait in enumerate(waits):
        full = min(1000 * 2**attempt, 60_000)
        assert full * 0.75 <= wait <= full
    assert len(set(waits[10:])) > 10  # jitter
    assert waits == [backoff_ms(7, attempt, 0) for attempt in range(1, 60)]
    assert 450_000 <= backoff_ms(7, 400, 6 * HOUR) <= 600_000


def test_after_three_days_a_message_is_lost_and_the_next_has_its_turn(box: Outbox) -> None:
    queue(box, "one")
    queue(box, "two", now_ms=NOW + DAY)
    head = box.heads()[0]
    assert box.record(replace(head, attempts=500), FAILED, NOW + 3 * DAY - 1) == "waiting"
    assert box.record(head, FAILED, NOW + 20_000 * DAY) == "waiting"  # a clock that was set, not three days of tries
    assert box.record(replace(head, attempts=500), FAILED, NOW + 3 * DAY) == "lost"
    assert [one[0] for one in heads(box)] == ["one", "two"]
    assert states(box)[0] == ("one", 1, "lost", "connection refused")
    assert box.stats(NOW)["phone"].given_up == 1


def test_a_message_the_service_refuses_does_not_block_the_line(box: Outbox) -> None:
    queue(box, "one", "two")
    refused = Delivery("failed", "error=400", retry=False)
    results = [box.record(box.heads()[0], refused, NOW) for _ in range(3)]
    assert results == ["waiting", "waiting", "lost"]
    assert heads(box)[-1] == ("two", 0, 0)


def test_numbers_by_receiver(box: Outbox) -> None:
    queue(box, "one", "two", now_ms=NOW)
    box.record(box.heads()[0], DELIVERED, NOW)
    box.record(box.heads()[0], FAILED, NOW)
    assert box.stats(NOW + 90_000) == {
        "page": ReceiverStats(),
        "phone": ReceiverStats(
            queued=4, delivered=1, failed_attempts=1, given_up=0, waiting=3, oldest_waiting_seconds=90.0
        ),
    }


def test_what_waits_follows_its_url(box: Outbox, database: Database) -> None:
    queue(box, "one")
    box.adopt({"phone": (B, A)}, NOW + 9)
    assert [(row.url_index, row.url_digest) for row in rows(database)] == [(1, digest(A)), (0, digest(B))]
    box.adopt({"phone": (B, C)}, NOW + 9)  # A was mended in its place
    assert [(row.url_index, row.url_digest) for row in rows(database)] == [(1, digest(C)), (0, digest(B))]
    box.adopt({"phone": (C,)}, NOW + 9)  # B is out; its message is no matter of C's
    assert heads(box) == [("one", 0, 0)]
    assert box.stats(NOW)["phone"].given_up == 1
    queue(box, "two")
    box.adopt({"other": (C,)}, NOW + 9)
    assert box.heads() == []
    assert {row[3] for row in states(box)} == {"its URL was taken out of the configuration"}
    assert box.stats(NOW)["phone"].given_up == 3


class Row:
    def __init__(self, url_index: int, url_digest: str) -> None:
        self.url_index, self.url_digest = url_index, url_digest


def rows(database: Database) -> list[Row]:
    return [Row(*row) for row in database.rows("SELECT url_index, url_digest FROM message ORDER BY id")]


def digest(url: Secret) -> str:
    return module._digests({"": (url,)})[""][0]


def test_new_urls_are_tried_at_once(box: Outbox) -> None:
    queue(box, "one")
    box.record(box.heads()[0], FAILED, NOW)
    box.adopt({"phone": (C, B)}, NOW + 5)
    assert all(head.is_due(NOW + 5) for head in box.heads())


def test_the_queue_and_the_journal_are_bounded(box: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_PER_URL", 3)
    monkeypatch.setattr(module, "KEEP_ROWS", 6)
    queue(box, *"abcdefgh")
    assert [one[0] for one in heads(box)] == ["f", "f"]
    assert box.stats(NOW)["phone"].given_up == 10
    assert box.prune(NOW) == 10
    assert [row[0] for row in states(box)] == ["f", "f", "g", "g", "h", "h"]
    for head in box.heads():
        box.record(head, DELIVERED, NOW)
    assert box.prune(NOW + 30 * DAY) == 0
    assert box.prune(NOW + 30 * DAY + 1) == 2
    assert len(box.journal(2)) == 2
    assert box.journal(-1) == []


def test_no_url_lies_in_the_file_or_the_journal(box: Outbox, database: Database, tmp_path: Path) -> None:
    queue(box, "one")
    database.pragma("wal_checkpoint(TRUNCATE)")
    assert b"secret-" not in (tmp_path / "alerts.db").read_bytes()
    assert "secret-" not in repr(box.journal())
