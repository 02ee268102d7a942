"""SIGHUP in any moment of a start: whoever edits the configuration twice in a row must not end what watches."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.acceptance.exporter_process import command
from tests.support.aggregator import Aggregator, write_config
from tests.support.machine import PATIENCE
from tests.support.node_page import NodePage

pytestmark = pytest.mark.acceptance
HANGUP = 1 << (signal.SIGHUP - 1)


def hang_up_until(process: subprocess.Popen[bytes], log: Path, text: str) -> int:
    """From the program's first line on, each few milliseconds, until its log has the text. How often it was sent."""
    deadline = time.monotonic() + 30 * PATIENCE
    times = 0
    while text not in log.read_text():
        assert process.poll() is None, f"ended with {process.returncode} after {times} signals:\n{log.read_text()}"
        assert time.monotonic() < deadline, log.read_text()
        if times or _minds_hang_up(process.pid):  # before it, the interpreter is still being loaded
            os.kill(process.pid, signal.SIGHUP)
            times += 1
        time.sleep(0.004)
    return times


def _minds_hang_up(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    masks = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("SigIgn", "SigCgt"))]
    return any(mask & HANGUP for mask in masks)


def test_an_aggregator_that_starts_survives_hang_ups_and_takes_the_edit(tmp_path: Path) -> None:
    with NodePage() as node, Aggregator(tmp_path) as aggregator:
        write_config(aggregator.config, node_port=node.port, url="json://127.0.0.1:9/")
        aggregator.launch()
        assert hang_up_until(aggregator.process, aggregator.log, 'msg="configuration taken"') > 20
        assert aggregator.stop() == 0


def test_an_exporter_survives_hang_ups_and_says_what_to_do(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(command("--listen", "127.0.0.1:0"), stderr=file)
    try:
        assert hang_up_until(process, log, "an exporter is restarted, not reloaded") > 5
        process.terminate()
        assert process.wait(10 * PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
