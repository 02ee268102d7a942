"""A full disk, files that break, kill -9 and a clock that leaps, each through the whole aggregator."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from alerting.app import App, Options
from alerting.promql.parse import parse
from alerting.promql.value import Vector
from alerting.rules import manager as rule_manager
from tests.support.aggregator import Aggregator, write_config
from tests.support.machine import PATIENCE, slack
from tests.support.node_page import PAGE, NodePage
from tests.support.receiver import HttpReceiver

pytestmark = pytest.mark.acceptance
ROOT = Path(__file__).parents[2]
NOW_UP = parse('up{job="node"} and (timestamp(up{job="node"}) > time() - 3)')
YEAR_MS = 365 * 86_400_000


def until(true: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds * PATIENCE
    while not true():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def samples(aggregator: Aggregator, metric: str) -> list[tuple[float, str]]:
    """Everything of the last hour, of the one series there is."""
    answer = aggregator.get(f"/api/v1/query?query={quote(metric + '[1h]')}")
    return [(float(at), value) for series in answer["data"]["result"] for at, value in series["values"]]


@contextmanager
def small_disk(folder: Path) -> Iterator[tuple[tuple[str, ...], Path]]:
    """A file system of 4 MiB over ``folder`` for whoever is started with the words; and where others see it."""
    mount = f'mount -t tmpfs -o size=4m none "{folder}" && echo mounted && exec sleep 300'
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", mount]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"mounted\n"
            prefix = ("nsenter", f"--target={holder.pid}", "--mount", f"--wd={ROOT}", "--")
            yield prefix, Path(f"/proc/{holder.pid}/root{folder}")
        finally:
            holder.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes root")
def test_a_full_disk_stops_neither_watching_nor_telling_and_nothing_is_lost(
    aggregator: Aggregator, node: NodePage, phone: HttpReceiver
) -> None:
    aggregator.data.mkdir()
    with small_disk(aggregator.data) as (prefix, inside):
        aggregator.prefix = prefix
        on_a_full_disk(aggregator, node, phone, inside / "filler")


def fill(filler: Path) -> None:
    """All that is left of the disk."""
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 512):
            with pytest.raises(OSError, match="No space"):
                while True:
                    file.write(b"\1" * size)


def on_a_full_disk(aggregator: Aggregator, node: NodePage, phone: HttpReceiver, filler: Path) -> None:
    noise = random.Random(1)

    def page() -> str:
        lines = "".join(f'noise{{n="{n}"}} {noise.random()!r}\n' for n in range(200))
        return PAGE + lines

    node.page = page()
    aggregator.start()
    metric = aggregator.own_metric
    until(lambda: (metric("tierwatch_storage_flushes_total") or 0) > 0)
    fill(filler)
    began = time.time()  # noqa: TID251 - compared with times of the real clock

    node.down()
    phone.wait_for(1, 20)
    until(lambda: (metric("tierwatch_storage_flush_failures_total") or 0) > 0)
    notes = " ".join(aggregator.get("/page/status.json")["notes"])
    assert "The disk takes no samples" in notes
    assert "in memory only" in notes
    node.page = page()
    node.up()
    phone.wait_for(2, 20)
    assert [title.split()[0] for title in phone.titles()] == ["DOWN", "RESOLVED"]
    log = aggregator.log.read_text()
    assert log.count("samples stay in memory") == 1
    assert log.count("going on in memory") == 1
    newest = samples(aggregator, "node_load1")[-1][0]
    assert newest > time.time() - 5 - slack()  # noqa: TID251

    filler.unlink()
    until(lambda: not aggregator.get("/page/status.json")["notes"], 30)
    log = aggregator.log.read_text()
    assert "writing again" in log
    assert "on disk again" in log
    now = time.time()  # noqa: TID251
    assert metric("tierwatch_storage_frames_dropped_total") == 0
    before = [sample for sample in samples(aggregator, 'up{job="node"}') if sample[0] < now]
    assert before[0][0] < began < before[-2][0]
    assert {value for _, value in before} == {"0", "1"}
    assert aggregator.stop() == 0
    aggregator.start()
    assert [sample for sample in samples(aggregator, 'up{job="node"}') if sample[0] < now] == before
    assert [one["title"].split()[0] for one in aggregator.get("/page/status.json")["journal"]] == ["RESOLVED", "DOWN"]

    fill(filler)  # nor does it keep a killed one from starting
    aggregator.kill()
    aggregator.start()
    assert [sample for sample in samples(aggregator, 'up{job="node"}') if sample[0] < now] == before
    assert aggregator.stop() == 0

    fill(filler)  # nor one that was stopped well, whose log and its index are gone and have no room any more
    aggregator.start()
    assert [sample for sample in samples(aggregator, 'up{job="node"}') if sample[0] < now] == before
    began = time.time()  # noqa: TID251
    node.down()
    phone.wait_for(3, 20)
    filler.unlink()
    until(lambda: not aggregator.get("/page/status.json")["notes"], 30)
    assert aggregator.stop() == 0
    aggregator.start()
    assert "0" in [value for at, value in samples(aggregator, 'up{job="node"}') if at > began]
    assert aggregator.get("/page/status.json")["journal"][0]["title"].startswith("DOWN")
    assert aggregator.stop() == 0


class Counting(NodePage):
    """Each page is another one; ``served`` tells when which was."""

    def __init__(self) -> None:
        self.served: list[tuple[float, int]] = []
        super().__init__()

    @property
    def page(self) -> str:
        number = len(self.served) + 1
        self.served.append((time.monotonic(), number))
        return f"{PAGE}pages_served {number}\n" + "".join(f'busy{{n="{n}"}} {number * n / 7!r}\n' for n in range(300))

    @page.setter
    def page(self, _: str) -> None:
        pass


def test_kill_9_at_any_moment_loses_ten_seconds_at_most(tmp_path: Path, phone: HttpReceiver) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    node = Counting()
    with node, Aggregator(tmp_path) as aggregator:
        write_config(aggregator.config, node_port=node.port, url=phone.url())
        due: set[int] = set()
        for pause in (12.0, *(chance.uniform(0.0, 4.0) for _ in range(3))):
            before = len(node.served)
            aggregator.start()
            stored = {round(float(value)) for _, value in samples(aggregator, "pages_served")}
            assert due <= stored, f"lost: {sorted(due - stored)}"
            log = aggregator.log.read_text()
            assert "damaged" not in log
            assert "skipped" not in log
            begun = time.monotonic()
            time.sleep(pause)
            aggregator.kill()
            killed = time.monotonic()
            due |= {number for number in stored if number <= before}  # read back, so on the disk
            late = slack()
            due |= {number for at, number in node.served if begun < at < killed - 10.0 - late}
            aggregator.launch()  # and once in the middle of a start
            time.sleep(chance.uniform(0.1, 1.2))
            aggregator.kill()
        assert len(due) > 1


class LeapingClock:
    """The real time's pace, from wherever it is set."""

    def __init__(self, now_ms: int) -> None:
        self.set(now_ms)

    def set(self, now_ms: int) -> None:
        self._zero_ms = now_ms - time.monotonic_ns() // 1_000_000

    def now_ms(self) -> int:
        return self._zero_ms + time.monotonic_ns() // 1_000_000


class Watched:
    """An aggregator inside this process, with a clock of the test's."""

    def __init__(self, folder: Path, clock: LeapingClock) -> None:
        self.clock = clock
        self._options = Options(folder / "config", folder / "data", ("127.0.0.1", 0))
        self.app: App

    async def start(self) -> None:
        self.app = App(self._options, self.clock)
        await self.app.start()

    async def restart(self) -> None:
        await self.app.stop()
        await self.start()

    async def up_is(self, value: float, seconds: float = 15.0) -> None:
        """Until that is what a query about now says, of a sample no older than three seconds."""
        async with asyncio.timeout(seconds * PATIENCE):
            while True:
                found = (await asyncio.to_thread(self.app.query, NOW_UP, self.clock.now_ms())).value
                if isinstance(found, Vector) and [sample for _, sample in found] == [value]:
                    return
                await asyncio.sleep(0.05)


async def test_a_clock_that_leaps_tells_nobody_anything_and_keeps_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1970 at boot, then today; a year too far and back, with a restart in each; an hour back. One outage in it all."""
    monkeypatch.setattr(rule_manager, "SETTLE_MS", 2000)
    today = 1_800_000_000_000
    with NodePage() as node, HttpReceiver() as phone:
        write_config(tmp_path / "config", node_port=node.port, url=phone.url())
        alerting = tmp_path / "config" / "alerting.yaml"
        alerting.write_text(alerting.read_text().replace("repeat_interval: 1h", "repeat_interval: 10000h"))
        watched = Watched(tmp_path, LeapingClock(20_000))
        await watched.start()
        try:
            await watched.up_is(1)
            watched.clock.set(today)
            await watched.up_is(1)
            await asyncio.to_thread(node.down)
            await asyncio.to_thread(phone.wait_for, 1, 15)
            for leap_ms in (YEAR_MS, -YEAR_MS, -3_600_000):
                watched.clock.set(watched.clock.now_ms() + leap_ms)
                await watched.up_is(0)
                await asyncio.sleep(1)
                await watched.restart()
                await watched.up_is(0)
                (alert,) = watched.app.active_alerts()
                assert alert.state == "firing"
                assert alert.active_ms <= watched.clock.now_ms()
            await asyncio.to_thread(node.up)
            await watched.up_is(1)
            await asyncio.to_thread(phone.wait_for, 2, 15)
            await asyncio.sleep(1)
            assert [title.split()[0] for title in phone.titles()] == ["DOWN", "RESOLVED"]
            stats = await asyncio.to_thread(watched.app.store.stats)
            assert (stats.frames_refused, stats.rows_lost, stats.chunks_lost) == (0, 0, 0)
            assert stats.oldest_ms is not None
            assert stats.oldest_ms < 60_000  # what 1970 has seen is there
        finally:
            await watched.app.stop()
