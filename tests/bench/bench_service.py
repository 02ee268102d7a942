"""From the signal to a real Redis to the notification that a receiver took, with the exporter, the aggregator and the
rules as they are shipped. Beside it, on the same stops, Debian's redis_exporter, Prometheus and Alertmanager.

    python -m tests.bench.bench_service 40
    python -m tests.bench.bench_service 5 65    (so many seconds between two: is the first after a quiet time slower?)
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.alerting_peer import MISSING, can_tell
from tests.bench.until_told import Node, Told, beside_it, repeat, table, watched_node
from tests.support import real_services
from tests.support.peer_exporters import peer_exporter
from tests.support.ports import free_port
from tests.support.small_cluster import flow

REDIS_EXPORTER = "prometheus-redis-exporter"


def stops(count: int, *, beside: bool, interval: str = "5s", pause: tuple[float, float] = (1.5, 4.5)) -> Told:
    """SIGTERM and SIGKILL in turn, at any moment between two checks. ``pause``: seconds before each, least and most."""
    port = free_port()
    services = {"cache": {"kind": "redis", "title": "Redis", "port": port}}
    flows = {"cache": flow("Caching", "Is it fast?", "ONE/cache")}
    ready = ['tierwatch_service_state{service="cache",kind="redis",state="up"} 1.0']
    with ExitStack() as stack:
        data = Path(stack.enter_context(TemporaryDirectory(prefix="tw-redis-")))
        server = stack.enter_context(ExitStack())
        _, process = server.enter_context(real_services.redis(data, port=port))
        node = stack.enter_context(
            watched_node(services, ready=ready, alerts="ServiceDown", beside=beside, interval=interval, flows=flows)
        )
        stack.enter_context(_theirs(node, port))

        def stop(number: int) -> tuple[float, float | None]:
            return node.both.once(process.terminate if number % 2 else process.kill, again)

        def again() -> None:
            nonlocal process
            server.close()
            _, process = server.enter_context(real_services.redis(data, port=port))

        told = repeat(count, stop, pause)
        for post in node.both.phone.posts:
            if post.json["title"].startswith("DOWN"):
                assert "Caching broken: ONE/cache down." in post.json["message"], post.json
        return told


@contextmanager
def _theirs(node: Node, port: int) -> Iterator[None]:
    if node.both.hook is None:
        yield
        return
    with (
        peer_exporter(node.folder, REDIS_EXPORTER, f"--redis.addr=redis://127.0.0.1:{port}") as page,
        beside_it(node, page, "redis_up == 0"),
    ):
        yield


def main(words: Sequence[str]) -> None:
    if not can_tell():
        print(MISSING)
    quiet = float(words[1]) if len(words) > 1 else 0.0
    told = stops(int(words[0]) + 1, beside=can_tell(), pause=(quiet + 1.5, quiet + 4.5))
    print(table("a Redis stops", told.settled(), "scrapes each 5 s, gathered for 0.3 s"))


if __name__ == "__main__":
    main(sys.argv[1:])
