"""The demo's folder and its socket: refused in words, never shared with somebody else."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

import tierwatch
from deploy.demo.control import Control
from deploy.demo.processes import DemoError
from deploy.demo.run import Demo, run_until_interrupted


async def order(_verb: str, _node: str) -> str:
    return ""


async def test_a_folder_that_is_somebody_elses_is_refused_and_nothing_is_written_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    folder = tmp_path / "tierwatch-demo-0"
    folder.symlink_to(theirs)
    assert await run_until_interrupted(folder) == 1
    assert f"{folder}: cannot be made afresh (File exists)" in capsys.readouterr().err
    assert list(theirs.iterdir()) == []
    folder.unlink()
    folder.write_text("a file")
    with pytest.raises(DemoError, match="XDG_RUNTIME_DIR"):
        await Demo(folder).start()


async def test_nobody_else_may_look_into_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.demo.run.check_free", _taken)
    folder = tmp_path / "missing" / "tierwatch-demo-0"
    old = os.umask(0)
    try:
        with pytest.raises(DemoError, match="taken"):
            await Demo(folder).start()
    finally:
        os.umask(old)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_a_socket_path_that_is_too_long_is_named(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 120)
    with pytest.raises(DemoError, match="cannot be listened on: AF_UNIX path too long"):
        await Control(path, order).start()


def test_an_interrupt_before_a_verb_listens_for_it_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(asyncio, "run", interrupted)
    monkeypatch.setattr("deploy.demo.run.run_until_interrupted", lambda: None)
    assert tierwatch.main(["demo"]) == 130


def _taken(_: object) -> None:
    raise DemoError("taken")
