"""The exporter beside a real Docker Engine: what happens to containers is on its page at once."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.acceptance.exporter_process import ExporterProcess, exporter
from tests.support.dockerd import IMAGE, Dockerd, dockerd
from tests.support.machine import PATIENCE, slack
from tests.support.small_cluster import inventory

pytestmark = pytest.mark.acceptance

SERVICES = {
    "shop": {"kind": "http", "port": 80, "container": "web"},
    "data": {"kind": "redis", "port": 6379, "container": "db"},
    "models": {"kind": "ollama", "port": 11434, "container": "llm"},
}
ROW = re.compile(r"(?m)^(\w+)(?:\{(.*)\})? (\S+)$")
# From the end of a docker command to the page: the event and one inspection, which take a tenth of a second where there
# is nothing else to do. Without the event it would be ten seconds.
AT_ONCE = 3.0

Page = dict[str, float]


class Here:
    """A daemon and an exporter that watches it."""

    def __init__(self, daemon: Dockerd, running: ExporterProcess) -> None:
        self.daemon = daemon
        self.running = running
        self.docker = daemon.docker

    def page(self) -> Page:
        """``name{labels}`` without the image -> value, of everything about containers."""
        text = self.running.get().decode()
        found = {}
        for name, labels, value in ROW.findall(text):
            if "container" in name or "docker" in name:
                kept = labels.replace(f',image="{IMAGE}"', "")
                found[f"{name}{{{kept}}}" if kept else name] = float(value)
        return found

    def until(self, seen: Callable[[Page], bool], seconds: float = 0.0) -> Page:
        """The first page that is so; ``seconds``: for what is not at once, on an idle machine."""
        begun = time.monotonic()
        while True:
            page = self.page()
            if seen(page):
                return page
            took = time.monotonic() - begun
            if took > (seconds * PATIENCE or AT_ONCE) and (seconds or took > AT_ONCE + slack()):
                told = "\n".join(f"{name} {value}" for name, value in page.items() if value)
                raise AssertionError(f"not within {took:.1f} s:\n{told}")
            time.sleep(0.02)

    def state(self, name: str, state: str, seconds: float = 0.0) -> Page:
        return self.until(lambda page: page.get(of(name, state)) == 1, seconds)


def of(name: str, state: str) -> str:
    return f'tierwatch_container_state{{name="{name}",state="{state}"}}'


@pytest.fixture(scope="module")
def daemon() -> Iterator[Dockerd]:
    with dockerd() as made:
        yield made


@pytest.fixture(scope="module")
def running(daemon: Dockerd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExporterProcess]:
    folder = tmp_path_factory.mktemp("config")
    (folder / "cluster.yaml").write_text(inventory({"N1": {"services": SERVICES}}))
    options = ["--config", str(folder), "--node", "N1", "--docker.socket", str(daemon.socket)]
    with exporter(*options) as made:
        yield made


@pytest.fixture
def here(daemon: Dockerd, running: ExporterProcess) -> Iterator[Here]:
    made = Here(daemon, running)
    made.until(lambda page: page.get("tierwatch_docker_up") == 1, 10)
    yield made
    for container in daemon.docker("ps", "-aq").split():
        daemon.docker("rm", "-f", container)


def test_run_kill_and_start_again(here: Here) -> None:
    wanted = 'tierwatch_container_wanted_{}{{name="web",service="shop"}}'
    assert here.page()[wanted.format("up")] == 0
    here.daemon.run("web", "--memory", "64m", "--cpus", "0.5", "--", "sleep", "1000")
    # A moment before its own program, Docker's starts there with a few threads.
    page = here.until(lambda page: page.get('container_threads{name="web"}') == 1)
    assert page[of("web", "running")] == 1
    assert page[wanted.format("up")] == 1
    assert page['container_spec_memory_limit_bytes{name="web"}'] == 64 * 2**20
    assert page['container_spec_cpu_quota{name="web"}'] == 50_000
    assert abs(page['container_start_time_seconds{name="web"}'] - time.time()) < 60  # noqa: TID251
    if page['tierwatch_container_accounting{controller="memory"}']:
        assert 0 < page['container_memory_working_set_bytes{name="web"}'] < 64 * 2**20
    here.docker("kill", "web")
    page = here.state("web", "exited")
    assert page[wanted.format("up")] == 0
    assert page[wanted.format("died")] == 1
    assert page['tierwatch_container_exit_code{name="web"}'] == 137
    assert 'container_cpu_usage_seconds_total{name="web",cpu="total"}' not in page
    here.docker("start", "web")
    page = here.state("web", "running")
    assert page[wanted.format("died")] == 0
    here.docker("stop", "-t", "0", "web")
    page = here.state("web", "exited")
    assert page['tierwatch_container_exit_code{name="web"}'] == 137
    assert page[wanted.format("died")] == 0, "it was asked to stop"


def test_cpu_of_a_busy_container_is_counted_and_throttled(here: Here) -> None:
    here.daemon.run("busy", "--cpus", "0.2", "--", "sh", "-c", "while true; do :; done")
    labels = '{name="busy"}'
    page = here.until(lambda page: page.get(f"container_cpu_cfs_throttled_periods_total{labels}", 0) >= 5, 30)
    periods = page[f"container_cpu_cfs_periods_total{labels}"]
    # A fifth of each period of 0.1 s; how much longer it is held up is for the machine's other work to say.
    used = page['container_cpu_usage_seconds_total{name="busy",cpu="total"}']
    assert 0 < used < 0.02 * (periods + 5) * 2
    assert page[f"container_cpu_cfs_throttled_seconds_total{labels}"] > 0
    assert periods >= page[f"container_cpu_cfs_throttled_periods_total{labels}"]


def test_out_of_memory(here: Here) -> None:
    # Docker does not hear of it when a container is out of memory before Docker has begun to watch it.
    greedy = "sleep 1; x=$(tail -c 100000000 /dev/zero); exit 137"
    here.daemon.run("hungry", "--memory", "8m", "--", "sh", "-c", greedy)
    page = here.state("hungry", "exited", 10)
    assert page['tierwatch_container_oom_killed{name="hungry"}'] == 1
    # The kernel may tell it again while the victim still dies.
    assert 1 <= page['container_oom_events_total{name="hungry"}'] <= 3
    here.docker("rm", "hungry")
    page = here.state("hungry", "missing")
    assert page['tierwatch_container_oom_killed{name="hungry"}'] == 1


def test_one_that_fails_and_removes_itself(here: Here) -> None:
    """``docker run --rm`` leaves nothing to look at; ``docker rm -f`` is somebody's will."""
    died = 'tierwatch_container_wanted_died{name="web",service="shop"}'
    here.daemon.run("web", "--rm", "--", "sh", "-c", "sleep 1; exit 3")
    page = here.until(lambda page: page.get(died) == 1, 20)
    assert page['tierwatch_container_exit_code{name="web"}'] == 3
    here.daemon.run("web", "--", "sleep", "1000")
    assert here.state("web", "running")[died] == 0
    here.docker("rm", "-f", "web")
    assert here.state("web", "missing")[died] == 0


def test_unhealthy(here: Here) -> None:
    check = ["--health-cmd", "test ! -e /tmp/bad", "--health-interval", "0.5s", "--health-retries", "1"]
    here.daemon.run("sick", *check, "--", "sleep", "1000")
    here.until(lambda page: page.get('container_health_state{name="sick"}') == 1, 10)
    here.docker("exec", "sick", "touch", "/tmp/bad")
    page = here.until(lambda page: page['tierwatch_container_health{name="sick",health="unhealthy"}'] == 1, 10)
    assert page['container_health_state{name="sick"}'] == 0
    assert page[of("sick", "running")] == 1


def test_a_restart_loop(here: Here) -> None:
    here.daemon.run("db", "--restart", "always", "--", "sh", "-c", "exit 3")
    page = here.until(lambda page: page.get('tierwatch_container_restarts_total{name="db"}', 0) >= 3, 10)
    assert page['tierwatch_container_wanted_died{name="db",service="data"}'] == 0, "Docker starts it again"
    page = here.state("db", "restarting", 5)
    assert page['tierwatch_container_exit_code{name="db"}'] == 3


def test_a_process_killed_behind_dockers_back_heals_by_its_policy(here: Here) -> None:
    here.daemon.run("web", "--restart", "always", "--", "sleep", "1000")
    here.state("web", "running")
    os.kill(int(here.docker("inspect", "-f", "{{.State.Pid}}", "web")), signal.SIGKILL)
    page = here.until(lambda page: page['tierwatch_container_restarts_total{name="web"}'] == 1, 5)
    assert page['tierwatch_container_wanted_died{name="web",service="shop"}'] == 0
    here.state("web", "running", 5)


def test_a_new_name_a_new_container_under_an_old_one_and_none(here: Here) -> None:
    compose = ["--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service=front"]
    here.daemon.run("web", *compose, "--", "sleep", "1000")
    here.state("web", "running")
    # As compose does it: the old one gets another name, the new one its name, the old one is stopped and removed.
    here.docker("rename", "web", "old_web")
    page = here.state("old_web", "running")
    assert page[of("web", "missing")] == 1
    made = here.daemon.run("web", *compose, "--", "sleep", "1000")
    here.docker("rm", "-f", "old_web")
    page = here.state("old_web", "missing")
    assert page[of("web", "running")] == 1
    (info,) = [name for name in page if name.startswith('tierwatch_container_info{name="web"')]
    assert f'id="{made[:12]}"' in info
    assert 'compose_project="shop",compose_service="front"' in info
    here.docker("rm", "-f", "web")
    page = here.state("web", "missing")
    assert page['tierwatch_container_wanted_up{name="web",service="shop"}'] == 0
    assert page['container_last_seen{name="web"}'] > 0


def test_a_change_is_told_to_who_listens(here: Here) -> None:
    before = here.page()
    here.daemon.run("web", "--", "sleep", "1000")
    here.state("web", "running")
    after = here.page()
    if (told := 'tierwatch_exporter_events_total{kind="container"}') in before:
        assert after[told] > before[told]
    assert after["tierwatch_docker_events_total"] > before["tierwatch_docker_events_total"]


def test_requests_that_ollama_refuses_are_counted_from_its_log(here: Here) -> None:
    """As a container that logs what Ollama does; it is made, ends and is started again."""
    line = '[GIN] 2026/11/23 - 11:42:21 | 503 |   42.044125ms |       127.0.0.1 | POST     "/api/chat"'
    follow = f"sleep 0.2; echo '{line}'; while test ! -e /tmp/more; do sleep 0.1; done; echo '{line}' >&2; sleep 1000"
    refused = 'tierwatch_ollama_requests_total{service="models",code="503"}'

    def count() -> float | None:
        text = here.running.get().decode()
        return next((float(row.split()[-1]) for row in text.splitlines() if row.startswith(refused)), None)

    def until(wanted: float) -> None:
        end = time.monotonic() + 40 * PATIENCE  # the follower may just have begun its longest pause
        while count() != wanted:
            assert time.monotonic() < end, (wanted, count())
            time.sleep(0.1)

    here.daemon.run("llm", "--", "sh", "-c", follow)
    until(1)
    here.docker("exec", "llm", "touch", "/tmp/more")
    until(2)
    here.docker("restart", "-t", "0", "llm")
    until(4)


def test_a_daemon_that_is_restarted(here: Here) -> None:
    """Last of all: it takes the daemon's containers with it."""
    here.daemon.run("web", "--stop-timeout", "1", "--", "sleep", "1000")
    here.state("web", "running")
    here.daemon.stop()
    here.until(lambda page: page["tierwatch_docker_up"] == 0)
    here.until(lambda page: page.get('tierwatch_docker_down_info{reason="missing"}') == 1, 5)
    here.daemon.start()
    here.until(lambda page: page["tierwatch_docker_up"] == 1, 20)
    here.state("web", "exited", 5)


def test_the_exporter_keeps_no_secret(here: Here) -> None:
    here.daemon.run("web", "-e", "PASSWORD=do-not-tell", "--label", "token=do-not-tell", "--", "sleep", "1000")
    here.state("web", "running")
    assert b"do-not-tell" not in here.running.get()
