"""Real stores that take remote write and answer Prometheus' HTTP API: started on a free port, killed, started again."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Literal

from tests.support.machine import PATIENCE
from tests.support.peers import need
from tests.support.ports import free_port

Kind = Literal["prometheus", "victoria-metrics"]
KINDS: tuple[Kind, ...] = ("prometheus", "victoria-metrics")


class RemotePeer:
    """``folder`` is its own; what it holds stays there between two starts. Use as a context manager."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        self.kind = kind
        self._program = need(kind)
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "prometheus.yml").write_text("global: {}\n", encoding="utf-8")
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.write_url = f"{self.url}/api/v1/write"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        address = f"127.0.0.1:{self._port}"
        options = {
            "prometheus": [
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=data",
                "--storage.tsdb.retention.time=100y",
                "--web.enable-remote-write-receiver",
                f"--web.listen-address={address}",
            ],
            "victoria-metrics": ["-storageDataPath=data", "-retentionPeriod=100y", f"-httpListenAddr={address}"],
        }[self.kind]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([self._program, *options], cwd=self._folder, stdout=log, stderr=log)
        end = time.monotonic() + 30 * PATIENCE
        ready = "/-/ready" if self.kind == "prometheus" else "/health"
        while time.monotonic() < end and self._process.poll() is None:
            try:
                with urllib.request.urlopen(self.url + ready, timeout=2) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"{self.kind} did not get ready:\n{(self._folder / 'log').read_text(errors='replace')}")

    def kill(self) -> None:
        """As a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=20 * PATIENCE)

    def go_away(self) -> None:
        """As roughly as it can without forgetting what it took: VictoriaMetrics has no log and forgets seconds."""
        if self.kind == "prometheus" or self._process is None:
            self.kill()
        else:
            self._process.terminate()
            self._process.wait(timeout=20 * PATIENCE)

    def settle(self) -> None:
        """What was taken is found from now on: VictoriaMetrics shows it after a second or so unless it is asked to."""
        if self.kind == "victoria-metrics":
            with urllib.request.urlopen(f"{self.url}/internal/force_flush", timeout=10 * PATIENCE):
                pass

    def ask(self, path: str, **parameters: object) -> Any:
        """The data of an answer of its API."""
        text = urllib.parse.urlencode(parameters, doseq=True)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{text}", timeout=10 * PATIENCE) as answer:
            return json.load(answer)["data"]

    def __enter__(self) -> RemotePeer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
