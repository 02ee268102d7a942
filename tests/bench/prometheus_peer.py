"""Debian's Prometheus beside us: where it is, how it is fed, started, asked and measured."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.peers import FETCHED
from tests.support.ports import free_port

MISSING = "prometheus and promtool are not on this machine (sh tests/support/fetch_peers.sh): ours alone is shown"
_TICKS = os.sysconf("SC_CLK_TCK")


def program(name: str) -> str | None:
    fetched = FETCHED / name
    return str(fetched) if fetched.exists() else shutil.which(name)


def available() -> bool:
    return program("prometheus") is not None and program("promtool") is not None


@dataclass(frozen=True, slots=True)
class Running:
    """A program that answers at ``base`` (http://HOST:PORT)."""

    pid: int
    base: str

    def cpu_seconds(self) -> float:
        """User and system time of the process since its start."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def cpu_of_threads(self) -> float:
        """The same in seconds to the microsecond, of the threads that live: for the difference of two readings."""
        spent = 0
        for file in Path(f"/proc/{self.pid}/task").glob("*/schedstat"):
            with suppress(OSError):
                spent += int(file.read_text().split()[0])
        return spent / 1e9

    def resident_bytes(self) -> int:
        """What it holds in memory that is its own; pages of mapped files (Prometheus maps its blocks) are left out."""
        return self._status("RssAnon") + self._status("RssShmem")

    def mapped_bytes(self) -> int:
        """Pages of files in its resident memory: its code, and blocks it has read lately."""
        return self._status("RssFile")

    def peak_bytes(self) -> int:
        return self._status("VmHWM")

    def _status(self, field: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
        return 0


def import_openmetrics(texts: Iterable[Iterable[str]], data: Path) -> None:
    """Blocks made by promtool of OpenMetrics texts, each of two hours at most: it reads a text once for each block."""
    data.mkdir(parents=True, exist_ok=True)
    for pieces in texts:
        page = data.parent / "import.om"
        with page.open("w", encoding="utf-8") as file:
            file.writelines(pieces)
        command = [str(program("promtool")), "tsdb", "create-blocks-from", "openmetrics", str(page), str(data)]
        subprocess.run(command, check=True, capture_output=True)
        page.unlink()


@contextmanager
def prometheus(data: Path, config: str, options: Sequence[str] = ()) -> Iterator[Running]:
    """A Prometheus over a data folder. ``config`` is the text of prometheus.yml."""
    data.mkdir(parents=True, exist_ok=True)
    file = data.parent / "prometheus.yml"
    file.write_text(config, encoding="utf-8")
    port = free_port()
    words = [
        str(program("prometheus")),
        f"--config.file={file}",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
        *options,
    ]
    with (data.parent / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        yield Running(process.pid, wait_ready(process, f"http://127.0.0.1:{port}", data.parent / "prometheus.log"))
    finally:
        process.terminate()
        process.wait(60)


def wait_ready(process: subprocess.Popen[bytes], base: str, log: Path, seconds: float = 60) -> str:
    """Until it answers; ends the bench with its log when it does not."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{base}/-/ready", timeout=2):
                return base
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"{base} does not answer:\n{log.read_text(errors='replace')}")
