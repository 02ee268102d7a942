from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exporters.sources.docker_engine import Engine, EngineFailed, NoSuchContainer
from tests.support.docker_daemon import container, daemon

# What answers does so long before this, on any machine; what hangs is given less.
PATIENCE = 20.0
HANGING = 0.3


@asynccontextmanager
async def engine(path: Path) -> AsyncIterator[Engine]:
    made = Engine(str(path), short=PATIENCE, long=PATIENCE)
    await made.open()
    try:
        yield made
    finally:
        await made.close()


@pytest.mark.parametrize(
    ("theirs", "oldest", "spoken"),
    [
        ("1.24", "1.12", "1.24"),
        ("1.41", "1.12", "1.41"),
        ("1.52", "1.44", "1.52"),
        ("1.60", "1.44", "1.52"),
        ("1.60", "1.55", ""),
        ("1.18", "1.12", ""),
        ("latest", "1.12", ""),
    ],
)
async def test_it_speaks_the_newest_version_that_both_know(
    tmp_path: Path, theirs: str, oldest: str, spoken: str
) -> None:
    async with daemon(tmp_path / "s", container("web"), api=theirs) as running, engine(running.path) as asked:
        running.oldest = oldest
        await asked.negotiate()
        assert asked.api == spoken
        assert asked.version == "20.10.24"
        assert [entry.name for entry in await asked.containers()] == ["web"]
        assert running.asked[-1] == (f"/v{spoken}" if spoken else "") + "/containers/json"


async def test_what_it_asks_for(tmp_path: Path) -> None:
    web = container("web")
    async with daemon(tmp_path / "s", web) as running, engine(running.path) as asked:
        await asked.negotiate()
        found = await asked.inspect(web["Id"])
        assert (found.name, found.state) == ("web", "running")
        with pytest.raises(NoSuchContainer):
            await asked.inspect("0" * 64)
        async with asked.events() as events:
            running.tell("die", web["Id"], exitCode="1")
            told = await anext(events)
        assert (told.action, told.id, told.exit_code) == ("die", web["Id"], 1)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("hang", "timeout"),
        ("close", "broken"),
        ("garbage", "answer"),
        ("truncated", "broken"),
        ("endless", "answer"),
        ("503", "answer"),
        ("not-http", "broken"),
    ],
)
async def test_a_daemon_that_misbehaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, reason: str
) -> None:
    async with daemon(tmp_path / "s") as running, engine(running.path) as asked:
        await asked.negotiate()
        running.fault["/containers/json"] = fault  # type: ignore[assignment]
        begun = time.monotonic()
        with monkeypatch.context() as impatient, pytest.raises(EngineFailed) as failure:
            if fault == "hang":
                impatient.setattr(asked, "_long", HANGING)
            await asked.containers()
        assert failure.value.reason == reason
        assert str(failure.value)
        assert time.monotonic() - begun < PATIENCE
        running.fault.clear()
        assert await asked.containers() == []


@pytest.mark.parametrize("fault", ["hang", "close", "503"])
async def test_a_stream_that_does_not_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    async with daemon(tmp_path / "s") as running, engine(running.path) as asked:
        if fault == "hang":
            monkeypatch.setattr(asked, "_long", HANGING)
        running.fault["/events"] = fault  # type: ignore[assignment]
        with pytest.raises(EngineFailed):
            async with asked.events():
                pytest.fail("it has not begun")


@pytest.mark.parametrize(("said", "reason"), [(b"[1]", "answer"), (b"", "broken")])
async def test_a_stream_that_breaks(tmp_path: Path, said: bytes, reason: str) -> None:
    async with daemon(tmp_path / "s") as running, engine(running.path) as asked:
        async with asked.events() as events:
            await running.listened.wait()
            running.say(said)
            if not said:
                await running.stop()
            with pytest.raises(EngineFailed) as failure:
                await anext(events)
        assert failure.value.reason == reason


async def test_no_daemon(tmp_path: Path) -> None:
    async with engine(tmp_path / "s") as asked:
        with pytest.raises(EngineFailed, match="No such file") as missing:
            await asked.negotiate()
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(tmp_path / "s"))  # the socket file of a daemon that was killed
        with pytest.raises(EngineFailed, match="refused") as refused:
            await asked.negotiate()
    assert (missing.value.reason, refused.value.reason) == ("missing", "refused")


async def test_a_socket_that_may_not_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(asyncio.get_running_loop(), "create_unix_connection", forbidden)
    async with engine(tmp_path / "s") as asked:
        with pytest.raises(EngineFailed, match="Permission denied") as failure:
            await asked.negotiate()
    assert failure.value.reason == "permission"


def test_only_get_is_ever_sent() -> None:
    """Whoever may write to the socket owns the machine."""
    text = Path(__file__).parents[3].joinpath("exporters/sources/docker_engine.py").read_text()
    assert "session.get(" in text
    assert not any(f".{verb}(" in text for verb in ("post", "put", "delete", "patch", "request", "ws_connect"))
