from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from exporters.lanes import Lanes, Stuck


@pytest.fixture
def release() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "waited 5 s in vain"
        time.sleep(0.005)


def test_answers_and_exceptions() -> None:
    def fail() -> int:
        raise ValueError("no")

    outcomes = Lanes[int]("test").run({"one": lambda: 1, "bad": fail, "two": lambda: 2}, 1.0)
    assert (outcomes["one"], outcomes["two"]) == (1, 2)
    assert isinstance(outcomes["bad"], ValueError)


def test_a_stuck_job_costs_its_own_answer_only(release: threading.Event) -> None:
    lanes = Lanes[int]("test", patience=0.02)

    def stuck() -> int:
        release.wait(30)
        return 0

    begun = time.monotonic()
    outcomes = lanes.run({"stuck": stuck, **{f"good{n}": lambda: 1 for n in range(20)}}, 0.3)
    assert time.monotonic() - begun < 1.0
    assert sum(outcome == 1 for outcome in outcomes.values()) == 20
    assert isinstance(outcomes["stuck"], Stuck)
    assert 0.2 < outcomes["stuck"].seconds < 1.0


def test_at_most_one_run_in_flight_and_no_wait_for_it(release: threading.Event) -> None:
    lanes = Lanes[int]("test", patience=0.02)
    entered: list[int] = []

    def stuck() -> int:
        entered.append(1)
        release.wait(30)
        return 7

    lanes.run({"stuck": stuck}, 0.1)
    threads = threading.active_count()
    begun = time.monotonic()
    for _ in range(5):
        outcome = lanes.run({"stuck": stuck, "good": lambda: 1}, 5.0)
        assert isinstance(outcome["stuck"], Stuck)
        assert outcome["good"] == 1
    assert time.monotonic() - begun < 1.0
    assert len(entered) == 1
    wait_for(lambda: threading.active_count() <= threads)

    release.set()
    wait_for(lambda: not lanes.in_flight)
    assert lanes.run({"stuck": stuck}, 1.0) == {"stuck": 7}


def test_several_stuck_jobs_share_one_deadline(release: threading.Event) -> None:
    lanes = Lanes[int]("test", patience=0.02)

    def stuck() -> int:
        release.wait(30)
        return 0

    begun = time.monotonic()
    outcomes = lanes.run({**{f"stuck{n}": stuck for n in range(5)}, "last": lambda: 1}, 0.5)
    assert time.monotonic() - begun < 0.9
    assert outcomes["last"] == 1


def test_a_job_that_never_got_its_turn_is_told_from_one_in_flight(release: threading.Event) -> None:
    lanes = Lanes[int]("test", patience=10.0)

    def stuck() -> int:
        release.wait(30)
        return 0

    outcomes = lanes.run({"stuck": stuck, "behind": lambda: 1}, 0.1)
    assert outcomes["behind"] == Stuck(0.0)
    assert lanes.in_flight == {"stuck"}
    assert lanes.run({"behind": lambda: 1}, 1.0) == {"behind": 1}


def test_a_slow_job_within_the_deadline_is_answered() -> None:
    def slow() -> int:
        time.sleep(0.15)
        return 3

    assert Lanes[int]("test", patience=0.02).run({"slow": slow, "fast": lambda: 1}, 2.0) == {"slow": 3, "fast": 1}


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
            told.update(type(outcome).__name__ for outcome in lanes.run(jobs, 5.0).values())

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
