"""The durable queue of messages, and the journal of what was told to whom when.

A message stands once for each URL of its receiver; each URL has its own line, strictly in order, so a URL that fails
delays nobody else and nobody is told twice because of it. A message leaves the line when it was delivered, or is kept
as *lost* after three days. The methods block for the time of an SQLite commit: call them from a worker thread.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from alerting.notify.message import Kind, Message
from alerting.notify.sender import Delivery
from alerting.notify.stats import ReceiverStats
from alerting.storage.database import Database
from alerting.storage.reader import Reader
from config.secrets import Secret

log = logging.getLogger(__name__)

SCHEMA = """
CREATE TABLE message (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  receiver TEXT NOT NULL,
  url_index INTEGER NOT NULL,
  url_digest TEXT NOT NULL,
  group_key TEXT NOT NULL,
  kind TEXT NOT NULL,
  title TEXT NOT NULL,
  body TEXT NOT NULL,
  queued_ms INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  next_ms INTEGER NOT NULL,
  state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'lost')),
  reason TEXT NOT NULL DEFAULT '',
  done_ms INTEGER
);
CREATE INDEX message_waiting ON message (receiver, url_index, id) WHERE state = 'waiting';
CREATE INDEX message_done ON message (done_ms) WHERE state <> 'waiting';
"""

FIRST_RETRY_MS = 1000
RETRY_MS = 60_000
EAGER_MS = 6 * 3_600_000
SLOW_RETRY_MS = 10 * 60_000
GIVE_UP_MS = 3 * 86_400_000
# And not before so many tries, which take a day: a clock that was set by years must not lose what waits.
GIVE_UP_ATTEMPTS = 120
# A message that the service itself refuses (not its sender, not the moment) must not hold up those behind it.
REFUSED_ATTEMPTS = 3
WAITING_PER_URL = 2000
KEEP_MS = 30 * 86_400_000
KEEP_ROWS = 20_000
REASON_CHARACTERS = 300
_COLUMNS = (
    *("id", "receiver", "url_index", "url_digest", "group_key", "kind", "title", "body", "queued_ms", "attempts"),
    *("next_ms", "state", "reason", "done_ms"),
)

State = Literal["waiting", "delivered", "lost"]


@dataclass(frozen=True, slots=True)
class Head:
    """The first waiting message of a line. ``attempts``: how often it was tried; ``next_ms``: when to try."""

    id: int
    receiver: str
    url_index: int
    kind: Kind
    title: str
    body: str
    queued_ms: int
    attempts: int
    next_ms: int

    def is_due(self, now_ms: int) -> bool:
        """Its time has come, or lies beyond any backoff: the clock was set back."""
        return not now_ms < self.next_ms <= now_ms + SLOW_RETRY_MS


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One message to one URL. ``url_number`` counts from 1; the URL itself is a secret and not here.

    ``done_ms``: when it was delivered or given up; ``next_ms``: the next try while it waits.
    """

    id: int
    receiver: str
    url_number: int
    group_key: str
    kind: str
    title: str
    body: str
    queued_ms: int
    attempts: int
    state: State
    reason: str
    next_ms: int | None
    done_ms: int | None


class Outbox:
    """The queue in one database. Safe to call from several threads."""

    def __init__(self, database: Database, urls: Mapping[str, Collection[Secret]]) -> None:
        """``urls``: receiver -> its Apprise URLs; ``adopt`` them before the first delivery (``Deliverer`` does)."""
        self._database = database
        self._digests = _digests(urls)
        self._lock = threading.Lock()
        self._stats: dict[str, ReceiverStats] = {}

    def adopt(self, urls: Mapping[str, Collection[Secret]], now_ms: int) -> None:
        """Take new URLs, and give what waits to them: by the URL where it is still known, else to a new one in its
        place (somebody mended it). What no URL is left for is given up. Everything that waits is due at once."""
        digests = _digests(urls)
        before = self._digests
        try:
            with self._database.transaction() as connection:
                self._move_lines(connection, digests, now_ms)
                # Inside, so that nobody queues for the old URLs in between.
                self._digests = digests
        except BaseException:
            self._digests = before
            raise

    @property
    def in_memory(self) -> bool:
        """Whether the disk is full, and what was queued and told since is in memory only."""
        return self._database.in_memory

    def has_urls(self, receiver: str) -> bool:
        """Whether anybody is told when this receiver is."""
        return bool(self._digests.get(receiver))

    def queue(
        self, connection: sqlite3.Connection, receiver: str, group_key: str, message: Message, now_ms: int
    ) -> None:
        """Add a message inside the caller's transaction. Tell ``queued`` once that has committed."""
        for index, digest in enumerate(self._digests.get(receiver, ())):
            connection.execute(
                "INSERT INTO message "
                "(receiver, url_index, url_digest, group_key, kind, title, body, queued_ms, next_ms) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (receiver, index, digest, group_key, message.kind, message.title, message.body, now_ms, now_ms),
            )
            overfull = connection.execute(
                "UPDATE message SET state = 'lost', done_ms = ?, reason = 'too many messages waited' WHERE id IN ("
                "SELECT id FROM message WHERE state = 'waiting' AND receiver = ? AND url_index = ? "
                "ORDER BY id DESC LIMIT -1 OFFSET ?)",
                (now_ms, receiver, index, WAITING_PER_URL),
            ).rowcount
            self._count(receiver, given_up=overfull)

    def queued(self, receivers: Iterable[str]) -> None:
        """Count messages of a transaction that has committed."""
        for receiver in receivers:
            self._count(receiver, queued=len(self._digests.get(receiver, ())))

    def heads(self) -> list[Head]:
        """The first waiting message of each line, the longest waiting first."""
        found = self._database.rows(
            "SELECT min(id), receiver, url_index, kind, title, body, queued_ms, attempts, next_ms FROM message "
            "WHERE state = 'waiting' GROUP BY receiver, url_index ORDER BY min(id)"
        )
        return [Head(*row) for row in found]

    def record(self, head: Head, delivery: Delivery, now_ms: int) -> State:
        """Write down what a try led to; returns what the message is now."""
        attempts = head.attempts + 1
        state: State = "waiting"
        if delivery.outcome == "delivered":
            state = "delivered"
        elif (now_ms - head.queued_ms >= GIVE_UP_MS and attempts >= GIVE_UP_ATTEMPTS) or (
            not delivery.retry and attempts >= REFUSED_ATTEMPTS
        ):
            state = "lost"
        self._database.execute(
            "UPDATE message SET attempts = ?, next_ms = ?, state = ?, reason = ?, done_ms = ? WHERE id = ?",
            (
                attempts,
                now_ms + backoff_ms(head.id, attempts, now_ms - head.queued_ms),
                state,
                delivery.reason[:REASON_CHARACTERS],
                None if state == "waiting" else now_ms,
                head.id,
            ),
        )
        self._count(
            head.receiver,
            delivered=int(state == "delivered"),
            failed_attempts=int(delivery.outcome != "delivered"),
            given_up=int(state == "lost"),
        )
        return state

    def prune(self, now_ms: int) -> int:
        """Forget what is done and older than 30 days, or beyond the newest 20 000 rows; returns how many."""
        return self._database.execute(
            "DELETE FROM message WHERE state <> 'waiting' AND (done_ms < ? OR id <= "
            "(SELECT coalesce(max(id), 0) FROM message) - ?)",
            (now_ms - KEEP_MS, KEEP_ROWS),
        )

    def journal(self, limit: int = 100) -> list[JournalEntry]:
        """What was told or waits to be told, newest first."""
        rows = self._database.rows(
            "SELECT id, receiver, url_index + 1, group_key, kind, title, body, queued_ms, attempts, state, reason, "
            "CASE state WHEN 'waiting' THEN next_ms END, done_ms FROM message ORDER BY id DESC LIMIT ?",
            (max(0, min(limit, KEEP_ROWS)),),
        )
        return [JournalEntry(*row) for row in rows]

    def carry_over(self, damaged: Path) -> None:
        """Take what can still be read of another outbox's file into this one; logs what it was. Raises StorageError."""
        reader = Reader(damaged, damaged=True)
        saved = 0
        try:
            found, lost = reader.readable("message", "id", _COLUMNS)
        finally:
            reader.close()
        marks = ", ".join("?" * len(_COLUMNS))
        insert = f"INSERT OR IGNORE INTO message ({', '.join(_COLUMNS)}) VALUES ({marks})"  # noqa: S608 - our own names
        with self._database.transaction() as connection:
            for row in found[-KEEP_ROWS:]:
                saved += max(connection.execute(insert, row).rowcount, 0)
        log.warning("%s: %d messages were saved, %d could not be read", damaged, saved, lost + len(found) - saved)

    def stats(self, now_ms: int) -> dict[str, ReceiverStats]:
        """Numbers of each receiver since the start of the process; every configured receiver is there."""
        waiting = {
            receiver: (count, max(0.0, (now_ms - oldest) / 1000))
            for receiver, count, oldest in self._database.rows(
                "SELECT receiver, count(*), min(queued_ms) FROM message WHERE state = 'waiting' GROUP BY receiver"
            )
        }
        with self._lock:
            names = sorted({*self._digests, *self._stats, *waiting})
            return {
                name: self._stats.get(name, ReceiverStats()).with_waiting(*waiting.get(name, (0, 0.0)))
                for name in names
            }

    def _move_lines(self, connection: sqlite3.Connection, digests: Mapping[str, tuple[str, ...]], now_ms: int) -> None:
        lines = connection.execute(
            "SELECT DISTINCT receiver, url_index, url_digest FROM message WHERE state = 'waiting'"
        ).fetchall()
        connection.execute("UPDATE message SET next_ms = ? WHERE state = 'waiting'", (now_ms,))
        used = set(connection.execute("SELECT DISTINCT receiver, url_digest FROM message"))
        for receiver, index, digest in lines:
            known = digests.get(receiver, ())
            place = known.index(digest) if digest in known else index
            # A URL that was there before has had this message in a line of its own.
            if place >= len(known) or (known[place] != digest and (receiver, known[place]) in used):
                self._lose_line(connection, receiver, digest, now_ms)
                continue
            # Through negative numbers, because two URLs may have changed places.
            connection.execute(
                "UPDATE message SET url_index = ?, url_digest = ? "
                "WHERE receiver = ? AND url_index = ? AND url_digest = ? AND state = 'waiting'",
                (-1 - place, known[place], receiver, index, digest),
            )
        connection.execute("UPDATE message SET url_index = -1 - url_index WHERE url_index < 0")

    def _lose_line(self, connection: sqlite3.Connection, receiver: str, digest: str, now_ms: int) -> None:
        lost = connection.execute(
            "UPDATE message SET state = 'lost', done_ms = ?, reason = 'its URL was taken out of the configuration' "
            "WHERE receiver = ? AND url_digest = ? AND state = 'waiting'",
            (now_ms, receiver, digest),
        ).rowcount
        self._count(receiver, given_up=lost)

    def _count(
        self, receiver: str, *, queued: int = 0, delivered: int = 0, failed_attempts: int = 0, given_up: int = 0
    ) -> None:
        with self._lock:
            stats = self._stats.get(receiver, ReceiverStats())
            self._stats[receiver] = stats.plus(queued, delivered, failed_attempts, given_up)


def backoff_ms(message: int, attempts: int, age_ms: int) -> int:
    """How long to wait after ``attempts`` failed tries: doubling from 1 s to at most 60 s; 10 min for messages older
    than six hours. Up to a quarter is taken off by the message's own, repeatable jitter."""
    ceiling = RETRY_MS if age_ms < EAGER_MS else SLOW_RETRY_MS
    full = min(FIRST_RETRY_MS * 2 ** min(attempts - 1, 20), ceiling) if age_ms < EAGER_MS else ceiling
    digest = hashlib.blake2b(f"{message}/{attempts}".encode(), digest_size=2).digest()
    return round(full * (1 - int.from_bytes(digest, "big") / 0xFFFF / 4))


def _digests(urls: Mapping[str, Collection[Secret]]) -> dict[str, tuple[str, ...]]:
    return {
        receiver: tuple(hashlib.blake2b(url.reveal().encode(), digest_size=12).hexdigest() for url in found)
        for receiver, found in urls.items()
    }
