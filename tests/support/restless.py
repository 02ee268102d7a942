"""A small cluster behind a bad network in which things restart cleanly all the time, each within its allowed time: a
container, a unit, a Redis, an exporter; and one exporter that stands still for moments. Nothing of it is anybody's
business. Needs root, a Docker Engine and a systemd to boot."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.dockerd import Dockerd, dockerd
from tests.support.far_cluster import FarCluster, FarNode, far_cluster
from tests.support.machine import PATIENCE
from tests.support.peers import need
from tests.support.real_services import process
from tests.support.real_systemd import RealSystemd, real_systemd

# All but what the machine under the test may have to say of itself: its clock, its disks, its load.
ALERTS = (
    "ClusterUnreachable|Node.*|Exporter.*|Event.*|Collector.*|Container.*|Docker.*|Unit.*|Service.*|Redis.*"
    "|Aggregator.*|Notification.*|RulesFailing|Storage.*|ConfigReloadFailed|NothingIsWatched"
)
CONTAINER, UNIT, REDIS, EXPORTER = 1, 2, 3, 4
# The share of packets lost each way; seconds that one takes at most, usually and in bad moments.
LOSS, LATE, LATER = 0.05, 0.08, 0.3
Act = Callable[[], object]
Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is broken and mended; seconds, least and most: ``lasts`` until it is mended, ``quiet`` until it comes again.
    It comes so often that in ten minutes every rule that counts would have counted enough."""

    name: str
    begin: Act
    end: Act
    lasts: Span
    quiet: Span


@dataclass(frozen=True, slots=True)
class Restless:
    cluster: FarCluster
    docker: Dockerd
    troubles: Sequence[Trouble]

    def go_on(self, seconds: float, *, quicker: float = 1.0) -> Mapping[str, Sequence[float]]:
        """All troubles beside each other for so long, and on until each came that may come in that time; how many
        seconds each was there, each time. At the end all is well. ``quicker``: so many times as often, and as short."""
        wire, over = self.cluster.wire, threading.Event()
        done: dict[str, list[float]] = {trouble.name: [] for trouble in self.troubles}
        faults: list[BaseException] = []

        def again(number: int, trouble: Trouble) -> None:
            chance = random.Random(number)
            try:
                while not over.wait(chance.uniform(*trouble.quiet) / quicker):
                    begun = time.monotonic()
                    trouble.begin()
                    time.sleep(chance.uniform(*trouble.lasts) / quicker)
                    trouble.end()
                    done[trouble.name].append(time.monotonic() - begun)
            except BaseException as error:
                faults.append(error)

        threads = [threading.Thread(target=again, args=pair) for pair in enumerate(self.troubles)]
        wire.loss, wire.delay = LOSS, (0.0, LATE)
        for thread in threads:
            thread.start()
        frequent = [one.name for one in self.troubles if (one.quiet[1] + one.lasts[1]) / quicker < seconds]
        end = time.monotonic() + seconds
        try:
            while not faults and (time.monotonic() < end or not all(done[name] for name in frequent)):
                assert time.monotonic() < end + 60 * PATIENCE, f"too slow: {done}"
                time.sleep(0.1)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        wire.loss, wire.delay = 0.0, (0.0, 0.0)
        if faults:
            raise faults[0]
        return done


@contextmanager
def restless(folder: Path) -> Iterator[Restless]:
    """Running, everything well; nothing was told yet."""
    with ExitStack() as stack:
        docker = stack.enter_context(dockerd())
        docker.run("app", "--", "sleep", "100000")
        systemd = stack.enter_context(real_systemd())
        systemd.unit("web.service", "ExecStart=/bin/sleep infinity")
        systemd.systemctl("daemon-reload")
        systemd.systemctl("start", "web.service")
        more = {
            CONTAINER: FarNode(
                {"app": {"kind": "process", "container": "app"}}, ("--docker.socket", str(docker.socket))
            ),
            UNIT: FarNode({"web": {"kind": "process", "unit": "web.service"}}, ("--path.rootfs", str(systemd.root))),
            REDIS: FarNode({"cache": {"kind": "redis", "port": 6379, "probe": {"grace": "30s"}}}),
        }
        cluster = stack.enter_context(far_cluster(folder, 5, ALERTS, more))
        troubles = [*_restarts(docker, systemd), _redis(stack, cluster, folder), *_of_nodes(cluster)]
        yield Restless(cluster, docker, troubles)


def _restarts(docker: Dockerd, systemd: RealSystemd) -> Sequence[Trouble]:
    return [
        Trouble(
            "restart of a container",
            lambda: docker.docker("stop", "-t", "0", "app"),
            lambda: docker.docker("start", "app"),
            (0.0, 15.0),
            (5.0, 15.0),
        ),
        Trouble(
            "restart of a unit",
            lambda: systemd.systemctl("stop", "web.service"),
            lambda: systemd.systemctl("start", "web.service"),
            (0.0, 15.0),
            (5.0, 15.0),
        ),
    ]


def _redis(stack: ExitStack, cluster: FarCluster, folder: Path) -> Trouble:
    """On loopback of the nodes' side of the wire."""
    server = stack.enter_context(ExitStack())
    command = cluster.wire.command(need("redis-server"), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder))

    def start() -> None:
        server.enter_context(process(command, folder))

    start()
    return Trouble("restart of a Redis", server.close, start, (0.0, 15.0), (5.0, 15.0))


def _of_nodes(cluster: FarCluster) -> Sequence[Trouble]:
    def late(seconds: float) -> None:
        cluster.wire.delay = (0.0, seconds)

    return [
        # Four in half an hour are a loop, and told.
        Trouble(
            "restart of an exporter",
            lambda: cluster.kill_exporter(EXPORTER),
            lambda: cluster.start_exporter(EXPORTER),
            (0.0, 1.0),
            (190.0, 200.0),
        ),
        Trouble(
            "stall of an exporter",
            lambda: cluster.pause_exporter(cluster.nodes),
            lambda: cluster.continue_exporter(cluster.nodes),
            (0.3, 2.0),
            (5.0, 15.0),
        ),
        Trouble("bad moment of the network", lambda: late(LATER), lambda: late(LATE), (2.0, 10.0), (5.0, 20.0)),
    ]
