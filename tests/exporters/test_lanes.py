from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import pytest

from exporters.lanes import Lanes, Stuck
from tests.exporters.support import DEADLINES, FAR


@pytest.fixture
def release() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + FAR
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def test_answers_and_exceptions() -> None:
    def fail() -> int:
        raise ValueError("no")

    outcomes = Lanes[int]("test").run({"one": lambda: 1, "bad": fail, "two": lambda: 2}, FAR)
    assert (outcomes["one"], outcomes["two"]) == (1, 2)
    assert isinstance(outcomes["bad"], ValueError)


def answered(outcomes: Mapping[str, object]) -> int:
    return sum(outcome == 1 for outcome in outcomes.values())


def test_a_stuck_job_costs_its_own_answer_only(release: threading.Event) -> None:
    def stuck() -> int:
        release.wait(2 * FAR)
        return 0

    jobs = {"stuck": stuck, **{f"good{n}": lambda: 1 for n in range(20)}}
    for deadline in DEADLINES:
        begun = time.monotonic()
        outcomes = Lanes[int]("test", patience=0.02).run(jobs, deadline)
        took = time.monotonic() - begun
        assert isinstance(outcomes["stuck"], Stuck)
        assert outcomes["stuck"].seconds <= took
        assert deadline <= took < deadline + FAR / 2
        if answered(outcomes) == 20:
            return
    pytest.fail("the others wait for the one that is stuck")


def test_at_most_one_run_in_flight_and_no_wait_for_it(release: threading.Event) -> None:
    lanes = Lanes[int]("test", patience=0.02)
    entered: list[int] = []

    def stuck() -> int:
        entered.append(1)
        release.wait(2 * FAR)
        return 7

    for deadline in DEADLINES:
        if not lanes.in_flight:
            lanes.run({"stuck": stuck}, deadline)
    wait_for(lambda: bool(entered))
    threads = threading.active_count()
    begun = time.monotonic()
    for _ in range(5):
        outcome = lanes.run({"stuck": stuck, "good": lambda: 1}, FAR)
        assert isinstance(outcome["stuck"], Stuck)
        assert outcome["good"] == 1
    assert time.monotonic() - begun < FAR / 2
    assert len(entered) == 1
    wait_for(lambda: threading.active_count() <= threads)

    release.set()
    wait_for(lambda: not lanes.in_flight)
    assert lanes.run({"stuck": stuck}, FAR) == {"stuck": 7}


def test_several_stuck_jobs_share_one_deadline(release: threading.Event) -> None:
    def stuck() -> int:
        release.wait(2 * FAR)
        return 0

    jobs = {**{f"stuck{n}": stuck for n in range(100)}, "last": lambda: 1}
    for deadline in DEADLINES:
        begun = time.monotonic()
        outcomes = Lanes[int]("test", patience=0.001).run(jobs, deadline)
        assert time.monotonic() - begun < 10 * deadline + FAR / 2, "not a deadline for each"
        if answered(outcomes) == 1:
            return
    pytest.fail("the last has no turn")


def test_a_job_that_never_got_its_turn_is_told_from_one_in_flight(release: threading.Event) -> None:
    def stuck() -> int:
        release.wait(2 * FAR)
        return 0

    for deadline in DEADLINES:
        lanes = Lanes[int]("test", patience=FAR)
        outcomes = lanes.run({"stuck": stuck, "behind": lambda: 1}, deadline)
        assert outcomes["behind"] == Stuck(0.0)
        if lanes.in_flight:
            break
    assert lanes.run({"behind": lambda: 1}, FAR) == {"behind": 1}
    assert lanes.in_flight == {"stuck"}


def test_a_slow_job_within_the_deadline_is_answered() -> None:
    def slow() -> int:
        time.sleep(0.15)
        return 3

    assert Lanes[int]("test", patience=0.02).run({"slow": slow, "fast": lambda: 1}, FAR) == {"slow": 3, "fast": 1}


def test_nothing_to_do_takes_no_time() -> None:
    assert Lanes[int]("test").run({}, 5.0) == {}


def test_rounds_at_the_same_time_never_run_a_job_twice_at_once() -> None:
    lanes = Lanes[int]("test")
    inside, most, told = Counter[str](), Counter[str](), Counter[str]()

    def job(name: str) -> int:
        inside[name] += 1
        most[name] = max(most[name], inside[name])
        time.sleep(0.001)
        inside[name] -= 1
        return 1

    def rounds() -> None:
        for _ in range(50):
            told.update(type(outcome).__name__ for outcome in lanes.run(jobs, FAR).values())

    jobs = {name: partial(job, name) for name in ("one", "two", "three")}
    threads = [threading.Thread(target=rounds) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == {"one": 1, "two": 1, "three": 1}
    assert set(told) <= {"int", "Stuck"}
    assert told.total() == 4 * 50 * 3


def test_without_threads_for_more_lanes_those_that_run_go_on(
    release: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes = Lanes[int]("test", patience=0.01)
    start, begun = threading.Thread.start, []

    def only_once(thread: threading.Thread) -> None:
        begun.append(thread)
        if len(begun) > 1:
            release.set()
            raise RuntimeError("can't start new thread")
        start(thread)

    def slow() -> int:
        release.wait(30)
        return 1

    with monkeypatch.context() as poor:
        poor.setattr(threading.Thread, "start", only_once)
        assert lanes.run({"slow": slow, "waits": lambda: 2}, 30.0) == {"slow": 1, "waits": 2}
    assert len(begun) > 1
