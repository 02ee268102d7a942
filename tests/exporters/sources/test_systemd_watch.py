"""Units over a real D-Bus daemon, with a systemd that says what the test wants."""

from __future__ import annotations

import gc
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from jeepney import Message

from exporters.sources import system_bus, systemd_bus, systemd_watch
from exporters.sources.system_bus import Answer
from exporters.sources.systemd import MAX_TIMERS, Reading, SystemdError, Unit
from exporters.sources.systemd_bus import BusUnits, unescape
from exporters.sources.systemd_watch import LEAST_SECONDS, POLL_SECONDS, UnitWatch
from tests.exporters.support import FAR
from tests.support.fake_systemd import MAX, FakeSystemd, FakeUnit, private_bus, service


@pytest.fixture(autouse=True)
def _no_other_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBUS_SYSTEM_BUS_ADDRESS", raising=False)


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[str]:
    with private_bus(tmp_path) as path:
        yield path


@pytest.fixture
def systemd(bus: str) -> Iterator[FakeSystemd]:
    found = FakeSystemd(f"unix:path={bus}")
    yield found
    found.close()


@contextmanager
def watching(bus: str, *wanted: str) -> Iterator[tuple[UnitWatch, list[float]]]:
    events: list[float] = []
    watch = UnitWatch(wanted, lambda: events.append(time.monotonic()), bus_path=bus, wall=time.monotonic, polled=False)
    watch.start()
    try:
        yield watch, events
    finally:
        watch.stop()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + FAR
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.005)


def reading(watch: UnitWatch) -> Reading:
    found = watch.latest(FAR)
    assert found is not None, watch.fault
    return found


def unit(watch: UnitWatch, name: str) -> Unit | None:
    return next((unit for unit in reading(watch).units if unit.name == name), None)


def test_a_reading_has_the_wanted_the_failed_and_the_timers(bus: str, systemd: FakeSystemd) -> None:
    systemd.add(service("web.service"))
    systemd.add(service("quiet.service"))
    systemd.add(service("bad.service", active="failed", sub="failed")).properties["Result"] = ("s", "oom-kill")
    loop = systemd.add(service("loop.service", active="activating", sub="auto-restart"))
    loop.properties.update(NRestarts=("u", 672), MemoryCurrent=("t", MAX), TasksCurrent=("t", MAX))
    systemd.add(FakeUnit("rotate.timer", sub="waiting", properties={"LastTriggerUSec": ("t", 1_795_000_000_500_000)}))
    systemd.add(FakeUnit("never.timer", sub="waiting", properties={"LastTriggerUSec": ("t", 0)}))
    with watching(bus, "web.service", "gone.service") as (watch, _):
        found = reading(watch)
    assert [(one.name, one.load, one.active, one.sub) for one in found.units] == [
        ("web.service", "loaded", "active", "running"),
        ("gone.service", "not-found", "inactive", "dead"),
        ("bad.service", "loaded", "failed", "failed"),
        ("loop.service", "loaded", "activating", "auto-restart"),
    ]
    web, _, bad, loop_seen = (one.details for one in found.units)
    assert (web.type, web.result, web.restarts, web.memory, web.tasks) == ("simple", "success", 0, 5_242_880, 3)
    assert web.started == pytest.approx(1_795_436_155.308245)
    assert bad.result == "oom-kill"
    assert (loop_seen.restarts, loop_seen.memory, loop_seen.tasks) == (672, None, None)
    assert [(one.name, one.details.triggered) for one in found.timers] == [("rotate.timer", 1_795_000_000.5)]
    assert (found.running, found.failed, found.version, found.source) == ("running", 1, "252.39-1~deb12u2", "bus")


def test_a_signal_is_read_at_once_and_makes_one_event(bus: str, systemd: FakeSystemd) -> None:
    web = systemd.add(service("web.service"))
    with watching(bus, "web.service") as (watch, events):
        reading(watch)
        time.sleep(0.15)
        begun = time.monotonic()
        web.active, web.sub, web.properties["Result"] = "failed", "failed", ("s", "signal")
        for _ in range(5):
            systemd.tell(web)
        until(lambda: events != [])
        assert events[0] - begun < POLL_SECONDS / 2, "told, not found by asking"
        now = unit(watch, "web.service")
        assert now is not None
        assert (now.active, now.details.result) == ("failed", "signal")
        time.sleep(0.3)
        assert len(events) == 1


def test_a_crash_loop_that_nobody_named_is_seen_and_kept_for_a_while(bus: str, systemd: FakeSystemd) -> None:
    loop = systemd.add(service("loop.service"))
    with watching(bus) as (watch, events):
        assert reading(watch).units == ()
        for count in range(1, 4):
            # It starts again before anybody could have looked.
            loop.properties["NRestarts"] = ("u", count)
            systemd.tell(loop, "activating", "auto-restart")
            systemd.tell(loop)
            until(lambda count=count: restarts(watch, "loop.service") == len(events) == count)  # type: ignore[misc]


def once(systemd: FakeSystemd, member: str, name: str, do: Callable[[], None]) -> None:
    """Let something happen right before the next answer of a kind."""

    def before(asked: str, about: str) -> None:
        if (asked, about) == (member, name):
            systemd.before = lambda *_: None
            do()

    systemd.before = before


def fail(systemd: FakeSystemd, unit: FakeUnit) -> None:
    unit.active, unit.sub = "failed", "failed"
    systemd.tell(unit)


def test_what_changes_within_a_reading_is_read_at_once_too(
    bus: str, systemd: FakeSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd_watch, "POLL_SECONDS", 3600.0)
    web = systemd.add(service("web.service"))
    with watching(bus, "web.service") as (watch, _):
        reading(watch)
        # The list is answered, the reading is not at its end.
        once(systemd, "Get", "NFailedUnits", lambda: fail(systemd, web))
        systemd.tell(web)
        until(lambda: (found := unit(watch, "web.service")) is not None and found.active == "failed")


def test_what_comes_with_the_last_answer_is_read_at_once_too(
    bus: str, systemd: FakeSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd_watch, "POLL_SECONDS", 3600.0)
    web = systemd.add(service("web.service"))

    class Together(system_bus.SystemBus):
        """What follows the answers is received with them."""

        def call_all(self, messages: Sequence[Message]) -> list[Answer]:
            answers = super().call_all(messages)
            if web.active == "active" and len(messages) == len(web.properties):  # the details of a unit
                fail(systemd, web)
                self._parser.add_data(self._socket.recv(65536))
            return answers

    monkeypatch.setattr(systemd_bus, "SystemBus", Together)
    with watching(bus, "web.service") as (watch, _):
        until(lambda: (found := unit(watch, "web.service")) is not None and found.active == "failed")


def test_details_that_change_after_they_were_asked_are_asked_again(bus: str, systemd: FakeSystemd) -> None:
    web = systemd.add(service("web.service"))
    units = BusUnits(bus, ["web.service"])

    def starts_again() -> None:
        web.properties["NRestarts"] = ("u", 1)
        systemd.tell(web)

    try:
        once(systemd, "Get", "TasksMax", starts_again)
        assert units.read(whole=True).units[0].details.restarts == 0
        assert units.signalled
        assert units.read(whole=False).units[0].details.restarts == 1
        assert not units.signalled
    finally:
        units.close()


def test_a_reading_is_no_news_to_itself(bus: str, systemd: FakeSystemd) -> None:
    """To answer for a unit that does not run systemd loads it, and says so of it and of those it belongs to."""
    web = systemd.add(service("web.service"))
    bad = systemd.add(service("bad.service", active="failed", sub="failed"))
    gone = FakeUnit("gone.service", "not-found", "inactive", "dead")
    units = BusUnits(bus, ["web.service", "gone.service"])

    def before(member: str, name: str) -> None:
        if name == "SystemState":
            systemd.tell_loaded(gone)
            systemd.tell(web)
            systemd.tell(bad)

    systemd.before = before
    try:
        for whole in (True, False, True):
            units.read(whole=whole)
            assert not units.signalled
    finally:
        units.close()


def restarts(watch: UnitWatch, name: str) -> int | None:
    found = unit(watch, name)
    return found.details.restarts if found else None


def test_signals_of_others_cost_no_reading(bus: str, systemd: FakeSystemd) -> None:
    systemd.add(service("web.service"))
    other = systemd.add(service("other.service"))
    with watching(bus, "web.service") as (watch, events):
        reading(watch)
        time.sleep(0.15)
        before = dict(systemd.asked)
        for _ in range(200):
            systemd.tell(other)
        time.sleep(0.4)
        assert systemd.asked == before
        assert events == []


def test_a_storm_is_few_readings_and_the_last_state_is_seen(bus: str, systemd: FakeSystemd) -> None:
    web = systemd.add(service("web.service"))
    with watching(bus, "web.service") as (watch, _):
        reading(watch)
        before = systemd.asked["ListUnitsByNames"]
        begun = time.monotonic()
        for count in range(1000):
            web.properties["NRestarts"] = ("u", count)
            systemd.tell(web)
            time.sleep(0.0005)
        until(lambda: restarts(watch, "web.service") == 999)
        took = time.monotonic() - begun
        assert systemd.asked["ListUnitsByNames"] - before <= took / LEAST_SECONDS + took / POLL_SECONDS + 3


def test_what_no_signal_told_is_found_by_asking(
    bus: str, systemd: FakeSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd_watch, "POLL_SECONDS", 0.2)
    web = systemd.add(service("web.service"))
    with watching(bus, "web.service") as (watch, events):
        reading(watch)
        web.properties["MemoryCurrent"] = ("t", 9)
        until(lambda: (found := unit(watch, "web.service")) is not None and found.details.memory == 9)
        assert events == []
        web.active = "inactive"
        until(lambda: events != [])


def test_a_systemd_that_does_not_answer_is_told_and_comes_back(
    bus: str, systemd: FakeSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system_bus, "CALL_SECONDS", 0.2)
    monkeypatch.setattr(systemd_watch, "POLL_SECONDS", 0.1)
    systemd.add(service("web.service"))
    with watching(bus, "web.service") as (watch, _):
        first = reading(watch)
        systemd.mute = True
        until(lambda: "no answer" in watch.fault)
        systemd.mute = False
        until(lambda: watch.fault == "" and reading(watch).at > first.at)


def test_a_bus_that_goes_and_one_that_never_was(tmp_path: Path) -> None:
    with private_bus(tmp_path) as bus:
        systemd = FakeSystemd(f"unix:path={bus}")
        with watching(bus) as (watch, _):
            reading(watch)
            systemd.close()
            # Nobody has the name now: the bus itself says so at the next question.
            with pytest.raises(SystemdError, match=r"org\.freedesktop\.DBus\.Error"):
                BusUnits(bus, ())
    with watching(str(tmp_path / "nothing")) as (watch, _):
        until(lambda: "there is no system bus" in watch.fault)
        assert watch.latest() is None


@pytest.mark.parametrize("answer", [b"", b"REJECTED EXTERNAL\r\n", b"OK 1234\r\n" + b"\x00" * 64, b"l" * 5000])
def test_what_is_no_bus_is_an_error_within_a_time(
    tmp_path: Path, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system_bus, "CALL_SECONDS", 0.3)
    path = str(tmp_path / "odd")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                # Who hangs up with something unread resets the connection.
                with suppress(ConnectionError):
                    connection.recv(1024)
                    connection.sendall(answer)
                    while answer and connection.recv(1024):
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        begun = time.monotonic()
        with pytest.raises(SystemdError):
            BusUnits(path, ())
        assert time.monotonic() - begun < FAR / 2
        thread.join(FAR)


def test_timers_are_bounded(bus: str, systemd: FakeSystemd) -> None:
    for at in range(2 * MAX_TIMERS):
        systemd.add(FakeUnit(f"t{at}.timer", properties={"LastTriggerUSec": ("t", 1_000_000)}))
    with watching(bus) as (watch, _):
        assert len(reading(watch).timers) == MAX_TIMERS


def test_names_in_paths() -> None:
    assert unescape("nginx_2eservice") == "nginx.service"
    assert unescape("getty_40tty1_2eservice") == "getty@tty1.service"
    assert unescape("_5f_2dx") == "_-x"
    assert unescape("odd_zz") == "odd_zz"


def test_the_watch_leaves_no_file_open(bus: str, systemd: FakeSystemd) -> None:
    gc.collect()  # what earlier tests have left is not closed meanwhile
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with watching(bus) as (watch, _):
            reading(watch)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
