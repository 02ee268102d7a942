from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path

import aiohttp
import pytest

from deploy.demo.plan import Program
from deploy.demo.processes import DemoError, Running, check_free


def program(*command: str, port: int = 1) -> Program:
    return Program("test", command, ("127.0.0.1", port), f"http://127.0.0.1:{port}/")


def test_a_taken_address_is_named_with_who_wanted_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(DemoError, match=rf"127\.0\.0\.1:{port} for test: Address already in use"):
            check_free([program("true", port=port)])
        host, port = "127.0.0.1", 0
    check_free([Program("free", ("true",), (host, port), "")])


async def test_a_program_that_ends_at_once_is_told_with_its_last_words(tmp_path: Path) -> None:
    running = Running(program(sys.executable, "-c", "import sys; sys.exit('no such node')"), tmp_path / "log")
    await running.start()
    async with aiohttp.ClientSession() as session:
        with pytest.raises(DemoError, match="no such node"):
            await running.wait_up(session, 60)


async def test_stop_ends_what_was_started_and_is_harmless_twice(tmp_path: Path) -> None:
    running = Running(program(sys.executable, "-c", "import time; time.sleep(60)"), tmp_path / "log")
    await running.start()
    pid = running.pid
    os.kill(pid, 0)
    await running.stop()
    await running.stop()
    assert not running.alive
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_program_that_ignores_the_request_to_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.demo.processes._STOP_SECONDS", 0.3)
    ready = tmp_path / "ready"
    code = (
        "import signal, time, pathlib; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        f"pathlib.Path({str(ready)!r}).touch(); time.sleep(60)"
    )
    running = Running(program(sys.executable, "-c", code), tmp_path / "log")
    await running.start()
    while not ready.exists():
        assert running.alive
        await asyncio.sleep(0.01)
    await running.stop()
    assert not running.alive
