"""A real Prometheus that holds given samples."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alerting.model.labels import METRIC_NAME, Labels, quote
from alerting.promql.value import format_value
from tests.support.machine import PATIENCE
from tests.support.peers import need
from tests.support.ports import free_port

Data = Mapping[Labels, Sequence[tuple[int, float]]]


def openmetrics(series: Data) -> str:
    """Samples (milliseconds, value) as OpenMetrics text."""
    lines = []
    last = ""
    for labels in sorted(series, key=lambda item: (item.metric_name, item)):
        if labels.metric_name != last:
            last = labels.metric_name
            lines.append(f"# TYPE {last} unknown")
        inner = ",".join(f"{name}={quote(text)}" for name, text in labels if name != METRIC_NAME)
        lines += [f"{last}{{{inner}}} {format_value(value)} {at / 1000:.3f}" for at, value in series[labels]]
    return "\n".join([*lines, "# EOF", ""])


def ask(base: str, path: str, **parameters: object) -> Any:
    """The answer of its API, whatever the status."""
    try:
        with urllib.request.urlopen(
            f"{base}{path}?{urllib.parse.urlencode(parameters)}", timeout=10 * PATIENCE
        ) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return json.load(error)


@contextmanager
def prometheus_with(series: Data, home: Path) -> Iterator[str]:
    """Its address. ``home`` is an empty folder."""
    with prometheus_holding(openmetrics(series), home) as base:
        yield base


@contextmanager
def prometheus_holding(text: str, home: Path) -> Iterator[str]:
    """The same of OpenMetrics text; its blocks are in ``home / "data"``."""
    program, promtool = need("prometheus"), need("promtool")
    (home / "data.om").write_text(text, encoding="utf-8")
    (home / "prometheus.yml").write_text("global: {}\n", encoding="utf-8")
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", "data.om", "data"]
    subprocess.run(command, cwd=home, check=True, capture_output=True, timeout=60 * PATIENCE)
    port = free_port()
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=data",
                "--storage.tsdb.retention.time=100y",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            cwd=home,
            stdout=log,
            stderr=log,
        )
        try:
            _wait_until_ready(process, f"http://127.0.0.1:{port}", home / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=20 * PATIENCE)


def _wait_until_ready(process: subprocess.Popen[bytes], base: str, log: Path) -> None:
    end = time.monotonic() + 30 * PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{base}/-/ready", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"Prometheus did not get ready:\n{log.read_text(errors='replace')}")
