"""From a killed container to the notification a receiver took: ``python -m tests.bench.bench_container_kill [KILLS]``.

A Docker Engine, an exporter and an aggregator as they are shipped: scrapes each 5 s, rules of ``config/rules``,
messages gathered for 300 ms. Beside it, on the same kills, Debian's Prometheus and Alertmanager at 1 s each, without
gathering.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.acceptance.exporter_process import ROOT, exporter
from tests.bench.prometheus_peer import MISSING, available, free_port, program, prometheus, wait_ready
from tests.support.aggregator import Aggregator
from tests.support.dockerd import Dockerd, dockerd
from tests.support.receiver import HttpReceiver, Post

PATIENCE = 20.0
CLUSTER = """\
cluster: test
network: {{cidr: 127.0.0.0/8, router: {{address: 127.0.0.254}}}}
tiers: {{1: Only}}
nodes:
  ONE:
    address: 127.0.0.1
    tier: 1
    board: generic
    memory: 8GiB
    disk: 1TB
    exporter_port: {port}
    services:
{services}
"""
# By container: else each would wait until the message before it is 15 s old.
ALERTING = """\
timing: {{scrape_interval: 5s, scrape_timeout: 4s, evaluation_interval: 5s}}
external_url: http://hub.test:9190
rule_files: [rules/*.yml]
route:
  {{receiver: phone, group_by: [node, name], group_wait: 300ms, group_interval: 15s, repeat_interval: 12h}}
receivers:
  - name: phone
    apprise: [{{url: "{url}"}}]
"""
PROMETHEUS = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [{folder}/rules.yml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["127.0.0.1:{alertmanager}"]}}]}}]}}
scrape_configs: [{{job_name: node, static_configs: [{{targets: ["127.0.0.1:{exporter}"]}}]}}]
"""
PEER_RULES = """\
groups:
  - name: container
    rules:
      - {alert: ContainerDied, expr: tierwatch_container_wanted_died == 1}
"""
ALERTMANAGER = """\
route: {{receiver: hook, group_by: [name], group_wait: 0s, group_interval: 15s}}
receivers: [{{name: hook, webhook_configs: [{{url: "http://127.0.0.1:{port}/hook"}}]}}]
"""


@dataclass(frozen=True, slots=True)
class Result:
    """Seconds from the kill to the notification, ascending; ``pushed``: titles of all that the phone got."""

    ours: Sequence[float]
    theirs: Sequence[float]
    pushed: Sequence[str]


def measure(kills: int, *, beside: bool, restart: bool = False) -> Result:
    """``beside``: with Prometheus and Alertmanager. ``restart``: one more container is restarted cleanly between."""
    names = [f"app{number}" for number in range(kills)]
    with TemporaryDirectory() as folder, HttpReceiver() as phone, HttpReceiver() as hook, dockerd() as daemon:
        config = _configure(Path(folder), [*names, "steady"], phone)
        for name in (*names, "steady"):
            daemon.run(name, "--", "sleep", "10000")
        port = _port_of(config)
        options = ["--config", str(config), "--node", "ONE", "--docker.socket", str(daemon.socket)]
        with exporter(*options, "--listen", f"127.0.0.1:{port}"), Aggregator(Path(folder)) as aggregator:
            aggregator.start()
            peer = _peer(Path(folder) / "peer", port, hook.port) if beside else nullcontext()
            with peer:
                time.sleep(3)
                if restart:
                    daemon.docker("restart", "-t", "0", "steady")
                times = [_kill(daemon, name, phone, hook if beside else None) for name in names]
        ours, theirs = sorted(time[0] for time in times), sorted(time[1] for time in times if time[1])
        return Result(ours, theirs, phone.titles())


def _configure(folder: Path, names: Sequence[str], phone: HttpReceiver) -> Path:
    config = folder / "config"
    shutil.copytree(ROOT / "config" / "rules", config / "rules")
    services = "\n".join(f"      {name}: {{kind: process, container: {name}}}" for name in names)
    (config / "cluster.yaml").write_text(CLUSTER.format(port=free_port(), services=services))
    (config / "alerting.yaml").write_text(ALERTING.format(url=phone.url()))
    return config


def _port_of(config: Path) -> int:
    return int((config / "cluster.yaml").read_text().partition("exporter_port: ")[2].split()[0])


def _kill(daemon: Dockerd, name: str, phone: HttpReceiver, hook: HttpReceiver | None) -> tuple[float, float]:
    """Seconds until each was told."""
    process = int(daemon.docker("inspect", "-f", "{{.State.Pid}}", name))
    time.sleep(random.uniform(0.2, 1.5))
    begun = time.monotonic()
    os.kill(process, signal.SIGKILL)
    ours = _first(phone, lambda post: f"{name} died" in json.dumps(post.json), begun)
    return ours, _first(hook, lambda post: f'"name": "{name}"' in json.dumps(post.json), begun) if hook else 0.0


def _first(receiver: HttpReceiver, fits: Callable[[Post], bool], begun: float) -> float:
    while time.monotonic() - begun < PATIENCE:
        for post in list(receiver.posts):
            if fits(post):
                return post.at - begun
        time.sleep(0.005)
    raise AssertionError(f"not told within {PATIENCE:g} s; told were {receiver.titles()}")


@contextmanager
def _peer(folder: Path, exporter_port: int, hook_port: int) -> Iterator[None]:
    folder.mkdir()
    port = free_port()
    (folder / "rules.yml").write_text(PEER_RULES)
    (folder / "alertmanager.yml").write_text(ALERTMANAGER.format(port=hook_port))
    words = [
        str(program("prometheus-alertmanager")),
        f"--config.file={folder}/alertmanager.yml",
        f"--storage.path={folder}/alertmanager",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    config = PROMETHEUS.format(folder=folder, alertmanager=port, exporter=exporter_port)
    with (folder / "alertmanager.log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        wait_ready(process, f"http://127.0.0.1:{port}", folder / "alertmanager.log")
        with prometheus(folder / "data", config):
            yield
    finally:
        process.terminate()
        process.wait(20)


def told(times: Sequence[float]) -> str:
    if not times:
        return "not measured"
    late = times[min(len(times) - 1, int(len(times) * 0.95))]
    return f"median {statistics.median(times):.2f} s, 95 of 100 within {late:.2f} s, worst {times[-1]:.2f} s"


def figures(result: Result) -> Mapping[str, str]:
    return {
        "ours, scrapes each 5 s": told(result.ours),
        "Prometheus and Alertmanager at 1 s": told(result.theirs),
    }


if __name__ == "__main__":
    beside_them = available() and program("prometheus-alertmanager") is not None
    if not beside_them:
        print(MISSING)
    found = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 40, beside=beside_them)
    print(f"{len(found.ours)} containers killed, until the notification was taken")
    for who, figure in figures(found).items():
        print(f"  {who}: {figure}")
