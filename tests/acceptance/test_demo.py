"""``tierwatch demo`` as a person runs it: seven exporters, the aggregator, one push, one resolved, nothing left."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.machine import PATIENCE, slack
from tests.support.peers import ROOT, lacking

pytestmark = pytest.mark.acceptance


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A home of its own for the demo's state, so that a person's running demo is not disturbed by its socket."""
    if not _free():
        lacking("127.0.1.1:9191 is not free: a demo or something else listens there")
    yield {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    assert _left_over(tmp_path) == []


def _free() -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.1.1", 9191))
        except OSError:
            return False
    return True


def _left_over(folder: Path) -> list[str]:
    """Command lines of processes that were started for this folder's demo and still run."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if any(str(folder) in word for word in words):
                found.append(" ".join(words))
    return found


def _tierwatch(
    *words: str, environment: dict[str, str], seconds: float = 60.0 * PATIENCE
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tierwatch", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def test_a_node_that_fails_is_one_push_within_20_seconds_and_its_return_one_resolved(
    environment: dict[str, str],
) -> None:
    began = time.monotonic()
    done = _tierwatch("demo", "--once", "node-down", environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - began < 100 + slack()
    found = re.search(r"AGX0 killed  -> notification after +(\d+\.\d) s", done.stdout)
    assert found is not None
    assert float(found.group(1)) < 20
    assert "DOWN AGX0 (tier 2, AI processing)" in done.stdout
    assert "Chat degraded" in done.stdout
    assert "Code analysis broken" in done.stdout
    assert done.stdout.count("┌ DOWN AGX0") == 1
    assert done.stdout.count("┌ RESOLVED AGX0") == 1


def test_it_is_up_within_a_minute_takes_orders_and_leaves_nothing_behind(environment: dict[str, str]) -> None:
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "tierwatch", "demo"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        try:
            line = next(line for line in demo.stdout if "the page:" in line)
            assert time.monotonic() - began < 60 + slack()
            assert "http://127.0.1.5:9190/" in line
            assert "demo fail AGX0" in line

            failed = _tierwatch("demo", "fail", "PI31", environment=environment)
            assert failed.returncode == 0
            assert "PI31 is down" in failed.stdout
            again = _tierwatch("demo", "fail", "PI31", environment=environment)
            assert again.returncode == 1
            assert "tierwatch demo heal PI31" in again.stderr
            unknown = _tierwatch("demo", "fail", "PI99", environment=environment)
            assert unknown.returncode == 1
            assert "there are PI51, AGX0" in unknown.stderr
            assert _tierwatch("demo", "heal", "PI31", environment=environment).returncode == 0

            second = _tierwatch("demo", environment=environment)
            assert second.returncode == 1
            assert "a demo is running already" in second.stderr
            elsewhere = {**environment, "XDG_RUNTIME_DIR": str(ROOT / "tests" / "no-such-folder")}
            refused = _tierwatch("demo", "fail", "PI31", environment=elsewhere)
            assert refused.returncode == 1
            assert "no demo is running" in refused.stderr
        finally:
            demo.send_signal(signal.SIGINT)
            demo.wait(30 * PATIENCE)
        assert demo.returncode == 0
        assert "nothing is left running" in demo.stdout.read()


def test_killed_outright_it_still_leaves_nothing_behind(environment: dict[str, str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tierwatch", "demo"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        next(line for line in demo.stdout if "the page:" in line)
        demo.kill()
        demo.wait(10 * PATIENCE)
    deadline = time.monotonic() + 15 * PATIENCE
    while _left_over(Path(environment["XDG_RUNTIME_DIR"])):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    # And the next one starts at once.
    done = _tierwatch("demo", "--once", "node-down", environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
