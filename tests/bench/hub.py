"""Configurations for the aggregator under measurement, and the process itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from config.yamlfile import dump
from deploy.demo.plan import SHIPPED
from tests.bench.prometheus_peer import Running, wait_ready
from tests.support.ports import free_port
from tests.support.small_cluster import flow, inventory


def write_config(folder: Path, nodes: Mapping[str, tuple[str, int]], *, interval_s: float, rules: bool) -> None:
    """Nodes at (address, port), scraped and judged each ``interval_s``; the shipped rules, or none. Nobody is told."""
    folder.mkdir(parents=True)
    described = {
        name: {
            "address": address,
            "exporter_port": port,
            "services": {"web": {"kind": "http", "title": "Web", "port": 80}},
        }
        for name, (address, port) in nodes.items()
    }
    flows = {"web": flow("Web", "Does it work?", f"{next(iter(nodes))}/web")}
    (folder / "cluster.yaml").write_text(inventory(described, flows=flows))
    timing = dict.fromkeys(("scrape_interval", "scrape_timeout", "evaluation_interval"), f"{interval_s:g}s")
    alerting = {
        "timing": timing,
        "external_url": "http://127.0.0.1",
        "rule_files": ["rules/*.yml"] if rules else [],
        "route": {"receiver": "nobody"},
        "receivers": [{"name": "nobody"}],
    }
    (folder / "alerting.yaml").write_text(dump(alerting))
    (folder / "rules").symlink_to(SHIPPED / "rules")


def idle_config(folder: Path, *, rules: bool = False) -> None:
    """Nothing to do but to answer: one node that is asked once an hour, and rules as seldom or none."""
    write_config(folder, {"ONE": ("127.0.0.1", free_port())}, interval_s=3600, rules=rules)


@contextmanager
def hub(folder: Path, words: Sequence[str] = ("tierwatch", "aggregator")) -> Iterator[Running]:
    """The aggregator over ``folder/config`` and ``folder/data``, with the settings of its systemd unit. ``words``: the
    module that starts it and what comes before its options."""
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", *words, "--config", str(folder / "config"), "--data", str(folder / "data")]
    with (folder / "hub.log").open("wb") as log:
        environment = {**os.environ, "MALLOC_ARENA_MAX": "2"}
        process = subprocess.Popen([*command, "--listen", address], stdout=log, stderr=log, env=environment)
    try:
        yield Running(process.pid, wait_ready(process, f"http://{address}", folder / "hub.log"))
    finally:
        process.terminate()
        process.wait(60)
