"""How long until somebody is told that a node or its exporter is gone, with the shipped rules, the real aggregator and
real exporters behind a network that can lose packets; and what the streams of events cost. As root.

    python -m tests.bench.bench_instant vanish 10 | exporter 5 | cost 60
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.acceptance.exporter_process import cpu_seconds
from tests.bench.alerting_peer import MISSING, can_tell, telling
from tests.bench.until_told import Act, Both, repeat, table
from tests.support.far_cluster import FarCluster, far_cluster
from tests.support.receiver import HttpReceiver


@contextmanager
def told(cluster: FarCluster, folder: Path, *, beside: bool) -> Iterator[Both]:
    if not beside:
        yield Both(cluster.receiver)
        return
    pages = [f"{cluster.wire.node(at)}:9191" for at in range(1, cluster.nodes + 1)]
    with HttpReceiver() as hook, telling(folder / "peer", pages, "up == 0", hook):
        yield Both(cluster.receiver, hook)


def vanish(cluster: FarCluster) -> tuple[Act, Act]:
    """One node's packets stop, without a word; then they come again."""

    def gone(addresses: set[str]) -> None:
        cluster.wire.gone = addresses

    return lambda: gone({cluster.wire.node(1)}), lambda: gone(set())


def kill_exporter(cluster: FarCluster) -> tuple[Act, Act]:
    return lambda: cluster.kill_exporter(1), lambda: cluster.start_exporter(1)


def measure(what: str, count: int, broken: Callable[[FarCluster], tuple[Act, Act]], *, beside: bool) -> str:
    """A table of so many failures, at any moment of the node's beats."""
    with (
        tempfile.TemporaryDirectory() as folder,
        far_cluster(Path(folder), 3, "NodeDown") as cluster,
        told(cluster, Path(folder), beside=beside) as both,
    ):
        fail, mend = broken(cluster)

        def once(_: int) -> tuple[float, float | None]:
            found = both.once(fail, mend)
            cluster.until_open(cluster.nodes)
            return found

        found = repeat(count + 1, once, (1.0, 2.0))
        return table(what, found.settled(), "scrapes each 5 s, beats each second")


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
    if what == "cost":
        cost(count)
        return
    if not can_tell():
        print(MISSING)
    sentence, broken = {
        "vanish": ("a node vanishes: its packets stop", vanish),
        "exporter": ("an exporter is killed and stays away", kill_exporter),
    }[what]
    print(measure(sentence, count, broken, beside=can_tell()))


if __name__ == "__main__":
    main(sys.argv[1:])
