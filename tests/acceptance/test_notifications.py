"""From alerts to an HTTP receiver, with real processes that are killed and a receiver that goes away."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from alerting.clock import SystemClock
from alerting.dispatch.store import open_database
from alerting.notify.outbox import Outbox
from tests.support.machine import PATIENCE
from tests.support.receiver import HttpReceiver

pytestmark = pytest.mark.acceptance
ROOT = Path(__file__).resolve().parents[2]


class Notifier:
    """The program under test; survives its own death."""

    def __init__(self, database: Path, url: str) -> None:
        self.database = database
        self.url = url
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.notifier", str(self.database)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._write(self.url)
        self._expect("ready")

    def firing(self, *names: str) -> None:
        self._write(json.dumps(names))
        self._expect("taken")

    def kill(self) -> None:
        """SIGKILL, then start again."""
        self.process.kill()
        self._end()
        self.start()

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(20) == 0
        self._end()

    def _write(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def _expect(self, word: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == word

    def _end(self) -> None:
        self.process.wait(20)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with HttpReceiver() as found:
        yield found


def until_told(receiver: HttpReceiver, wanted: set[str], seconds: float) -> None:
    """Until each of these titles has arrived; the duration at the end of a title does not matter."""
    deadline = time.monotonic() + seconds * PATIENCE
    while missing := wanted - {title.partition(",")[0] for title in receiver.titles()}:
        assert time.monotonic() < deadline, f"never told: {sorted(missing)}"
        time.sleep(0.02)


def test_killed_at_any_moment_nothing_is_lost_and_at_most_one_is_repeated(
    receiver: HttpReceiver, tmp_path: Path
) -> None:
    chance = random.Random(20260101)
    notifier = Notifier(tmp_path / "alerts.db", receiver.url())
    kills = 8
    for number in range(kills):
        notifier.firing(f"A{number}")
        if number % 2:  # every second alert ends in the moment of the crash, or just before
            time.sleep(chance.uniform(0.2, 0.5))
            until_told(receiver, {f"A{number}"}, 20)
            notifier.firing()
        time.sleep(chance.uniform(0.0, 0.25))
        notifier.kill()
        notifier.firing(f"A{number}") if number % 2 == 0 else notifier.firing()
        until_told(receiver, {f"A{number}"}, 20)
    notifier.firing()
    until_told(receiver, {f"RESOLVED A{number}" for number in range(kills)}, 20)
    time.sleep(0.5)
    notifier.stop()
    counts = Counter(title.partition(",")[0] for title in receiver.titles())
    assert counts.keys() == {f"A{n}" for n in range(kills)} | {f"RESOLVED A{n}" for n in range(kills)}
    assert sum(counts.values()) - len(counts) <= kills
    order = [title.partition(",")[0] for title in receiver.titles()]
    assert all(order.index(f"A{n}") < order.index(f"RESOLVED A{n}") for n in range(kills))


def test_a_receiver_that_comes_back_hears_everything_once_in_order(receiver: HttpReceiver, tmp_path: Path) -> None:
    notifier = Notifier(tmp_path / "alerts.db", receiver.url())
    names = [f"A{number}" for number in range(6)]
    for mode in ("down", "error", "hang"):
        receiver.posts.clear()
        if mode == "down":
            receiver.down()
        elif mode == "error":
            receiver.mode = "error"
        else:
            receiver.mode = "hang"
        for count in range(1, len(names) + 1):
            notifier.firing(*names[:count])
            time.sleep(0.05)
        time.sleep(1.0)
        if mode == "error":
            notifier.kill()
            notifier.firing(*names)
        assert receiver.posts == []
        if mode == "down":
            receiver.up()
        receiver.mode = "ok"
        receiver.wait_for(len(names), 30)
        notifier.firing()
        receiver.wait_for(2 * len(names), 30)
        time.sleep(0.5)
        titles = [title.partition(",")[0] for title in receiver.titles()]
        assert titles[: len(names)] == names
        assert sorted(titles[len(names) :]) == [f"RESOLVED {name}" for name in names]
    notifier.stop()
    database = open_database(tmp_path / "alerts.db", SystemClock().now_ms())
    journal = Outbox(database, {}).journal()
    database.close()
    assert {entry.state for entry in journal} == {"delivered"}
    assert len(journal) == 3 * 2 * len(names)
    assert max(entry.attempts for entry in journal) > 1
