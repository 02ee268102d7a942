"""What goes on at a node while it is watched: containers that die and come again, jobs under ever new names, units that
crash and are killed, a service that is restarted, a textfile that is written anew."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.dockerd import Dockerd
from tests.support.real_systemd import RealSystemd
from tests.support.whole_services import Everything

WATCHED: dict[str, dict[str, Any]] = {
    "shop": {"kind": "process", "container": "web"},
    "worker": {"kind": "process", "unit": "web.service"},
    "looper": {"kind": "process", "unit": "loop.service"},
}
"""Services of the inventory that are watched by their container or unit."""


def start_containers(daemon: Dockerd, apps: int = 7) -> None:
    """``apps`` and one more that run, one whose health is asked, one that ends every 11 s (and is started again at
    once, as it ran for longer than 10 s), one that the kernel kills every 14 s for want of memory."""
    for number in range(apps):
        daemon.run(f"app{number}", "--label", f"com.docker.compose.service=app{number}", "--", "sleep", "1000000")
    daemon.run("web", "--restart", "always", "--", "sleep", "1000000")
    daemon.run("asked", "--health-cmd", "true", "--health-interval", "5s", "--", "sleep", "1000000")
    daemon.run("again", "--restart", "always", "--", "sh", "-c", "sleep 11; exit 3")
    hungry = "sleep 14; x=$(tail -c 100000000 /dev/zero); exit 137"
    daemon.run("hungry", "--memory", "8m", "--restart", "always", "--", "sh", "-c", hungry)


def start_units(systemd: RealSystemd) -> None:
    """One that runs, one that crashes every 3 s and is started again, one that has failed."""
    systemd.unit("web.service", "ExecStart=/bin/sleep infinity")
    loop = "ExecStart=/bin/sh -c 'sleep 2; exit 3'\nRestart=always\nRestartSec=1s"
    systemd.unit("loop.service", loop, "StartLimitIntervalSec=0")
    systemd.unit("bad.service", "ExecStart=/bin/false")
    systemd.systemctl("daemon-reload")
    systemd.systemctl("start", "web.service", "loop.service", "bad.service")


def write_textfile(folder: Path, number: int) -> None:
    """Fifty series, written as node_exporter asks for it: beside, then renamed."""
    rows = "".join(f'job_last_value{{job="j{at}"}} {number + at}\n' for at in range(50))
    beside = folder / "jobs.prom.part"
    beside.write_text(f"# HELP job_last_value Of a job.\n# TYPE job_last_value gauge\n{rows}")
    beside.rename(folder / "jobs.prom")


class Life:
    """Goes on in a thread of its own; ``faults`` are what it could not do."""

    def __init__(self, daemon: Dockerd, systemd: RealSystemd, services: Everything, textfiles: Path) -> None:
        self.faults: list[str] = []
        self.done = 0
        self._daemon = daemon
        self._systemd = systemd
        self._services = services
        self._textfiles = textfiles
        self._ended = threading.Event()
        self._jobs = itertools.count()
        # (seconds between, what happens)
        self._habits: tuple[tuple[float, Callable[[], object]], ...] = (
            (10.0, self._write),
            (60.0, self._job),
            (30.0, self._kill_unit),
            (45.0, services.restart_sessions),
            (60.0, self._kill_container),
            (300.0, services.leave_files),
        )

    def _write(self) -> None:
        write_textfile(self._textfiles, self.done)

    def _job(self) -> None:
        name = f"job{next(self._jobs)}"
        self._daemon.run(name, "--rm", "--", "sh", "-c", "sleep 2; exit 1")

    def _kill_unit(self) -> None:
        self._systemd.systemctl("kill", "-s", "KILL", "web.service")
        time.sleep(2)
        self._systemd.systemctl("start", "web.service")

    def _kill_container(self) -> None:
        os.kill(int(self._daemon.docker("inspect", "-f", "{{.State.Pid}}", "web")), 9)

    def run(self) -> None:
        due = [time.monotonic() + every for every, _ in self._habits]
        while not self._ended.wait(max(0.0, min(due) - time.monotonic())):
            at = due.index(min(due))
            every, act = self._habits[at]
            due[at] = time.monotonic() + every
            try:
                act()
                self.done += 1
            except Exception as error:  # the measurement goes on, and tells it at the end
                self.faults.append(f"{getattr(act, '__name__', act)}: {error}")

    def end(self) -> None:
        self._ended.set()


@contextmanager
def life(daemon: Dockerd, systemd: RealSystemd, services: Everything, textfiles: Path) -> Iterator[Life]:
    found = Life(daemon, systemd, services, textfiles)
    thread = threading.Thread(target=found.run, name="life")
    thread.start()
    try:
        yield found
    finally:
        found.end()
        thread.join()
