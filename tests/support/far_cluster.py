"""A small cluster behind a bad network: real exporters, the real aggregator with the shipped rules, a receiver."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.aggregator import Aggregator
from tests.support.bad_network import Wire, wire
from tests.support.machine import PATIENCE
from tests.support.receiver import HttpReceiver, Post
from tests.support.small_cluster import inventory

ROOT = Path(__file__).resolve().parents[2]
ALERTS = "ClusterUnreachable|Node.*|Exporter.*"


def write_alerting(folder: Path, receiver: HttpReceiver, alerts: str, interval: str = "5s") -> None:
    """The shipped rules, and the shipped alerting.yaml that tells the receiver of ``alerts`` (a regular expression)
    alone: the machine's own faults, its clock, its disk, are none of a test's. ``interval``: between two scrapes, and
    between two evaluations, unless an event says otherwise."""
    shutil.copytree(ROOT / "config" / "rules", folder / "rules")
    text = (ROOT / "config" / "alerting.yaml").read_text().replace("${TIERWATCH_PHONE_URL:-}", receiver.url())
    text = text.replace('matchers: [severity=~"info|none"]', f'matchers: [alertname!~"{alerts}"]')
    text = text.replace("interval: 5s", f"interval: {interval}")
    # So that "it is over" is told within a second.
    (folder / "alerting.yaml").write_text(text.replace("group_interval: 15s", "group_interval: 1s"))


@dataclass(frozen=True, slots=True)
class FarNode:
    """What a node has beside its own health: ``services`` of the inventory, ``options`` of its exporter."""

    services: Mapping[str, Mapping[str, Any]]
    options: Sequence[str] = ()


class FarCluster:
    """``N1`` to ``Nn`` on the far side of ``wire``; the aggregator and the receiver on this one."""

    def __init__(
        self, folder: Path, more: Mapping[int, FarNode], network: Wire, receiver: HttpReceiver, alerts: str
    ) -> None:
        """``more``: by the number of the node, all of them."""
        self.wire = network
        self.receiver = receiver
        self.nodes = len(more)
        self._more = more
        self.aggregator = Aggregator(folder)
        self._folder = folder
        self._exporters: dict[int, subprocess.Popen[bytes]] = {}
        self._write(alerts)

    def _write(self, alerts: str) -> None:
        folder = self.aggregator.config
        write_alerting(folder, self.receiver, alerts)
        net = self.wire.node(0).rsplit(".", 1)[0]
        nodes = {
            f"N{at}": {"address": self.wire.node(at), "services": dict(node.services)}
            for at, node in self._more.items()
        }
        (folder / "cluster.yaml").write_text(inventory(nodes, cidr=f"{net}.0/24", router=f"{net}.1"))

    def start_exporter(self, at: int, *, wait: bool = True) -> None:
        """``wait``: until it answers."""
        words = [sys.executable, "-m", "tierwatch", "exporter", "--config", str(self.aggregator.config)]
        log = (self._folder / f"exporter{at}.log").open("ab")
        with log:
            self._exporters[at] = subprocess.Popen(
                self.wire.command(*words, "--node", f"N{at}", *self._more[at].options), cwd=ROOT, stdout=log, stderr=log
            )
        if wait:
            self._answers(at)

    def kill_exporter(self, at: int) -> None:
        self._exporters[at].send_signal(signal.SIGKILL)
        self._exporters.pop(at).wait(10 * PATIENCE)

    def pause_exporter(self, at: int) -> None:
        """It stands still, as on a board that swaps, until it may continue."""
        self._exporters[at].send_signal(signal.SIGSTOP)

    def continue_exporter(self, at: int) -> None:
        self._exporters[at].send_signal(signal.SIGCONT)

    def exporter_pid(self, at: int) -> int:
        return self._exporters[at].pid

    def start(self) -> None:
        for at in range(1, self.nodes + 1):
            self.start_exporter(at, wait=False)
        for at in range(1, self.nodes + 1):
            self._answers(at)
        self.aggregator.start()
        self.until_open(self.nodes)

    def _answers(self, at: int) -> None:
        end = time.monotonic() + 20 * PATIENCE
        while True:
            try:
                with urllib.request.urlopen(f"http://{self.wire.node(at)}:9191/-/healthy", timeout=1):
                    return
            except OSError:
                assert time.monotonic() < end, (self._folder / f"exporter{at}.log").read_text()
                time.sleep(0.05)

    def until_open(self, streams: int, seconds: float = 10.0) -> None:
        """Until so many streams of events are open."""
        end = time.monotonic() + seconds * PATIENCE
        while self.aggregator.own_metric("tierwatch_event_streams") != streams:
            assert time.monotonic() < end, self.aggregator.log.read_text()
            time.sleep(0.05)

    def until_told(self, count: int, seconds: float) -> Post:
        """The message number ``count`` (from 1)."""
        end = time.monotonic() + seconds * PATIENCE
        while len(self.receiver.posts) < count:
            assert time.monotonic() < end, f"{self.receiver.titles()}\n{self.aggregator.log.read_text()}"
            time.sleep(0.02)
        return self.receiver.posts[count - 1]

    def stop(self) -> None:
        for process in self._exporters.values():
            process.terminate()
        for process in self._exporters.values():
            try:
                process.wait(10 * PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def far_cluster(
    folder: Path, nodes: int, alerts: str = ALERTS, more: Mapping[int, FarNode] | None = None
) -> Iterator[FarCluster]:
    """Running, all streams of events open, nothing told yet; ``alerts``: a regular expression, the others are not told;
    ``more``: what some of the ``nodes`` have. Skips where there can be no such network."""
    os.environ.pop("TIERWATCH_PHONE_URL", None)
    with ExitStack() as stack:
        network = stack.enter_context(wire(nodes))
        receiver = stack.enter_context(HttpReceiver())
        plain = dict.fromkeys(range(1, nodes + 1), FarNode({}))
        cluster = FarCluster(folder, {**plain, **(more or {})}, network, receiver, alerts)
        stack.callback(cluster.stop)
        stack.enter_context(cluster.aggregator)
        cluster.start()
        yield cluster
