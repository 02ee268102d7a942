from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

from alerting.clock import FakeClock
from alerting.dispatch.dispatcher import Dispatcher
from alerting.dispatch.store import open_database
from alerting.notify.children import Limits
from alerting.notify.deliverer import _LONGEST_SLEEP_S, Deliverer
from alerting.notify.message import Kind, Message
from alerting.notify.outbox import Outbox
from alerting.notify.sender import Delivery, FakeSender
from alerting.storage.database import Database
from alerting.storage.ports import StorageError
from config.secrets import Secret
from tests.alerting.dispatch.support import simple_policy

NOW = 1_700_000_000_000
A, B = Secret("json://a"), Secret("json://b")
URLS = {"phone": (A, B)}


class Scene:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = FakeClock(NOW)
        self.outbox = Outbox(database, URLS)
        self.sender = FakeSender()

    def queue(self, *titles: str) -> None:
        with self.database.transaction() as connection:
            for title in titles:
                self.outbox.queue(connection, "phone", "g", Message(title, "text", "info"), self.clock.now_ms())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Deliverer]:
        deliverer = Deliverer(self.outbox, self.sender, URLS, self.clock)
        task = asyncio.get_running_loop().create_task(deliverer.run())
        await until(lambda: deliverer._loop is not None)
        try:
            yield deliverer
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    def sent(self, url: Secret) -> list[str]:
        return [title for text, title, _ in self.sender.sent if text == url.reveal()]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    database = open_database(tmp_path / "alerts.db", NOW)
    database.pragma("synchronous=OFF")
    yield Scene(database)
    database.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the state is a database's, nothing signals it
            await asyncio.sleep(0.005)


def failed(scene: Scene) -> int:
    return scene.outbox.stats(NOW)["phone"].failed_attempts


async def test_everything_in_order_once_each_one_in_flight(scene: Scene) -> None:
    titles = [str(number) for number in range(20)]
    scene.queue(*titles)
    scene.sender.delay_s = 0.002
    async with scene.running():
        await until(lambda: len(scene.sender.sent) == 40)
        await asyncio.sleep(0.05)
    assert scene.sent(A) == scene.sent(B) == titles
    assert scene.sender.overlaps == 0
    assert scene.outbox.heads() == []


async def test_a_url_that_fails_delays_and_repeats_no_other(scene: Scene) -> None:
    scene.queue("one", "two")
    down = True

    def answer(url: str, _: str) -> Delivery:
        return Delivery("failed", "down") if down and url == A.reveal() else Delivery("delivered")

    scene.sender.answer = answer
    async with scene.running() as deliverer:
        await until(lambda: len(scene.sent(B)) == 2)
        for tries in range(1, 6):
            await until(lambda tries=tries: failed(scene) == tries)  # type: ignore[misc]
            scene.clock.advance(60)
            deliverer.kick()
        await until(lambda: failed(scene) == 6)
        assert scene.sent(A) == []
        down = False
        scene.clock.advance(60)
        deliverer.kick()
        await until(lambda: len(scene.sent(A)) == 2)
    assert (scene.sent(A), scene.sent(B)) == (["one", "two"], ["one", "two"])
    late = [body for url, _, body in scene.sender.sent if url == A.reveal()]
    assert late[0] == "(delayed 6m)\ntext"
    stats = scene.outbox.stats(scene.clock.now_ms())["phone"]
    assert (stats.delivered, stats.waiting) == (4, 0)
    assert stats.failed_attempts == 6


async def test_a_new_url_is_used_for_what_waits(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.sender.answer = lambda url, _: Delivery("delivered") if url == "json://c" else Delivery("failed", "no")
    scene.queue("one")
    async with scene.running() as deliverer:
        await until(lambda: scene.outbox.stats(NOW)["phone"].failed_attempts == 2)
        await deliverer.reload({"phone": (Secret("json://c"),)})
        await until(lambda: len(scene.sender.sent) == 1)
    assert [(row.url_number, row.state) for row in scene.outbox.journal()] == [(2, "lost"), (1, "delivered")]
    assert "json://" not in caplog.text


async def test_what_cannot_be_written_down_is_not_sent_again(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    record = Outbox.record
    failures = 2

    def broken(self: Outbox, *arguments: object) -> object:
        nonlocal failures
        if failures:
            failures -= 1
            raise StorageError("database or disk is full")
        return record(self, *arguments)  # type: ignore[arg-type]

    scene.queue("one")
    with (
        patch.object(Outbox, "record", broken),
        patch("alerting.notify.deliverer._AFTER_STORAGE_ERROR_S", 0.02),
        caplog.at_level(logging.CRITICAL),
    ):
        async with scene.running():
            await until(lambda: scene.outbox.heads() == [])
    assert len(scene.sender.sent) == 2


async def test_a_sender_that_raises_is_a_failed_try(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    def answer(_url: str, _title: str) -> Delivery:
        raise RuntimeError("json://very-secret")

    scene.sender.answer = answer
    scene.queue("one")
    with caplog.at_level(logging.CRITICAL):
        async with scene.running():
            await until(lambda: scene.outbox.stats(NOW)["phone"].failed_attempts == 2)
    assert {row.reason for row in scene.outbox.journal()} == {"internal error: RuntimeError"}


async def test_prepare_reaches_the_sender_and_is_harmless_before_the_start(scene: Scene) -> None:
    deliverer = Deliverer(scene.outbox, scene.sender, URLS, scene.clock)
    deliverer.kick()
    deliverer.prepare()
    async with scene.running() as running:
        await asyncio.to_thread(running.prepare)
        await until(lambda: scene.sender.prepared == 1)


async def test_the_sender_is_kept_ready_while_there_is_somebody_to_tell(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alerting.notify.deliverer._LONGEST_SLEEP_S", 0.01)
    async with scene.running() as deliverer:
        await until(lambda: scene.sender.prepared >= 3)
        await deliverer.reload({"page-only": ()})
        await asyncio.sleep(0.05)
        before = scene.sender.prepared
        await asyncio.sleep(0.1)
        assert scene.sender.prepared == before


def test_a_child_that_is_kept_ready_does_not_end_between() -> None:
    assert Limits().idle_s > 1.5 * _LONGEST_SLEEP_S


async def test_a_reload_is_refused_in_words_while_a_result_cannot_be_written(scene: Scene) -> None:
    scene.queue("one")

    def full(*_: object) -> str:
        raise StorageError("database or disk is full")

    with patch.object(scene.outbox, "record", full), patch("alerting.notify.deliverer._LAST_TRIES_S", 0.05):
        async with scene.running() as deliverer, asyncio.timeout(60):
            while not scene.sent(A):  # noqa: ASYNC110 - the sender is a fake that tells nobody
                await asyncio.sleep(0.01)
            for _ in range(2):
                with pytest.raises(StorageError, match=r"what became of a message .* disk is full"):
                    async with asyncio.timeout(20):
                        await deliverer.reload({"phone": (B,)})
    assert scene.sent(A) == ["one"]


async def test_a_reload_waits_for_a_try_in_flight(scene: Scene) -> None:
    scene.sender.delay_s = 0.5
    scene.queue("one")
    async with scene.running() as deliverer, asyncio.timeout(60):
        while not scene.sender.busy:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await deliverer.reload({"phone": (B,)})
        assert scene.sent(A) == ["one"]


async def test_a_reload_that_is_cancelled_tells_nobody_what_was_meant_for_others(scene: Scene) -> None:
    swapped = {"phone": (B, A)}
    begun, go = threading.Event(), threading.Event()
    adopt = scene.outbox.adopt

    def gated(urls: Mapping[str, Sequence[Secret]], now_ms: int) -> None:
        if urls is swapped:
            begun.set()
            assert go.wait(60)
        adopt(urls, now_ms)

    down = True
    scene.sender.answer = lambda url, _: Delivery("failed" if down and url == A.reveal() else "delivered")
    scene.queue("one")
    with patch.object(scene.outbox, "adopt", gated):
        async with scene.running() as deliverer:
            await until(lambda: scene.outbox.stats(NOW)["phone"].failed_attempts == 1 and scene.sent(B))
            down = False
            reload = asyncio.ensure_future(deliverer.reload(swapped))
            await until(begun.is_set)
            reload.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reload
            go.set()
            async with asyncio.timeout(60):
                while scene.outbox.heads():
                    deliverer.kick()
                    await asyncio.sleep(0.005)
    assert (scene.sent(A), scene.sent(B)) == (["one"], ["one"])


class Gated(FakeSender):
    """Delivers when the gate opens."""

    gate: asyncio.Event

    async def send(self, url: Secret, title: str, body: str, kind: Kind) -> Delivery:
        self.busy.add(url.reveal())
        await self.gate.wait()
        return await FakeSender.send(self, url, title, body, kind)


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_message_on_its_way_at_the_end_is_told_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, arrives: bool
) -> None:
    monkeypatch.setattr("alerting.notify.deliverer._LAST_TRIES_S", 60.0 if arrives else 0.01)
    scene.queue("one")
    sender = Gated()
    sender.gate = asyncio.Event()
    deliverer = Deliverer(scene.outbox, sender, URLS, scene.clock)
    task = asyncio.get_running_loop().create_task(deliverer.run())
    await until(lambda: len(sender.busy) == 2)
    task.cancel()
    await until(lambda: deliverer._loop is None)  # it is ending
    if arrives:
        sender.gate.set()
    await asyncio.wait({task}, timeout=60)
    assert task.cancelled()
    assert len(sender.sent) == (2 if arrives else 0)
    assert len(scene.outbox.heads()) == (0 if arrives else 2), "what did not arrive stays"


async def test_nothing_is_prepared_after_the_end(scene: Scene) -> None:
    deliverer = Deliverer(scene.outbox, scene.sender, URLS, scene.clock)
    loop = asyncio.get_running_loop()
    task = loop.create_task(deliverer.run())
    await until(lambda: deliverer._loop is not None)
    loop.call_soon(deliverer.prepare)  # in the same turn of the loop, a moment before it ends
    task.cancel()
    await asyncio.wait({task})
    await asyncio.sleep(0)
    assert scene.sender.prepared == 0


async def test_a_database_damaged_while_running_is_mended_and_what_waits_is_told(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.sender.answer = lambda _url, _title: Delivery("failed")
    scene.queue(*(f"message {number} " + "x" * 3000 for number in range(30)))
    dispatcher = Dispatcher(scene.database, scene.outbox, simple_policy(), scene.clock)
    scene.database.pragma("wal_checkpoint(TRUNCATE)")
    file = scene.database.path
    data = bytearray(file.read_bytes())
    data[len(data) - 6 * 4096 :] = b"\x55" * (6 * 4096)
    ((index,),) = scene.database.rows("SELECT rootpage FROM sqlite_master WHERE name = 'message_waiting'")
    data[(index - 1) * 4096 : index * 4096] = b"\x55" * 4096  # read first, by whoever looks for what is due
    file.write_bytes(data)
    scene.database.pragma("shrink_memory")
    deliverer = Deliverer(scene.outbox, scene.sender, URLS, scene.clock, on_damaged=dispatcher.mend)
    scene.sender.answer = lambda _url, _title: Delivery("delivered")
    task = asyncio.get_running_loop().create_task(deliverer.run())
    async with asyncio.timeout(60):
        while len(scene.sent(A)) < 20:  # noqa: ASYNC110 - the sender is a fake that tells nobody
            await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.wait({task})
    assert "messages were saved" in caplog.text
    assert len(list(file.parent.glob("alerts.db.corrupt-*"))) >= 1
    numbers = [int(title.split()[1]) for title in scene.sent(A)]
    assert numbers == sorted(set(numbers))
    assert scene.database.rows("PRAGMA integrity_check(1)") == [("ok",)]
