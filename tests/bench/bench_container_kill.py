"""From a killed container to the notification that a receiver took: a Docker Engine, an exporter and an aggregator as
they are shipped. Beside it, on the same kills, Debian's Prometheus and Alertmanager, which read our exporter's page:
Debian has none for containers. As root.

    python -m tests.bench.bench_container_kill 40
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Sequence

from tests.bench.alerting_peer import MISSING, can_tell
from tests.bench.until_told import Told, beside_it, repeat, table, watched_node
from tests.support.dockerd import dockerd

CONTAINERS = 12


def kills(count: int, *, beside: bool, interval: str = "5s", restart: bool = False) -> tuple[Told, Sequence[str]]:
    """And the titles of all that our phone got. ``restart``: one more container is restarted cleanly before."""
    names = [f"app{number}" for number in range(min(count, CONTAINERS))]
    services = {name: {"kind": "process", "container": name} for name in (*names, "steady")}
    chance = random.Random(6)
    with dockerd() as daemon:
        for name in services:
            daemon.run(name, "--", "sleep", "10000")
        options = ("--docker.socket", str(daemon.socket))
        ready = [f'tierwatch_container_wanted_up{{name="{name}",service="{name}"}} 1.0' for name in services]
        with (
            watched_node(
                services, *options, ready=ready, alerts="Container.*", beside=beside, interval=interval
            ) as node,
            beside_it(node, node.page, "tierwatch_container_wanted_died == 1"),
        ):
            if restart:
                daemon.docker("restart", "-t", "0", "steady")

            def kill(_: int) -> tuple[float, float | None]:
                name = chance.choice(names)
                process = int(daemon.docker("inspect", "-f", "{{.State.Pid}}", name))
                fail = lambda: os.kill(process, signal.SIGKILL)  # noqa: E731
                return node.both.once(fail, lambda: daemon.docker("start", name), about=name)

            told = repeat(count, kill, (1.0, 2.5))
            return told, node.both.phone.titles()


def main(words: Sequence[str]) -> None:
    if not can_tell():
        print(MISSING)
    told, _ = kills(int(words[0]) + 1, beside=can_tell())
    print(table("the process of a container is killed", told.settled(), "scrapes each 5 s, gathered for 0.3 s"))


if __name__ == "__main__":
    main(sys.argv[1:])
