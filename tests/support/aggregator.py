"""The real aggregator as a process, over a small configuration whose parts a test may change."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.machine import PATIENCE
from tests.support.small_cluster import flow, one_node

RULES = """\
groups:
  - name: test
    rules:
      - alert: NodeDown
        expr: up{job="node"} == 0
        labels: {severity: critical}
        annotations: {summary: "{{ $labels.node }} is down"}
"""

ALERTING = """\
timing: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
external_url: http://hub.test:9190
route: {{receiver: phone, group_by: [node], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers:
  - name: phone
    apprise: [{{url: "{url}"}}]
"""


def write_config(folder: Path, *, node_port: int, url: str, rules: str = RULES) -> None:
    """A cluster of one node, one rule, one receiver."""
    (folder / "rules").mkdir(parents=True, exist_ok=True)
    web = {"web": {"kind": "http", "title": "Web", "port": 80}}
    flows = {"web": flow("Web", "Can people read?", "ONE/web")}
    (folder / "cluster.yaml").write_text(one_node(web, port=node_port, flows=flows))
    (folder / "alerting.yaml").write_text(ALERTING.format(url=url))
    (folder / "rules" / "test.yml").write_text(rules)


class Aggregator:
    """``start`` and ``kill`` as often as wanted: the data folder stays."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "config"
        self.data = folder / "data"
        self.log = folder / "aggregator.log"
        self.url = ""
        # Words before the command, such as unshare's.
        self.prefix: tuple[str, ...] = ()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the aggregator was not started"
        return self._process

    def launch(self, *more: str) -> None:
        """Start without waiting for anything."""
        command = [*self.prefix, sys.executable, "-m", "tierwatch", "aggregator", "--config", str(self.config)]
        command += ["--data", str(self.data), "--listen", "127.0.0.1:0", *more]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**os.environ, "TZ": "UTC"}
            )

    def start(self, seconds: float = 20.0 * PATIENCE) -> None:
        """Start and wait until it is ready."""
        self.launch()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            found = re.search(r"msg=watching .*address=(\S+)", self.log.read_text())
            if found:
                self.url = f"http://{found.group(1)}"
                if self._status("/-/ready") == 200:
                    return
            time.sleep(0.05)
        raise AssertionError(f"not ready after {seconds} s:\n{self.log.read_text()}")

    def kill(self) -> None:
        """As a power cut would."""
        self.process.kill()
        self.process.wait()

    def stop(self, seconds: float = 10.0 * PATIENCE) -> int:
        self.process.terminate()
        return self.process.wait(seconds)

    def reload(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=5 * PATIENCE) as answer:
            text = answer.read().decode()
            return json.loads(text) if answer.headers.get_content_type() == "application/json" else text

    def own_metric(self, name: str) -> float | None:
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics"), re.MULTILINE)
        return float(found.group(1)) if found else None

    def until_value(self, expression: str, seconds: float = 20.0 * PATIENCE) -> None:
        """Until a query has an answer."""
        path = "/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        end = time.monotonic() + seconds
        while not self.get(path)["data"]["result"]:
            assert time.monotonic() < end, f"{expression} has no value:\n{self.log.read_text()}"
            time.sleep(0.05)

    def _status(self, path: str) -> int:
        try:
            with urllib.request.urlopen(self.url + path, timeout=5 * PATIENCE) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def __enter__(self) -> Aggregator:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
