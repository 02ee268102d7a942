from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from exporters.collector import NoData
from exporters.collectors.containers import Containers, OomKills
from exporters.exposition import Renderer
from exporters.sources.cgroups import Memory, Usage
from exporters.sources.docker_answers import Container, inspected
from exporters.sources.docker_watch import Known, View
from exporters.sources.files import Roots
from exporters.wanted import WantedService
from tests.exporters.sources.test_cgroups import RECORDED, RECORDED_ID, RECORDED_PID, roots
from tests.exporters.sources.test_docker_answers import recorded_containers
from tests.exporters.support import samples

NOW = 1_795_435_000.0
WEB = Container(
    RECORDED_ID,
    "web",
    "app:1",
    "running",
    started=NOW - 100,
    pid=RECORDED_PID,
    memory_limit=64 * 2**20,
    cpu_quota=20_000,
    cpu_period=100_000,
    restart_policy="always",
    compose_project="shop",
    compose_service="web",
)
DEAD = Container("d" * 64, "db", "db:1", "exited", exit_code=137, started=NOW - 100, finished=NOW - 50)
SERVICES = [WantedService("shop", "http", container="web"), WantedService("data", "redis", container="db")]


def view(*known: Known | Container, gone: tuple[Known, ...] = (), reason: str = "", answered: float = 100.0) -> View:
    held = [entry if isinstance(entry, Known) else Known(entry) for entry in known]
    return View(
        reason=reason,
        answered=answered,
        version="20.10.24",
        api="1.41",
        known={entry.container.name: entry for entry in held},
        gone={entry.container.name: entry for entry in gone},
    )


def page(
    current: View, services: list[WantedService] | None = None, clock: float = 101.0, host: Roots | None = None
) -> dict[tuple[str, ...], float]:
    made = Containers(lambda: current, host or roots(RECORDED), services or [], wall=lambda: NOW, clock=lambda: clock)
    families = made.collect()
    assert Renderer().render(families).count(b"\n") > len(families)  # every value and label can be written
    return samples(families)


def test_a_running_container() -> None:
    found = page(view(WEB))
    of_web = {key[0]: value for key, value in found.items() if key[1:3] == ("web", "app:1")}
    assert of_web["container_last_seen"] == NOW
    assert of_web["container_start_time_seconds"] == NOW - 100
    assert of_web["container_cpu_usage_seconds_total"] == pytest.approx(0.3, abs=0.3)
    assert of_web["container_cpu_cfs_throttled_periods_total"] == 11
    assert of_web["container_memory_rss"] == 61440
    assert of_web["container_spec_memory_limit_bytes"] == 64 * 2**20
    assert (of_web["container_spec_cpu_quota"], of_web["container_spec_cpu_period"]) == (20_000, 100_000)
    assert of_web["container_threads"] == 1
    assert found["tierwatch_container_info", "web", "app:1", RECORDED_ID[:12], "always", "shop", "web"] == 1
    assert found["tierwatch_container_state", "web", "running"] == 1
    assert sum(value for key, value in found.items() if key[:2] == ("tierwatch_container_state", "web")) == 1
    assert not any(key[0].startswith("tierwatch_container_exit") for key in found)
    assert not any("health" in key[0] for key in found)  # it has no check


def test_the_network_has_no_devices_that_the_kernel_only_keeps_ready(tmp_path: Path) -> None:
    process = tmp_path / "proc" / str(RECORDED_PID)
    (process / "net").mkdir(parents=True)
    (process / "cgroup").write_bytes((RECORDED / f"proc/{RECORDED_PID}/cgroup").read_bytes())
    zeros = " 0" * 16
    lines = (
        f"Inter-|\n face |\n    lo:{zeros}\n tunl0:{zeros}\n  eth0: 10 2 3 4 0 0 0 0 20 6 7 8 0 0 0 0\n ifb1:{zeros}\n"
    )
    (process / "net" / "dev").write_text(lines)
    found = page(view(WEB), host=Roots(f"{tmp_path}/proc", f"{RECORDED}/sys"))
    labels = ("web", "app:1", "eth0")
    traffic = {key: value for key, value in found.items() if key[0].startswith("container_network_")}
    assert traffic == {
        ("container_network_receive_bytes_total", *labels): 10,
        ("container_network_receive_packets_total", *labels): 2,
        ("container_network_receive_errors_total", *labels): 3,
        ("container_network_receive_packets_dropped_total", *labels): 4,
        ("container_network_transmit_bytes_total", *labels): 20,
        ("container_network_transmit_packets_total", *labels): 6,
        ("container_network_transmit_errors_total", *labels): 7,
        ("container_network_transmit_packets_dropped_total", *labels): 8,
    }
    shared = page(view(replace(WEB, own_network=False)), host=Roots(f"{tmp_path}/proc", f"{RECORDED}/sys"))
    assert not any(key[0].startswith("container_network_") for key in shared)


def test_a_dead_container_keeps_what_describes_its_end() -> None:
    found = page(view(Known(replace(DEAD, oom_killed=True), seen=NOW - 50, ooms=1)))
    assert found["container_last_seen", "db", "db:1"] == NOW - 50
    assert found["tierwatch_container_exit_code", "db"] == 137
    assert found["tierwatch_container_finished_time_seconds", "db"] == NOW - 50
    assert found["tierwatch_container_oom_killed", "db"] == 1
    assert found["container_oom_events_total", "db", "db:1"] == 1
    assert not any(key[0].startswith(("container_cpu", "container_memory")) for key in found)


def test_a_removed_container_is_missing_and_still_described() -> None:
    found = page(view(gone=(Known(DEAD, seen=NOW - 50),)))
    assert found["tierwatch_container_state", "db", "missing"] == 1
    assert found["tierwatch_container_state", "db", "exited"] == 0
    assert found["container_last_seen", "db", "db:1"] == NOW - 50
    assert found["tierwatch_container_exit_code", "db"] == 137


@pytest.mark.parametrize(
    ("known", "up", "died"),
    [
        (Known(replace(WEB, name="db")), 1, 0),
        (Known(replace(WEB, name="db", state="paused")), 0, 0),
        (Known(DEAD), 0, 1),
        (Known(replace(DEAD, state="dead")), 0, 1),
        (Known(DEAD, asked=True), 0, 0),
        (Known(replace(DEAD, exit_code=143)), 0, 0),
        (Known(replace(DEAD, exit_code=0)), 0, 0),
        (Known(replace(DEAD, state="restarting")), 0, 0),
        (Known(replace(DEAD, state="created", exit_code=127)), 0, 0),
        (None, 0, 0),
    ],
    ids=["runs", "paused", "killed", "dead", "stopped", "ended", "done", "restarting", "created", "missing"],
)
def test_a_wanted_container(known: Known | None, up: int, died: int) -> None:
    found = page(view(*([known] if known else [])), SERVICES)
    assert found["tierwatch_container_wanted_up", "db", "data"] == up
    assert found["tierwatch_container_wanted_died", "db", "data"] == died
    assert found["tierwatch_container_wanted_up", "web", "shop"] == 0
    assert found["tierwatch_container_state", "web", "missing"] == 1
    assert found["tierwatch_container_state", "db", "missing"] == (known is None)


@pytest.mark.parametrize(
    ("known", "died"),
    [
        (Known(replace(DEAD, exit_code=3)), 1),
        (Known(replace(DEAD, oom_killed=False)), 0),
        (Known(replace(DEAD, oom_killed=False), run_ooms=1), 1),
        (Known(replace(DEAD, oom_killed=True)), 1),
        (Known(replace(DEAD, exit_code=3), asked=True), 0),
        (Known(replace(DEAD, exit_code=0)), 0),
    ],
    ids=["failed", "rm --force", "no memory", "looked at", "stopped", "done"],
)
def test_a_wanted_container_that_is_removed_as_it_ends(known: Known, died: int) -> None:
    found = page(view(gone=(known,)), SERVICES)
    assert found["tierwatch_container_wanted_died", "db", "data"] == died
    assert found["tierwatch_container_wanted_up", "db", "data"] == 0


@pytest.mark.parametrize(("health", "good"), [("healthy", 1), ("starting", 0), ("unhealthy", 0)])
def test_health(health: str, good: int) -> None:
    found = page(view(replace(WEB, health=health)))
    assert found["container_health_state", "web", "app:1"] == good
    assert [key[2] for key, value in found.items() if key[0] == "tierwatch_container_health" and value] == [health]
    ended = page(view(replace(WEB, health=health, state="exited", pid=0, finished=NOW)))
    assert not any("health" in key[0] for key in ended)


def test_without_docker_nothing_is_known_of_states() -> None:
    """Unknown is not down: for a moment the last answer stands, then there is none."""
    broken = view(Known(WEB, seen=NOW - 9), reason="refused", answered=100.0)
    soon, late = page(broken, SERVICES, clock=120.0), page(broken, SERVICES, clock=140.0)
    for found in (soon, late):
        assert found["tierwatch_docker_up",] == 0
        assert found["tierwatch_docker_down_info", "refused"] == 1
        assert found["container_last_seen", "web", "app:1"] == NOW - 9
        assert found["container_memory_rss", "web", "app:1"] == 61440  # the kernel counts on
    assert soon["tierwatch_container_wanted_up", "web", "shop"] == 1
    assert not any(key[0].startswith(("tierwatch_container_wanted", "tierwatch_container_state")) for key in late)
    assert late["tierwatch_docker_answer_age_seconds",] == 40


@pytest.mark.parametrize("reason", ["missing", "permission"])
def test_a_socket_that_nobody_gave_us_is_no_fault(reason: str) -> None:
    never = View(reason=reason)
    with pytest.raises(NoData):
        page(never)
    wanted = page(never, SERVICES)
    assert wanted["tierwatch_docker_up",] == 0
    assert wanted["tierwatch_docker_down_info", reason] == 1
    assert ("tierwatch_container_wanted_up", "web", "shop") not in wanted
    assert page(View(reason="timeout"))["tierwatch_docker_up",] == 0  # it is there, and something is wrong with it


def test_a_pi_that_does_not_count_memory_says_so(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cgroups").write_text("memory\t0\t1\t0\n")
    found = page(view(WEB), host=roots(tmp_path))
    assert found["tierwatch_container_accounting", "memory"] == 0
    assert not any(key[0].startswith("container_memory") for key in found)
    assert page(view(WEB))["tierwatch_container_accounting", "memory"] == 1


def test_the_whole_page_of_a_recorded_host() -> None:
    """Byte for byte. UPDATE_GOLDEN=1 writes it anew."""
    known = [inspected(answer) for answer in recorded_containers("1.41")]
    current = view(*(WEB if held.name == "web" else held for held in known), gone=(Known(DEAD, seen=NOW - 50),))
    made = Containers(lambda: current, roots(RECORDED), SERVICES, wall=lambda: NOW, clock=lambda: 101.0)
    text = Renderer().render(made.collect()).decode()
    golden = RECORDED.parent / "containers.prom"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


def kills(count: int | None) -> Usage:
    return Usage(1.0, memory=Memory(1, 1, oom_kills=count))


def test_kills_that_only_the_kernel_counted() -> None:
    counter = OomKills()
    first, second = Known(WEB), Known(replace(WEB, started=NOW))
    assert counter.count(first, kills(0)) == 0
    assert counter.count(first, kills(2)) == 2
    assert counter.count(replace(first, ooms=1, run_ooms=1), kills(2)) == 2  # Docker tells one of them late
    assert counter.count(replace(first, ooms=1, run_ooms=1), None) == 2
    assert counter.count(replace(second, ooms=1), kills(0)) == 2  # a new run keeps them
    assert counter.count(replace(second, ooms=2, run_ooms=1), kills(None)) == 3
    assert counter.count(Known(WEB), kills(0)) == 3  # it never falls
    counter.forget_others({"web"})
    assert counter.count(Known(WEB), kills(0)) == 3
    counter.forget_others(set())
    assert counter.count(Known(WEB), kills(0)) == 0  # its series had ended
