"""A thousand events of Docker's and a thousand signals of systemd's a second, and a wire that is cut meanwhile: few
scrapes, the last state told, every change that was not told counted, other nodes as usual."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from exporters import clock
from exporters.sources import docker_watch, systemd_watch
from tests.acceptance.exporter_process import ExporterProcess, cpu_seconds, exporter
from tests.support.aggregator import Aggregator
from tests.support.docker_daemon import DockerDaemon, container, daemon
from tests.support.fake_systemd import FakeSystemd, FakeUnit, private_bus, service
from tests.support.machine import PATIENCE, slack
from tests.support.ports import free_port
from tests.support.receiver import HttpReceiver
from tests.support.relay import Relay, relay
from tests.support.small_cluster import inventory
from tests.support.whole_node import host_root

pytestmark = pytest.mark.acceptance

INTERVAL = 4.0
SECONDS = 3
EVENTS = SECONDS * 1000
CONTAINERS = ("web", "db", "queue", "mail")
RULES = """\
groups:
  - name: state
    rules:
      - alert: Died
        expr: tierwatch_container_wanted_died == 1
        annotations: {summary: "{{ $labels.name }} died"}
      - alert: Failed
        expr: node_systemd_unit_state{state="failed"} == 1
        annotations: {summary: "{{ $labels.name }} failed"}
"""
ALERTING = f"""\
timing: {{{{scrape_interval: {INTERVAL:g}s, scrape_timeout: 2s, evaluation_interval: {INTERVAL:g}s}}}}
external_url: http://hub.test:9190
route: {{{{receiver: phone, group_by: [alertname, name], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}}}
receivers: [{{{{name: phone, apprise: [{{{{url: "{{url}}"}}}}]}}}}]
"""


@dataclass
class World:
    """``hit`` is the node where it happens; ``wire``: between its exporter and the aggregator."""

    docker: DockerDaemon
    systemd: FakeSystemd
    unit: FakeUnit
    hit: ExporterProcess
    wire: Relay
    hub: Aggregator
    receiver: HttpReceiver

    def counted(self, name: str) -> float:
        """By the aggregator."""
        return self.hub.own_metric(f"tierwatch_{name}_total") or 0.0

    def told_by_node(self, name: str) -> float:
        return sum(float(value) for value in re.findall(rf"(?m)^{name}(?:{{.*}})? (\S+)$", self.hit.get().decode()))

    def scraped(self, node: str) -> list[float]:
        """When, in seconds since the epoch."""
        answer = self.hub.get(f"/api/v1/query?query=up{{node=%22{node}%22}}[5m]")
        return [float(at) for at, _ in answer["data"]["result"][0]["values"]]

    def wall(self, monotonic: float) -> float:
        """A monotonic time in seconds since the epoch."""
        return clock.wall() - time.monotonic() + monotonic


@contextmanager
def systemd_on_a_bus(folder: Path) -> Iterator[tuple[FakeSystemd, Path]]:
    with private_bus(folder) as bus:
        systemd = FakeSystemd(f"unix:path={bus}")
        try:
            yield systemd, Path(bus)
        finally:
            systemd.close()


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    socket, port = folder / "docker.sock", free_port()
    with ExitStack() as stack:
        systemd, bus = stack.enter_context(systemd_on_a_bus(folder))
        unit = systemd.add(service("web.service"))
        receiver = stack.enter_context(HttpReceiver())
        async with daemon(socket, *(container(name) for name in CONTAINERS)) as docker, relay(port) as wire:
            services = {name: {"kind": "process", "container": name} for name in CONTAINERS}
            services["worker"] = {"kind": "process", "unit": "web.service"}
            other = free_port()
            nodes = {
                "HIT": {"exporter_port": wire.port, "services": services},
                "OTHER": {"address": "127.0.0.2", "exporter_port": other},
            }
            hub = stack.enter_context(Aggregator(folder))
            (hub.config / "rules").mkdir(parents=True)
            (hub.config / "rules" / "state.yml").write_text(RULES)
            (hub.config / "cluster.yaml").write_text(inventory(nodes))
            (hub.config / "alerting.yaml").write_text(ALERTING.format(url=receiver.url()))
            words = ("--config", str(hub.config), "--path.rootfs", str(host_root(folder, bus)))
            # What this machine's kernel logs meanwhile is none of the test's.
            of_hit = ("--node", "HIT", "--docker.socket", str(socket), "--collector.disable", "kernel_log")
            of_other = ("--node", "OTHER", "--collector.disable", "kernel_log,containers,systemd")
            addresses = (f"127.0.0.1:{port}", f"127.0.0.2:{other}")
            starts = [
                asyncio.to_thread(stack.enter_context, exporter(*words, *more, "--listen", address))
                for more, address in zip((of_hit, of_other), addresses, strict=True)
            ]
            hit, _ = await asyncio.gather(*starts)
            await asyncio.to_thread(hub.start)
            made = World(docker, systemd, unit, hit, wire, hub, receiver)
            await until(lambda: hub.own_metric("tierwatch_event_streams") == 2, 10)
            await docker.listened.wait()
            yield made
            # Processes end in a thread: they are clients of servers on this loop.
            await asyncio.to_thread(stack.close)


async def until(condition: Callable[[], bool], seconds: float) -> float:
    """When it was so, in monotonic seconds. ``seconds``: on an idle machine."""
    end = time.monotonic() + seconds * PATIENCE
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < end, f"not within {seconds * PATIENCE:g} s"
        await asyncio.sleep(0.02)
    return time.monotonic()


async def storm(world: World) -> None:
    """Three seconds of it; the middle third behind a cut wire. The last of all: "web" has died, the unit has failed."""
    begun = time.monotonic()
    for number in range(EVENTS):
        here = container(CONTAINERS[number % len(CONTAINERS)])["Id"]
        dies = number // len(CONTAINERS) % 2 == 0
        world.docker.change(here, Status="exited" if dies else "running", ExitCode=int(dies))
        world.docker.tell("die" if dies else "start", here, exitCode="1")
        world.unit.active = ("failed", "active")[number % 2]
        world.systemd.tell(world.unit)
        if number == EVENTS // 3:
            await world.wire.cut()
        if number == 2 * EVENTS // 3:
            await world.wire.mend()
        await asyncio.sleep(max(0.0, begun + SECONDS * (number + 1) / EVENTS - time.monotonic()))
    for name in CONTAINERS[1:]:
        world.docker.change(container(name)["Id"], Status="running", ExitCode=0)
        world.docker.tell("start", container(name)["Id"])
    world.docker.change(container("web")["Id"], Status="exited", ExitCode=1)
    world.docker.tell("die", container("web")["Id"], exitCode="1")
    world.unit.active = "failed"
    world.systemd.tell(world.unit)


@dataclass(frozen=True, slots=True)
class Counts:
    """What the programs have counted at one moment; CPU in seconds."""

    at: float
    early: float
    received: float
    missed: float
    events: float
    docker_events: float
    inspections: int
    unit_lists: int
    cpu: tuple[float, float]

    @classmethod
    def of(cls, world: World) -> Counts:
        return cls(
            time.monotonic(),
            world.counted("scrapes_early"),
            world.counted("events_received"),
            world.counted("events_missed"),
            world.told_by_node("tierwatch_exporter_events_total"),
            world.told_by_node("tierwatch_docker_events_total"),
            inspections(world),
            world.systemd.asked.get("ListUnitsByNames", 0),
            (world.hit.cpu_seconds(), cpu_seconds(world.hub.process.pid)),
        )


def unaccounted(before: Counts, after: Counts) -> float:
    """Changes that the node saw in between, and that the aggregator has neither received nor counted as missed."""
    told_or_missed = after.received + after.missed - before.received - before.missed
    return after.events - before.events - told_or_missed


def inspections(world: World) -> int:
    return sum(bool(re.fullmatch(r"(/v[\d.]+)?/containers/[0-9a-f]{64}/json", path)) for path in world.docker.asked)


def settled(world: World) -> bool:
    """Whether the newest word about each is that "web" died, its unit failed, and the others are as they were."""
    newest: dict[str, bool] = {}
    for title in world.receiver.titles():
        name = re.sub(r"^RESOLVED |, after .*$", "", title)
        newest[name] = not title.startswith("RESOLVED")
    return {name for name, down in newest.items() if down} == {"Died on HIT/web", "Failed on HIT"}


async def test_a_storm_floods_nobody_and_hides_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        before = await asyncio.to_thread(Counts.of, here)
        await storm(here)
        ended = time.monotonic()
        asked = inspections(here), here.systemd.asked["ListUnitsByNames"]
        # Not before the exporter has read them all: in the midst of the storm things were as they are at its end, too.
        every = EVENTS + len(CONTAINERS)
        docker_events = "tierwatch_docker_events_total"
        await until(lambda: here.told_by_node(docker_events) - before.docker_events == every, 30)
        told = await until(lambda: settled(here), 30)
        assert told - ended < INTERVAL + slack(), "told by an early scrape, not by the next planned one"

        after = await asyncio.to_thread(Counts.of, here)
        # What was told last may be on its way still.
        while unaccounted(before, after) and time.monotonic() < told + 10 * PATIENCE:
            await asyncio.sleep(0.1)
            after = await asyncio.to_thread(Counts.of, here)
        seconds = after.at - before.at
        # Ten at once and one a second, however many changes there are.
        assert 1 <= after.early - before.early <= 11 + seconds
        # Docker is asked about each container at most twenty times a second, systemd about all units ten times.
        lasted = ended - before.at
        looks = lasted / docker_watch.LEAST_SECONDS + 2
        assert 1 <= asked[0] - before.inspections <= len(CONTAINERS) * looks
        assert 1 <= asked[1] - before.unit_lists <= lasted / systemd_watch.LEAST_SECONDS + 2
        for ours, theirs in zip(before.cpu, after.cpu, strict=True):
            assert theirs - ours < seconds / 2, "neither was busy all the time"
        # A few messages for each that changed, though it changed hundreds of times.
        assert len(here.receiver.posts) <= (len(CONTAINERS) + 1) * (seconds + 2)

        # What was not told over the wire while it was cut is known to be missing: nothing is lost without a count.
        assert after.missed - before.missed > 0
        assert unaccounted(before, after) == 0

        # The other node was scraped as planned, and at no other time.
        storm_over = here.wall(ended)
        await until(lambda: len(here.scraped("OTHER")) >= 3 and here.scraped("OTHER")[-1] > storm_over, 3 * INTERVAL)
        times = here.scraped("OTHER")[1:]  # the first comes as soon as the aggregator starts
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        late = 1 + slack()
        assert all(abs(gap - INTERVAL) < late for gap in gaps), gaps
