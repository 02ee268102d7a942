"""An exporter with everything on: a recorded Jetson whose tegrastats runs, containers, units, services of every kind,
the port audit, the kernel's log, a textfile folder."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from config.yamlfile import dump
from tests.acceptance.exporter_process import ROOT, ExporterProcess
from tests.support import real_services
from tests.support.machine import PATIENCE

DEMO = ROOT / "deploy" / "demo"
BOARD = DEMO / "boards" / "AGX0"


def inventory(port: int, services: Mapping[str, Any]) -> dict[str, Any]:
    """``cluster.yaml`` of one Jetson at 127.0.0.1, which is its own hub: it asks router and way out too."""
    node = {
        "address": "127.0.0.1",
        "tier": 1,
        "board": "jetson-agx-orin-64gb",
        "memory": "64GiB",
        "disk": "2TB",
        "cuda_cores": 2048,
        "exporter_port": port,
        "services": dict(services),
    }
    network = {"cidr": "127.0.0.0/8", "router": {"address": "127.0.0.254", "wan": ["127.0.0.253", "127.0.0.252"]}}
    return {"cluster": "whole", "network": network, "tiers": {1: "Only"}, "nodes": {"AGX0": node}}


def host_root(folder: Path, bus: Path) -> Path:
    """A root folder that is this machine's, but for its /run/dbus and /run/systemd: ``bus`` is where systemd's socket
    is."""
    root = folder / "root"
    (root / "run" / "dbus").mkdir(parents=True)
    (root / "run" / "systemd" / "system").mkdir(parents=True)
    (root / "run" / "dbus" / "system_bus_socket").symlink_to(bus)
    for entry in (*Path("/").iterdir(), *Path("/run").iterdir()):
        place = root / entry.relative_to("/")
        if not place.exists():
            place.symlink_to(entry)
    return root


@contextmanager
def whole_exporter(folder: Path, services: Mapping[str, Any], docker: Path, bus: Path) -> Iterator[ExporterProcess]:
    """Running and listening; ``folder/config`` gets the inventory, ``folder/textfile`` is its textfile folder, what it
    logs is in ``folder/exporter.log``."""
    port = real_services.free_port()
    config, textfile = folder / "config", folder / "textfile"
    for made in (config, textfile):
        made.mkdir(exist_ok=True)
    (config / "cluster.yaml").write_text(dump(inventory(port, services)))
    replay = [sys.executable, "-B", str(DEMO / "tegrastats_replay.py"), str(BOARD / "tegrastats.txt")]
    words = [sys.executable, str(ROOT / "tierwatch.py"), "exporter", "--config", str(config), "--node", "AGX0"]
    words += ["--path.rootfs", str(host_root(folder, bus)), "--docker.socket", str(docker)]
    words += ["--path.board", str(BOARD), "--tegrastats", shlex.join(replay)]
    words += ["--collector.textfile.directory", str(textfile)]
    log = folder / "exporter.log"
    with log.open("wb") as file:
        process = subprocess.Popen(words, stdout=file, stderr=file, cwd=ROOT)
    try:
        made_url = f"http://127.0.0.1:{port}"
        _until_healthy(process, made_url, log)
        yield ExporterProcess(process, made_url)
    finally:
        process.terminate()
        try:
            process.wait(10 * PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def _until_healthy(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + 20 * PATIENCE
    while True:
        try:
            with urllib.request.urlopen(f"{url}/-/healthy", timeout=1):
                return
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
