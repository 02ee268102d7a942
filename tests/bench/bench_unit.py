"""From a killed unit of a real systemd to the notification that a receiver took, with the exporter, the aggregator and
the rules as they are shipped. Beside it, on the same kills, Debian's node_exporter (its systemd collector, which asks
the same bus), Prometheus and Alertmanager. As root.

    python -m tests.bench.bench_unit 40
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.bench.alerting_peer import MISSING, can_tell
from tests.bench.until_told import Node, Told, beside_it, repeat, table, watched_node
from tests.support.peer_exporters import peer_exporter
from tests.support.real_systemd import RealSystemd, real_systemd

UNIT = "web.service"
FAILED = 'node_systemd_unit_state{name="%s",state="failed"} == 1'


def kills(count: int, *, beside: bool, interval: str = "5s", restart: bool = False) -> tuple[Told, Sequence[str]]:
    """And the titles of all that our phone got. ``restart``: the unit is restarted cleanly before."""
    with real_systemd() as systemd:
        systemd.unit(UNIT, "ExecStart=/bin/sleep infinity")
        systemd.systemctl("daemon-reload")
        systemd.systemctl("start", UNIT)
        services = {"web": {"kind": "process", "title": "Web", "unit": UNIT}}
        options = ("--path.rootfs", str(systemd.root))
        ready = [f'node_systemd_unit_state{{name="{UNIT}",state="active",type="simple"}} 1.0']
        with (
            watched_node(services, *options, ready=ready, alerts="Unit.*", beside=beside, interval=interval) as node,
            _theirs(node, systemd),
        ):
            if restart:
                systemd.systemctl("restart", UNIT)

            def kill(_: int) -> tuple[float, float | None]:
                fail = ("kill", "-s", "KILL", UNIT)
                return node.both.once(lambda: systemd.systemctl(*fail), lambda: systemd.systemctl("start", UNIT))

            told = repeat(count, kill, (1.5, 2.5))
            return told, node.both.phone.titles()


@contextmanager
def _theirs(node: Node, systemd: RealSystemd) -> Iterator[None]:
    if node.both.hook is None:
        yield
        return
    bus = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={systemd.bus}"}
    options = ("--collector.disable-defaults", "--collector.systemd")
    with (
        peer_exporter(node.folder, "prometheus-node-exporter", *options, environment=bus) as page,
        beside_it(node, page, FAILED % UNIT),
    ):
        yield


def main(words: Sequence[str]) -> None:
    if not can_tell():
        print(MISSING)
    told, _ = kills(int(words[0]) + 1, beside=can_tell())
    print(table("a systemd unit is killed", told.settled(), "scrapes each 5 s, gathered for 0.3 s"))


if __name__ == "__main__":
    main(sys.argv[1:])
