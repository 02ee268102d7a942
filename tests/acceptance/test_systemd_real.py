"""The exporter beside a real systemd: kill, failure, crash loop, stop, reload, re-execution; and node_exporter."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporters.collectors.systemd import read_units
from exporters.sources import systemd_watch
from exporters.sources.systemd import Reading, Unit
from exporters.sources.systemd_watch import UnitWatch
from tests.acceptance.exporter_process import exporter
from tests.exporters.support import samples
from tests.support.machine import PATIENCE
from tests.support.peer_exporters import peer_exporter
from tests.support.real_services import within
from tests.support.real_systemd import RealSystemd, real_systemd
from tests.support.small_cluster import inventory

pytestmark = pytest.mark.acceptance

SLEEPS = "ExecStart=/bin/sleep infinity"


@pytest.fixture(scope="module")
def systemd() -> Iterator[RealSystemd]:
    with real_systemd() as found:
        found.unit("web.service", SLEEPS)
        found.unit("again.service", f"{SLEEPS}\nRestart=always\nRestartSec=3s")
        found.unit("loop.service", "ExecStart=/bin/false\nRestart=always\nRestartSec=300ms", "StartLimitIntervalSec=0")
        found.unit("bad.service", 'ExecStart=/bin/sh -c "exit 3"')
        found.systemctl("daemon-reload")
        found.systemctl("start", "web.service", "again.service")
        yield found


class Seen:
    def __init__(self, systemd: RealSystemd) -> None:
        self.events: list[float] = []
        self.watch = UnitWatch(
            ["web.service", "again.service", "missing.service"],
            lambda: self.events.append(time.monotonic()),
            bus_path=systemd.bus,
            wall=time.monotonic,
            polled=False,
        )

    def reading(self) -> Reading:
        found = self.watch.latest(5)
        assert found is not None, self.watch.fault
        return found

    def unit(self, name: str) -> Unit | None:
        return next((unit for unit in self.reading().units if unit.name == name), None)

    def until(self, condition: Callable[[], bool], seconds: float = 15.0) -> None:
        begun = time.monotonic()
        while not condition():
            assert time.monotonic() - begun < seconds * PATIENCE, self.reading()
            time.sleep(0.005)

    def active(self, name: str, state: str) -> Callable[[], bool]:
        return lambda: (unit := self.unit(name)) is not None and unit.active == state


@pytest.fixture
def seen(systemd: RealSystemd, monkeypatch: pytest.MonkeyPatch) -> Iterator[Seen]:
    """Never asked in turns: what is seen here was told by a signal."""
    monkeypatch.setattr(systemd_watch, "POLL_SECONDS", 3600.0)
    found = Seen(systemd)
    found.watch.start()
    found.reading()
    yield found
    found.watch.stop()


def test_a_killed_service_is_seen_at_once(systemd: RealSystemd, seen: Seen) -> None:
    systemd.systemctl("kill", "-s", "KILL", "web.service")
    seen.until(seen.active("web.service", "failed"))
    unit = seen.unit("web.service")
    assert unit is not None
    assert unit.details.result == "signal"
    assert seen.reading().failed == 1
    seen.until(lambda: bool(seen.events))
    systemd.systemctl("start", "web.service")
    seen.until(seen.active("web.service", "active"))


def test_one_that_starts_again_counts_and_ends_active(systemd: RealSystemd, seen: Seen) -> None:
    before = seen.unit("again.service")
    systemd.systemctl("kill", "-s", "KILL", "again.service")
    seen.until(lambda: (unit := seen.unit("again.service")) is not None and unit.waits_to_restart)
    seen.until(seen.active("again.service", "active"))
    after = seen.unit("again.service")
    assert before is not None
    assert after is not None
    assert (after.details.restarts or 0) == (before.details.restarts or 0) + 1


def test_a_crash_loop_and_a_failure_that_nobody_named(systemd: RealSystemd, seen: Seen) -> None:
    systemd.systemctl("start", "bad.service", "loop.service")
    seen.until(lambda: (unit := seen.unit("loop.service")) is not None and (unit.details.restarts or 0) >= 3)
    seen.until(seen.active("bad.service", "failed"))
    bad = seen.unit("bad.service")
    assert bad is not None
    assert bad.details.result == "exit-code"
    found = samples(read_units(seen.reading(), {"missing.service": ["redis"]}))
    assert found["tierwatch_systemd_unit_wanted", "missing.service", "redis"] == 0
    assert found["node_systemd_service_restart_total", "loop.service"] >= 3
    systemd.systemctl("stop", "loop.service")
    systemd.systemctl("reset-failed")
    seen.until(lambda: seen.reading().failed == 0)


def test_it_goes_on_after_systemd_was_executed_anew(systemd: RealSystemd, seen: Seen) -> None:
    systemd.systemctl("daemon-reload")
    systemd.systemctl("daemon-reexec")
    time.sleep(1.5)
    systemd.systemctl("stop", "web.service")
    seen.until(seen.active("web.service", "inactive"))
    systemd.systemctl("start", "web.service")
    seen.until(seen.active("web.service", "active"))


def test_the_exporter_beside_node_exporter(systemd: RealSystemd, tmp_path: Path) -> None:
    """Same names, types, help texts and values as node_exporter, for the units that both tell."""
    services = {"web": {"kind": "process", "unit": "web"}, "db": {"kind": "process", "unit": "again.service"}}
    (tmp_path / "cluster.yaml").write_text(inventory({"ONE": {"services": services}}))
    (tmp_path / "alerting.yaml").write_text("route: {receiver: x}\nreceivers: [{name: x}]\n")
    options = ("--config", str(tmp_path), "--node", "ONE", "--path.rootfs", str(systemd.root))
    with exporter(*options) as ours:
        within(10, lambda: 'name="again.service"' in ours.get().decode(), "the first look at the units")
        page = ours.get().decode().splitlines()
    theirs = node_exporter(systemd, tmp_path)
    wanted = ('name="web.service"', 'name="again.service"', "node_systemd_system_running ", "node_systemd_version{")
    mine = {line for line in page if line.startswith("node_systemd") and any(word in line for word in wanted)}
    assert any('node_systemd_unit_state{name="web.service",state="active",type="simple"} 1' in line for line in mine)
    assert canonical(mine) == canonical(line for line in theirs if key(line) in {key(line) for line in mine})
    heads = {line for line in page if line.startswith(("# HELP node_systemd", "# TYPE node_systemd"))}
    assert heads <= set(theirs) | {line for line in heads if "tasks_current" in line or "timer" in line}


def key(line: str) -> str:
    return line.rpartition(" ")[0]


def canonical(lines: Iterator[str] | set[str]) -> dict[str, float]:
    return {key(line): float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def node_exporter(systemd: RealSystemd, folder: Path) -> list[str]:
    more = ("enable-task-metrics", "enable-restarts-metrics", "enable-start-time-metrics")
    options = ("--collector.disable-defaults", "--collector.systemd", *(f"--collector.systemd.{name}" for name in more))
    bus = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={systemd.bus}"}
    with (
        peer_exporter(folder, "prometheus-node-exporter", *options, environment=bus) as address,
        urllib.request.urlopen(f"http://{address}/metrics", timeout=10 * PATIENCE) as answer,
    ):
        return list(answer.read().decode().splitlines())
