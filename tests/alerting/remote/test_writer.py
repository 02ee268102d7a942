"""Remote write from a real store to a receiver that is away, refuses, forgets to answer, or is far behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from alerting.clock import FakeClock
from alerting.model.labels import Labels
from alerting.model.series import ABSENT, STALE_BITS
from alerting.remote import delivery, writer
from alerting.remote.cursors import Cursors
from alerting.remote.http import Http
from alerting.remote.writer import RemoteWriter
from alerting.storage.database import DatabaseDamaged
from alerting.storage.follow import Follower
from alerting.storage.ports import StorageError
from alerting.storage.store import Store, StoreOptions
from config.daemon.log import KeyValueFormatter
from config.remote import Endpoint
from config.secrets import Secret
from tests.alerting.remote.fake_server import Answer, FakeServer
from tests.alerting.remote.received import Inbox, decode

NOW_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
OK: Answer = (204, {}, b"")


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "SAMPLES_A_SECOND", 10_000_000)


class World:
    """A store with some sources, a receiver, and writers that come and go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock(NOW_MS)
        self.store = Store.open(folder / "metrics.db", StoreOptions(), NOW_MS)
        self.inbox = Inbox()
        self.server = FakeServer(lambda *_: OK)
        self.server.behaviour = self.take
        self.server.up()
        self.writers: list[RemoteWriter] = []

    def take(self, _path: str, _form: object, body: bytes) -> Answer:
        return OK if self.inbox.put(body) else (400, {}, b"out of order sample")

    def frame(self, source: str, *values: float | None) -> None:
        """One frame now; None where a series has no sample."""
        head = self.store.source(source)
        for number in range(len(values)):
            head.column(Labels.of({"__name__": f"m{number}", "source": source}))
        row = np.full(head.width, ABSENT)
        for number, value in enumerate(values):
            row[number] = ABSENT if value is None else value
        assert head.append(self.clock.now_ms(), row)

    def frames(self, count: int, *sources: str, seconds: float = 5.0, series: int = 3) -> None:
        """Each source's frames over a time; flushed, so that blocks are made."""
        for number in range(count):
            self.clock.advance(seconds)
            for source in sources:
                self.frame(source, *(float(number * 10 + column) for column in range(series)))
            if number % 20 == 0:
                self.store.flush(self.clock.now_ms())

    def writer(self, max_lag_ms: int = 6 * HOUR_MS, headers: tuple[tuple[str, Secret], ...] = ()) -> RemoteWriter:
        cursors = Cursors(self.folder / "remote.db", "there", self.clock.now_ms())
        http = Http(Endpoint(f"{self.server.url}/api/v1/write", headers, timeout=60.0), "1")
        made = RemoteWriter(
            Follower(self.store), cursors, http, self.clock, max_lag_ms=max_lag_ms, idle_s=0.01, first_pause_s=0.01
        )
        self.writers.append(made)
        return made

    def expected(self, *sources: str) -> dict[Labels, list[tuple[int, int]]]:
        """Everything in the store, bit for bit."""
        found = {}
        for source in sources:
            for one in Follower(self.store).read(source, 0, self.clock.now_ms()):
                bits = np.ascontiguousarray(one.values).view(np.uint64).tolist()
                found[one.labels] = list(zip(one.times.tolist(), bits, strict=True))
        return found

    def close(self) -> None:
        for made in self.writers:
            made.stop()
        self.server.down()
        self.store.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


def until(done: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.005)


def drain(made: RemoteWriter) -> None:
    while made.step():
        pass


def test_everything_arrives_once_with_the_bits_of_staleness(world: World) -> None:
    made = world.writer()
    world.frames(300, "a", "b")  # some of it is in blocks by now
    world.frame("c", 1.5, 2.5)
    world.clock.advance(1)
    world.frame("c", 1.75, None)
    drain(made)
    assert world.inbox.samples == world.expected("a", "b", "c")
    gone = world.inbox.samples[Labels.of({"__name__": "m1", "source": "c"})]
    assert gone[-1] == (world.clock.now_ms(), STALE_BITS)
    stats = made.stats()
    assert stats.tally.sent == world.inbox.count
    assert stats.tally.failed == stats.tally.dropped == stats.tally.repeated == 0
    assert stats.lag == 0
    assert not made.step()
    _, _, headers = world.server.asked[0]
    assert headers["Content-Encoding"] == "snappy"
    assert headers["Content-Type"] == "application/x-protobuf"
    assert headers["X-Prometheus-Remote-Write-Version"] == "0.1.0"


def test_what_was_stored_before_the_receiver_was_named_stays_here(world: World) -> None:
    world.frames(3, "a")
    made = world.writer()
    drain(made)
    assert world.inbox.count == 0
    world.frames(2, "a")
    drain(made)
    assert world.inbox.count == 6


def test_a_receiver_that_is_away_gets_everything_when_it_is_back(world: World) -> None:
    made = world.writer()
    made.start()
    world.frames(20, "a")
    until(lambda: world.inbox.count == 60 and made.stats().lag == 0)
    world.server.down()
    world.frames(20, "a", "b")
    until(lambda: made.stats().tally.retries > 1)
    assert made.stats().lag == pytest.approx(100, abs=5)
    assert "Connection refused" in made.stats().tally.error
    world.server.up()
    until(lambda: world.inbox.count == 180)
    until(lambda: made.stats().tally.error == "")
    assert world.inbox.samples == world.expected("a", "b")


@pytest.mark.parametrize("status", [503, 429])
def test_it_is_tried_again_as_the_receiver_asks(world: World, status: int) -> None:
    answers = [(status, {"Retry-After": "1"}, b"busy"), (status, {}, b"busy")]
    world.server.behaviour = lambda *asked: answers.pop(0) if answers else world.take(*asked)
    made = world.writer()
    world.frames(2, "a")
    began = time.monotonic()
    drain(made)
    assert time.monotonic() - began >= 1.0
    assert made.stats().tally.retries == 2
    assert world.inbox.samples == world.expected("a")


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_is_refused_for_good_is_counted_and_told(
    world: World, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    world.server.behaviour = lambda *_: (status, {}, b"no such\ntenant")
    made = world.writer(headers=(("Authorization", Secret("Bearer hunter2")),))
    world.frames(2, "a")
    drain(made)
    tally = made.stats().tally
    assert (tally.failed, tally.sent, tally.requests) == (6, 0, 1)
    told = "\n".join(KeyValueFormatter().format(record) for record in caplog.records)
    assert f"HTTP status {status}: no such tenant" in told
    assert "hunter2" not in told
    assert made.stats().lag == 0  # it goes on


def test_one_bad_series_does_not_take_the_others_with_it(world: World) -> None:
    def picky(_path: str, _form: object, body: bytes) -> Answer:
        if any(labels.metric_name == "m1" and labels.get("source") == "b" for labels in decode(body)):
            return 400, {}, b"label value too long"
        return world.take(_path, _form, body)

    world.server.behaviour = picky
    made = world.writer()
    world.frames(4, "a", "b", "c")
    drain(made)
    expected = world.expected("a", "b", "c")
    bad = expected.pop(Labels.of({"__name__": "m1", "source": "b"}))
    assert world.inbox.samples == expected
    assert made.stats().tally.failed == len(bad)


def test_halving_ends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "SPLITS", 8)
    world.server.behaviour = lambda *_: (400, {}, b"no")
    made = world.writer()
    world.frames(50, "a", "b")
    drain(made)
    tally = made.stats().tally
    assert tally.failed == 300
    assert tally.requests == 9


def test_a_receiver_that_takes_nothing_old_is_not_asked_over_and_over(world: World) -> None:
    """As Prometheus after hours of outage: everything is refused, up to some time."""
    limit = NOW_MS + 2 * HOUR_MS

    def young_only(_path: str, _form: object, body: bytes) -> Answer:
        if any(rows[0][0] < limit for rows in decode(body).values()):
            return 400, {}, b"out of bounds"
        return world.take("", None, body)

    world.server.behaviour = young_only
    made = world.writer()
    world.frames(1080, "a", "b", seconds=10.0)  # three hours
    drain(made)
    expected = {labels: [row for row in rows if row[0] >= limit] for labels, rows in world.expected("a", "b").items()}
    # The window with the limit in it is halved until what is good is alone, as far as the halving goes.
    assert sum(map(len, expected.values())) - world.inbox.count < 100
    assert made.stats().tally.requests < 150


def test_a_disk_that_takes_no_cursor_stops_no_sending(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made = world.writer()

    def full(_: object) -> None:
        raise StorageError("disk is full")

    monkeypatch.setattr(made._cursors, "save", full)
    for _ in range(3):
        world.frames(130, "a")
        drain(made)
    assert world.inbox.samples == world.expected("a")
    world.writers.remove(made)
    made.stop()


def test_a_damaged_file_is_replaced_with_what_is_known(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made = world.writer()
    world.frames(10, "a", "b")
    drain(made)
    save = made._cursors.save
    damaged = [True]

    def once(acked: Mapping[str, int]) -> None:
        if damaged.pop():
            damaged.append(False)
            raise DatabaseDamaged("disk image is malformed")
        damaged.append(False)
        save(acked)

    monkeypatch.setattr(made._cursors, "save", once)
    world.frames(1, "a")
    drain(made)
    world.writers.remove(made)
    made.stop()
    second = world.writer()
    drain(second)
    assert second.stats().tally.requests == 0
    assert world.inbox.samples == world.expected("a", "b")


def test_a_lost_answer_is_no_loss_and_no_refusal(world: World) -> None:
    """The receiver took it, and the connection broke before it could say so."""
    lost = [True]

    def forgetful(*asked: object) -> Answer:
        answer = world.take("", None, asked[2])  # type: ignore[arg-type]
        return (500, {}, b"crash") if lost and lost.pop() else answer

    world.server.behaviour = forgetful
    made = world.writer()
    world.frames(5, "a")
    drain(made)
    assert world.inbox.samples == world.expected("a")
    tally = made.stats().tally
    assert tally.failed == 0
    assert tally.repeated + tally.sent == 15


def test_what_became_too_old_is_skipped_and_counted(world: World) -> None:
    made = world.writer(max_lag_ms=HOUR_MS)
    world.server.down()
    world.frames(720, "a")  # an hour
    world.frames(720, "a")
    world.server.up()
    drain(made)
    stats = made.stats()
    assert stats.lag == 0
    assert stats.tally.sent == world.inbox.count
    assert stats.tally.sent + stats.tally.dropped == pytest.approx(3 * 1440, abs=20)
    first = min(rows[0][0] for rows in world.inbox.samples.values())
    assert first == pytest.approx(world.clock.now_ms() - HOUR_MS, abs=6000)


def test_a_batch_that_waits_too_long_is_given_up(world: World) -> None:
    world.server.behaviour = lambda *_: (503, {}, b"away")
    made = world.writer(max_lag_ms=HOUR_MS)
    world.frames(2, "a")
    made.start()
    until(lambda: made.stats().tally.retries > 0)
    world.clock.advance(2 * 3600)
    until(lambda: made.stats().tally.dropped == 6)


def test_a_crash_repeats_little_and_loses_nothing(world: World) -> None:
    made = world.writer()
    world.frames(10, "a", "b")
    drain(made)
    world.frames(10, "a", "b")
    # The process ends here, without a word: what it knew last is what was saved before.
    second = world.writer()
    world.frames(10, "a", "b")
    drain(second)
    assert world.inbox.samples == world.expected("a", "b")
    assert second.stats().tally.failed == 0


def test_a_stop_saves_where_it_was(world: World) -> None:
    made = world.writer()
    world.frames(10, "a")
    drain(made)
    world.frames(3, "a")
    drain(made)
    world.writers.remove(made)
    made.stop()
    second = world.writer()
    drain(second)
    assert second.stats().tally.requests == 0


def test_a_stop_does_not_wait_for_a_receiver_that_hangs(world: World) -> None:
    world.server.hang_s = 60.0
    made = world.writer()
    world.frames(1, "a")
    made.start()
    until(lambda: bool(world.server.asked))
    began = time.monotonic()
    made.stop()
    assert time.monotonic() - began < writer.STOP_S + 20
    assert not made._thread.is_alive()
    world.writers.remove(made)


def test_a_clock_that_is_set_back_stops_nothing(world: World) -> None:
    made = world.writer()
    world.clock.advance(86_400)
    world.frames(3, "a")
    drain(made)
    world.clock.time_ms = NOW_MS + 10_000
    world.frames(5, "a")
    world.inbox.samples.clear()  # the receiver, too, was set right
    drain(made)
    assert world.inbox.count == 15


def test_sources_advance_together(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver takes nothing that is an hour older than its newest sample."""
    newest = [0]

    def narrow(_path: str, _form: object, body: bytes) -> Answer:
        times = [at for rows in decode(body).values() for at, _ in rows]
        assert min(times) > newest[0] - HOUR_MS
        newest[0] = max(newest[0], *times)
        return world.take(_path, _form, body)

    world.server.behaviour = narrow
    made = world.writer()
    world.frames(1080, "a", "b", "c", seconds=10.0)  # three hours
    drain(made)
    assert world.inbox.samples == world.expected("a", "b", "c")
    assert made.stats().tally.requests == pytest.approx(18, abs=2)


def test_catching_up_has_a_pace(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "SAMPLES_A_SECOND", 1000)
    monkeypatch.setattr(writer, "REQUEST_SAMPLES", 100)
    made = world.writer()
    world.frames(100, "a")
    began = time.monotonic()
    drain(made)
    assert time.monotonic() - began >= 0.28
    assert world.inbox.samples == world.expected("a")
