"""Remote storage switched on and off by the configuration, and free of cost where there is none."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from alerting import build
from alerting.clock import FakeClock
from alerting.model.labels import Labels
from alerting.model.matcher import Matcher
from alerting.promql.engine import Engine
from alerting.promql.parse import parse
from alerting.promql.value import Vector
from alerting.remote import writer
from alerting.remote.link import RemoteStorage
from alerting.storage.store import Store, StoreOptions
from config.load import load
from config.remote import Endpoint, Remote
from config.secrets import Secret
from tests.alerting.remote.fake_server import Answer, FakeServer, matrix
from tests.alerting.remote.received import Inbox
from tests.config.support import ALERTING, changed, write

NOW_MS = 1_700_000_000_000
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "IDLE_S", 0.01)


class World:
    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock(NOW_MS)
        self.store = Store.open(folder / "metrics.db", StoreOptions(), NOW_MS)
        self.engine = Engine(self.store)
        self.remote = RemoteStorage(self.store, folder, self.clock, self.engine.use, "1")
        self.inbox, self.other = Inbox(), Inbox()
        self.server = FakeServer(self.answer)
        self.server.up()

    def answer(self, path: str, form: dict[str, list[str]], body: bytes) -> Answer:
        if path.endswith("/write"):
            inbox = self.other if path.startswith("/other") else self.inbox
            return (204, {}, b"") if inbox.put(body) else (400, {}, b"out of order")
        now = self.clock.now_ms() / 1000
        text = str(now) if "timestamp" in form.get("query", [""])[0] else "7"
        return matrix(({"__name__": "size", "node": "far"}, [(now, text)]))

    def append(self, value: float = 1.0) -> None:
        head = self.store.source("own")
        head.column(Labels.of({"__name__": "size", "node": "near"}))
        self.clock.advance(1)
        assert head.append(self.clock.now_ms(), np.array([value]))

    def nodes(self) -> list[str]:
        value = self.engine.instant(parse("size"), self.clock.now_ms()).value
        assert isinstance(value, Vector)
        return [labels.get("node") for labels in value.labels]

    def arrived(self, count: int) -> bool:
        """So many samples, and their receiver's answer."""
        stats = self.remote.stats().write
        return self.inbox.count == count and stats is not None and stats.lag == 0

    def query(self, read_recent: bool = True) -> Remote:
        return Remote(query=Endpoint(self.server.url, timeout=60.0), read_recent=read_recent)

    def write(self, path: str = "/write") -> Remote:
        return Remote(write=Endpoint(self.server.url + path, timeout=60.0))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.remote.close()
    made.server.down()
    made.store.close()


def until(done: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_reload_switches_reading(world: World) -> None:
    world.append()
    assert world.nodes() == ["near"]
    world.remote.apply(world.query())
    assert world.nodes() == ["far", "near"]
    world.remote.apply(world.query(read_recent=False))
    assert world.nodes() == ["near"]
    world.remote.apply(Remote())
    assert world.nodes() == ["near"]
    assert world.remote.stats().read is None
    assert world.remote.begin(None, pytest.fail) is world.store


def test_a_reload_switches_writing_and_each_receiver_gets_its_own(world: World) -> None:
    world.remote.apply(world.write())
    world.append()
    until(lambda: world.inbox.count == 1)
    world.remote.apply(Remote())
    world.append()
    world.remote.apply(world.write("/other/write"))  # it begins here
    world.append()
    until(lambda: world.other.count == 1)
    world.remote.apply(world.write())  # it goes on where it stopped
    until(lambda: world.inbox.count == 3)
    stats = world.remote.stats().write
    assert stats is not None
    assert stats.tally.failed == 0


def test_closing_waits_for_a_configuration_that_is_being_taken(world: World, tmp_path: Path) -> None:
    begun, go = threading.Event(), threading.Event()

    def use(_: object) -> None:
        begun.set()
        assert go.wait(60)

    remote = RemoteStorage(world.store, tmp_path, world.clock, use, "1")
    taking = threading.Thread(target=remote.apply, args=(world.query(),))
    closing = threading.Thread(target=remote.close)
    taking.start()
    assert begun.wait(60)
    closing.start()
    closing.join(0.2)  # it cannot be done yet
    go.set()
    taking.join()
    closing.join()
    assert remote.stats().read is None


class Fleeting(RemoteStorage):
    """Is switched off by another thread in the moment after somebody looked."""

    def __getattribute__(self, name: str) -> object:
        found = super().__getattribute__(name)
        if name in ("_read", "_writer") and found is not None:
            setattr(self, name, None)
        return found


def test_what_is_switched_off_while_it_is_asked_answers_or_is_off(world: World, tmp_path: Path) -> None:
    world.remote.apply(Remote(query=world.query().query, write=world.write().write, read_recent=True))
    read, writer = world.remote._read, world.remote._writer
    remote = Fleeting(world.store, tmp_path, world.clock, lambda _: None, "1")

    def on() -> None:
        remote._read, remote._writer = read, writer

    on()
    assert remote.begin(None, pytest.fail) is not world.store
    on()
    assert remote.stats().write is not None
    on()
    assert remote.notes() == []
    assert remote.notes() == []


def test_an_unchanged_configuration_disturbs_nothing(world: World) -> None:
    world.remote.apply(world.write())
    world.append()
    until(lambda: world.inbox.count == 1)
    world.remote.apply(world.write())
    until(lambda: (stats := world.remote.stats().write) is not None and stats.tally.sent == 1)


def test_external_labels_are_sent_and_never_kept(world: World) -> None:
    both = Remote(query=world.query().query, write=world.write().write, read_recent=True)
    world.remote.apply(both, {"site": "home"})
    world.append()
    until(lambda: world.inbox.count == 1)
    (sent,) = world.inbox.samples
    assert sent == Labels.of({"__name__": "size", "node": "near", "site": "home"})
    assert world.nodes() == ["far", "near"]
    asked = [form["query"][0] for path, form, _ in world.server.asked if path.endswith("/query")]
    assert asked
    assert all('site="home"' in query for query in asked)
    assert [labels.get("site") for labels in world.store.series([], 0, 2 * NOW_MS)] == [""]
    world.remote.apply(both, {"site": "away"})  # a reload
    world.append()
    until(lambda: world.inbox.count == 2)
    assert {labels.get("site") for labels in world.inbox.samples} == {"home", "away"}


def test_what_is_wrong_is_noted(world: World, tmp_path: Path) -> None:
    world.remote.apply(world.write())
    world.append()
    until(lambda: world.arrived(1))
    assert world.remote.notes() == []
    world.server.down()
    for _ in range(400):
        world.append()
    until(lambda: bool(world.remote.notes()))
    (note,) = world.remote.notes()
    assert note.startswith("Remote storage is 6m40s behind: ")
    (tmp_path / "ca.pem").write_text("no certificate\n")
    world.remote.apply(Remote(query=Endpoint("https://127.0.0.1:1", ca_file=tmp_path / "ca.pem")))
    (note,) = world.remote.notes()
    assert note.startswith("Remote storage is not used: ")
    assert world.nodes() == ["near"]
    world.remote.apply(Remote(query=Endpoint(world.server.url, (("X-Key", Secret("hunter2")),))))
    assert world.nodes() == ["near"]
    world.remote.begin(None, lambda _: None).series([[Matcher("a", "=", "b")]], 0, NOW_MS)
    (note,) = world.remote.notes()
    assert note.startswith("Remote storage does not answer")
    assert "hunter2" not in note


LIGHT = """
import sys
import alerting.app
heavy = {"google.protobuf", "cramjam", "alerting.remote.fanout", "alerting.remote.http", "alerting.remote.writer"}
found = heavy & set(sys.modules)
assert not found, found
"""


def test_without_remote_storage_nothing_of_it_is_imported() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_missing_library_is_told_by_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = "  max_bytes: 2GiB\n  remote: {write_url: http://127.0.0.1:9/api/v1/write}\n"
    config = load(write(tmp_path, alerting=changed(ALERTING, ("  max_bytes: 2GiB\n", block))), {})
    assert build.rules_and_urls(config)[1] == []
    monkeypatch.setattr(build, "_installed", lambda name: name != "cramjam")
    (problem,) = build.rules_and_urls(config)[1]
    assert str(problem).endswith("needs cramjam, which is not installed: pip install 'tierwatch[remote]'")
