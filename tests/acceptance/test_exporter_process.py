from __future__ import annotations

import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from urllib.error import HTTPError

import pytest

from tests.acceptance.exporter_process import command, exporter
from tests.support.machine import PATIENCE, slack

pytestmark = pytest.mark.acceptance


def test_it_tells_this_machine_and_stops_on_sigterm() -> None:
    with exporter() as running:
        page = running.get().decode()
        (boot,) = [line.split()[1] for line in Path("/proc/stat").read_text().splitlines() if "btime" in line]
        (told,) = [line.split()[1] for line in page.splitlines() if line.startswith("node_boot_time_seconds ")]
        assert float(told) == pytest.approx(float(boot), abs=1)  # the kernel rounds it anew at each read
        assert 'tierwatch_exporter_node_info{node="PI41",tier="4"' in page
        assert 'node_scrape_collector_success{collector="filesystem"} 1.0\n' in page
        assert running.get("/-/healthy") == b"Tierwatch exporter is healthy.\n"
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(timeout=10 * PATIENCE) == 0


def test_systemd_is_told(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{tmp_path}/notify")
        manager.settimeout(20 * PATIENCE)
        environment = {"NOTIFY_SOCKET": f"{tmp_path}/notify", "WATCHDOG_USEC": "200000"}
        with exporter(environment=environment) as running:
            assert manager.recv(100) == b"READY=1"
            assert manager.recv(100) == b"WATCHDOG=1"
            running.process.send_signal(signal.SIGTERM)
            while (state := manager.recv(100)) == b"WATCHDOG=1":
                pass
            assert state == b"STOPPING=1"


def test_an_unknown_node() -> None:
    done = subprocess.run(command(node="PI99"), capture_output=True, timeout=30 * PATIENCE, check=False)
    assert done.returncode == 2
    assert done.stderr.decode().startswith("tierwatch exporter: no node 'PI99' in the inventory; there are PI51")


def test_a_taken_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            command("--listen", f"127.0.0.1:{port}"), capture_output=True, timeout=30 * PATIENCE, check=False
        )
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: another program listens there" in done.stderr.decode()


def test_an_address_of_another_machine() -> None:
    done = subprocess.run(
        command("--listen", "192.0.2.1:9191"), capture_output=True, timeout=30 * PATIENCE, check=False
    )
    assert done.returncode == 1
    assert "cannot listen on 192.0.2.1:9191: this machine has no such address" in done.stderr.decode()


def test_many_clients_at_once_and_clients_that_go_away() -> None:
    with exporter() as running:
        host, port = running.url.removeprefix("http://").split(":")
        for _ in range(20):
            with socket.create_connection((host, int(port)), timeout=5 * PATIENCE) as client:
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        failures: list[Exception] = []

        def scrape() -> None:
            try:
                assert b"node_load1" in running.get()
            except (AssertionError, HTTPError) as error:
                failures.append(error)

        threads = [threading.Thread(target=scrape) for _ in range(20)]
        begun = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20 * PATIENCE)
        assert not failures
        assert time.monotonic() - begun < 10 + slack()
