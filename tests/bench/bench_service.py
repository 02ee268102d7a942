"""How long until somebody is told that a service stopped: from the signal to a real Redis until a loopback receiver has
accepted the notification, with the shipped rules, the real aggregator and exporter.

    python -m tests.bench.bench_service 40
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.acceptance.exporter_process import exporter
from tests.bench.bench_instant import tell, told
from tests.support import real_services
from tests.support.aggregator import Aggregator
from tests.support.far_cluster import write_alerting
from tests.support.receiver import HttpReceiver

_CLUSTER = """\
cluster: services
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
    services: {{cache: {{kind: redis, title: Redis, port: {redis}}}}}
flows:
  cache: {{title: Caching, question: Is it fast?, steps: [ONE/cache]}}
"""


def stops(count: int) -> list[float]:
    """Seconds until each of ``count`` stops was told: SIGTERM and SIGKILL in turn, at any moment between two checks."""
    chance = random.Random(5)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        receiver = stack.enter_context(HttpReceiver())
        config = folder / "config"
        config.mkdir()
        write_alerting(config, receiver, "ServiceDown")
        port, redis = real_services.free_port(), real_services.free_port()
        (config / "cluster.yaml").write_text(_CLUSTER.format(port=port, redis=redis))
        data = folder / "redis"
        data.mkdir()
        server = stack.enter_context(ExitStack())
        _, process = server.enter_context(real_services.redis(data, port=redis))
        stack.enter_context(exporter("--config", str(config), "--node", "ONE", "--listen", f"127.0.0.1:{port}"))
        aggregator = stack.enter_context(Aggregator(folder))
        aggregator.start()
        time.sleep(3)
        times = []
        for number in range(count):
            time.sleep(1.5 + 3 * chance.random())
            since, begun = len(receiver.posts), time.monotonic()
            process.terminate() if number % 2 else process.kill()
            times.append(told(receiver, since, "DOWN", 20) - begun)
            body = receiver.posts[since].json["message"]
            assert "Caching broken: ONE/cache down." in body, body
            server.close()
            _, process = server.enter_context(real_services.redis(data, port=redis))
            told(receiver, since, "RESOLVED", 30)
    return times


def main(words: Sequence[str]) -> None:
    tell("a Redis stopped", stops(int(words[0])))


if __name__ == "__main__":
    main(sys.argv[1:])
