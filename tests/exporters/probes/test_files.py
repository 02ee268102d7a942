from __future__ import annotations

import asyncio
import gc
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from exporters.catalog import services as catalog
from exporters.probes import files
from exporters.probes.verdict import Reason, State, Verdict, unknown
from exporters.probes.watch import outcome
from tests.exporters.probes.support import LONG, figure, probe

NOW = 1_795_000_000.0
DAY = 86400.0


@pytest.fixture(autouse=True)
def today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporters.clock.wall", lambda: NOW)


def write(path: Path, age: float, size: int = 1000) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (NOW - age, NOW - age))
    return path


async def ask(folder: Path, kind: str = "backup-coordination", **more: Any) -> Verdict:
    return await outcome(probe(kind, 0, **{"files": (f"{folder}/*.dump",), **more}), LONG)


async def test_a_fresh_backup(tmp_path: Path) -> None:
    write(tmp_path / "old.dump", 2 * DAY)
    write(tmp_path / "new.dump", 3600, 1200)
    write(tmp_path / "next.dump.partial", 1)
    verdict = await ask(tmp_path, max_age=1.5 * DAY, min_size=500)
    assert (verdict.state, verdict.reason) == (State.UP, None)
    assert figure(verdict, catalog.BACKUP_TIME, f"{tmp_path}/*.dump") == NOW - 3600
    assert figure(verdict, catalog.BACKUP_SIZE, f"{tmp_path}/*.dump") == 1200.0


@pytest.mark.parametrize(
    ("age", "size", "reason"),
    [(1.6 * DAY, 1000, Reason.STALE), (3600, 400, Reason.TOO_SMALL), (3600, 10, Reason.TOO_SMALL)],
)
async def test_a_backup_that_is_not_what_it_should_be(tmp_path: Path, age: float, size: int, reason: Reason) -> None:
    for number in range(2, 6):
        write(tmp_path / f"{number}.dump", number * DAY)
    write(tmp_path / "1.dump", age, size)
    verdict = await ask(tmp_path, max_age=1.5 * DAY)
    assert (verdict.state, verdict.reason) == (State.DEGRADED, reason)


async def test_no_backup_at_all(tmp_path: Path) -> None:
    """A disk that is not mounted looks so too."""
    for folder in (tmp_path, tmp_path / "not" / "mounted"):
        verdict = await ask(folder)
        assert (verdict.state, verdict.reason) == (State.DEGRADED, Reason.MISSING)


@pytest.mark.parametrize(
    ("text", "reason", "lines"), [("", None, 0), ("# nothing\n\n", None, 0), ("a\nb\n", Reason.DRIFT, 2)]
)
async def test_configuration_management(tmp_path: Path, text: str, reason: Reason | None, lines: int) -> None:
    write(tmp_path / "last.dump", 3600)
    (tmp_path / "drift").write_text(text)
    verdict = await ask(tmp_path, "configuration-management", drift=str(tmp_path / "drift"), max_age=DAY)
    assert verdict.reason is reason
    assert figure(verdict, catalog.DRIFT_ITEMS) == lines
    assert figure(verdict, catalog.RUN_TIME, f"{tmp_path}/*.dump") == NOW - 3600


async def test_a_fallback_whose_model_is_gone(tmp_path: Path) -> None:
    assert (await ask(tmp_path, "offline-fallback")).reason is Reason.MISSING
    write(tmp_path / "model.dump", 900 * DAY)
    assert (await ask(tmp_path, "offline-fallback")).state is State.UP


async def test_a_folder_that_is_stuck_keeps_one_thread_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    release, entered = threading.Event(), []

    def stuck(pattern: str) -> files.Found:
        entered.append(pattern)
        release.wait(LONG)
        return files.Found(((NOW, 1),))

    monkeypatch.setattr(files, "look", stuck)
    asked = probe("backup-coordination", 0, files=("/nfs/*",))
    for _ in range(3):
        verdict = await outcome(asked, 0.05)
        assert (verdict.state, verdict.reason) == (State.DOWN, Reason.TIMEOUT)
    async with asyncio.timeout(LONG):
        while not entered:  # noqa: ASYNC110  # its thread tells nobody that it has begun
            await asyncio.sleep(0.005)
    assert (await outcome(asked, 0.05)).reason is Reason.TIMEOUT
    assert len(entered) == 1
    release.set()
    async with asyncio.timeout(LONG):
        while (verdict := await outcome(asked, 0.5)).state is not State.UP:
            pass
    assert len(entered) <= 2


async def test_a_list_of_differences_that_is_stuck_keeps_one_thread_too(tmp_path: Path) -> None:
    write(tmp_path / "last.dump", 3600)
    drift = tmp_path / "drift"
    os.mkfifo(drift)  # opening it waits for a writer
    before = set(threading.enumerate())
    kind, patterns = "configuration-management", (f"{tmp_path}/*.dump",)
    asked = probe(kind, 0, files=patterns, drift=str(drift), max_age=DAY)
    checks, end = 0, None
    async with asyncio.timeout(LONG):
        while end is None:
            assert (await outcome(asked, 0.05)).reason is Reason.TIMEOUT
            stuck = set(threading.enumerate()) - before
            assert len(stuck) <= 1
            checks += 1
            if checks >= 4:
                end = end_to_write(drift)
    os.close(end)
    assert len(stuck) == 1
    for thread in stuck:
        await asyncio.to_thread(thread.join, LONG)
        assert not thread.is_alive()


def end_to_write(pipe: Path) -> int | None:
    """Open it; None when nobody waits at its other end yet."""
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None


async def test_an_answer_that_nobody_waits_for_any_more_is_no_fault_of_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release, told = threading.Event(), []

    def refused(_: str) -> files.Found:
        release.wait(LONG)
        raise unknown(Reason.NOT_PERMITTED)

    monkeypatch.setattr(files, "look", refused)
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    asked = probe("backup-coordination", 0, files=("/nfs/*",))
    assert (await outcome(asked, 0.05)).reason is Reason.TIMEOUT
    assert isinstance(asked, files.Files)
    reading = asked._reading
    assert reading is not None
    release.set()
    await asyncio.wait([reading])
    del asked, reading
    gc.collect()
    assert told == []
