"""How long until somebody is told: from the failure to the notification that a loopback receiver accepted, with the
shipped rules, the real aggregator and real exporters. As root (network namespaces, a booted systemd).

    python -m tests.bench.bench_instant vanish 10 | exporter 5 | unit 40 | quiet 600 | cost 60
"""

from __future__ import annotations

import random
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.acceptance.exporter_process import cpu_seconds, exporter
from tests.support.aggregator import Aggregator
from tests.support.far_cluster import FarCluster, far_cluster, write_alerting
from tests.support.real_systemd import RealSystemd, real_systemd
from tests.support.receiver import HttpReceiver

_UNIT_CLUSTER = """\
cluster: units
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
    services: {{web: {{kind: process, title: Web, unit: web.service}}}}
"""


def tell(what: str, times: Sequence[float]) -> None:
    """In seconds."""
    ordered = sorted(times)
    late = ordered[max(0, -(-95 * len(ordered) // 100) - 1)]
    print(
        f"{what}: {len(times)} times, median {statistics.median(times):.2f} s, "
        f"95th percentile {late:.2f} s, least {ordered[0]:.2f} s, most {ordered[-1]:.2f} s"
    )


def until(condition: Callable[[], bool], seconds: float, words: Callable[[], str]) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(words())
        time.sleep(0.005)


def told(receiver: HttpReceiver, since: int, title: str, seconds: float) -> float:
    """When the first message after ``since`` whose title begins so was accepted."""

    def found() -> list[float]:
        return [post.at for post in receiver.posts[since:] if post.json["title"].startswith(title)]

    until(lambda: bool(found()), seconds, lambda: f"no {title}: {receiver.titles()}")
    return found()[0]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def vanish(cluster: FarCluster) -> float:
    """One node's packets stop, at any moment of its beats; then they come again."""
    since, begun = len(cluster.receiver.posts), time.monotonic()
    cluster.wire.gone = {cluster.wire.node(1)}
    took = told(cluster.receiver, since, "DOWN N1", 20) - begun
    cluster.wire.gone = set()
    told(cluster.receiver, since, "RESOLVED", 30)
    cluster.until_open(cluster.nodes)
    return took


def kill_exporter(cluster: FarCluster) -> float:
    since, begun = len(cluster.receiver.posts), time.monotonic()
    cluster.kill_exporter(1)
    took = told(cluster.receiver, since, "DOWN N1", 20) - begun
    cluster.start_exporter(1)
    told(cluster.receiver, since, "RESOLVED", 30)
    cluster.until_open(cluster.nodes)
    return took


def repeat(what: str, count: int, nodes: int, once: Callable[[FarCluster], float]) -> None:
    chance = random.Random(3)
    with tempfile.TemporaryDirectory() as folder, far_cluster(Path(folder), nodes, "NodeDown") as cluster:
        times = []
        for _ in range(count):
            time.sleep(1 + chance.random())
            times.append(once(cluster))
    tell(what, times)


def units(count: int) -> None:
    chance = random.Random(4)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        receiver = stack.enter_context(HttpReceiver())
        systemd: RealSystemd = stack.enter_context(real_systemd())
        systemd.unit("web.service", "ExecStart=/bin/sleep infinity")
        systemd.systemctl("daemon-reload")
        systemd.systemctl("start", "web.service")
        config = folder / "config"
        write_alerting(config, receiver, "Unit.*")
        port = free_port()
        (config / "cluster.yaml").write_text(_UNIT_CLUSTER.format(port=port))
        words = ("--config", str(config), "--node", "ONE", "--listen", f"127.0.0.1:{port}")
        stack.enter_context(exporter(*words, "--path.rootfs", str(systemd.root)))
        aggregator = stack.enter_context(Aggregator(folder))
        aggregator.start()
        times = []
        for _ in range(count):
            time.sleep(1.5 + chance.random())
            since, begun = len(receiver.posts), time.monotonic()
            systemd.systemctl("kill", "-s", "KILL", "web.service")
            times.append(told(receiver, since, "DOWN", 20) - begun)
            systemd.systemctl("start", "web.service")
            told(receiver, since, "RESOLVED", 30)
    tell("a unit was killed", times)


def quiet(seconds: float) -> None:
    """5 % of the packets lost each way, up to 80 ms late, and an exporter killed and started again every 200 s."""
    with tempfile.TemporaryDirectory() as folder, far_cluster(Path(folder), 4) as cluster:
        cluster.wire.loss, cluster.wire.delay = 0.05, (0.0, 0.08)
        end = time.monotonic() + seconds
        restarts = 0
        while time.monotonic() < end:
            time.sleep(min(200.0, max(0.0, end - time.monotonic())))
            if time.monotonic() < end:
                cluster.kill_exporter(2)
                time.sleep(1)
                cluster.start_exporter(2)
                restarts += 1
        names = (
            "tierwatch_event_streams_silent_total",
            "tierwatch_nodes_gone_total",
            "tierwatch_scrape_failures_total",
        )
        counts = {name: cluster.aggregator.own_metric(name) for name in names}
        print(
            f"{seconds:.0f} s of a bad network, {cluster.wire.lost} packets lost, {restarts} restarts of an exporter: "
            f"told {cluster.receiver.titles()}; {counts}"
        )


def cost(seconds: float) -> None:
    """CPU of aggregator and exporter beside that without streams (an old exporter: /events is 404 there)."""
    with tempfile.TemporaryDirectory() as folder, far_cluster(Path(folder), 7) as cluster:
        time.sleep(5)
        hub, node = cluster.aggregator.process.pid, cluster.exporter_pid(1)
        before = cpu_seconds(hub), cpu_seconds(node)
        time.sleep(seconds)
        after = cpu_seconds(hub), cpu_seconds(node)
        streams = cluster.aggregator.own_metric("tierwatch_event_streams")
        shares = [100 * (end - begin) / seconds for begin, end in zip(before, after, strict=True)]
        print(
            f"{seconds:.0f} s, 7 nodes, {streams:.0f} streams: "
            f"aggregator {shares[0]:.2f} % of a core, exporter {shares[1]:.2f} %"
        )


def main(words: Sequence[str]) -> None:
    what, count = words[0], int(words[1])
    if what == "vanish":
        repeat("a node vanished", count, 3, vanish)
    elif what == "exporter":
        repeat("an exporter was killed", count, 3, kill_exporter)
    elif what == "unit":
        units(count)
    elif what == "quiet":
        quiet(count)
    else:
        cost(count)


if __name__ == "__main__":
    main(sys.argv[1:])
