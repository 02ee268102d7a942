"""Starts the exporter as its owner does, on a free loopback port."""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

from tests.support.machine import PATIENCE

ROOT = Path(__file__).resolve().parents[2]


class ExporterProcess:
    """A running exporter; ``url`` is where it listens."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self.process = process
        self.url = url

    def get(self, path: str = "/metrics", headers: Mapping[str, str] | None = None) -> bytes:
        with urlopen(Request(self.url + path, headers=dict(headers or {})), timeout=10 * PATIENCE) as answer:
            body: bytes = answer.read()
        return body

    def cpu_seconds(self) -> float:
        """User and system time of the process so far, to a hundredth."""
        return cpu_seconds(self.process.pid)

    def resident_bytes(self) -> int:
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def command(*options: str, node: str = "PI41") -> list[str]:
    words = ["exporter", "--config", str(ROOT / "config"), "--node", node]
    if "--config" not in options:
        # The shipped inventory's services have addresses outside this machine.
        words += ["--collector.disable", "services"]
    words += options
    return [sys.executable, str(ROOT / "tierwatch.py"), *words]


@contextmanager
def exporter(*options: str, environment: Mapping[str, str] | None = None) -> Iterator[ExporterProcess]:
    """Runs it until the block ends; on an idle machine it must have listened within 20 s and stop within 10 s."""
    words = command("--listen", "127.0.0.1:0", *options)
    process = subprocess.Popen(words, stderr=subprocess.PIPE, cwd=ROOT, env={**os.environ, **(environment or {})})
    try:
        yield ExporterProcess(process, f"http://{_address(process)}")
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=10 * PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise


def _address(process: subprocess.Popen[bytes]) -> str:
    """From its log, as a person would find it."""
    assert process.stderr is not None
    os.set_blocking(process.stderr.fileno(), False)
    text = b""
    end = time.monotonic() + 20 * PATIENCE
    with selectors.DefaultSelector() as selector:
        selector.register(process.stderr, selectors.EVENT_READ)
        while time.monotonic() < end:
            selector.select(0.2)
            text += process.stderr.read() or b""
            if found := re.search(rb"msg=listening address=(\S+)", text):
                return found[1].decode()
            if process.poll() is not None:
                break
    raise AssertionError(f"the exporter did not listen: {text.decode()}")
