"""The exporter as its owner starts it, beside real services: what stops is told on /events and seen at /metrics within
half a second, a scrape waits for no service, and no password is anywhere on the page."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.exporter_process import ExporterProcess, exporter
from tests.support import real_services
from tests.support.machine import slack

pytestmark = pytest.mark.acceptance
INVENTORY = """\
cluster: small
network:
  cidr: 127.0.0.0/8
  router: {{address: 127.0.0.254}}
tiers: {{1: All}}
nodes:
  SOLO:
    address: 127.0.0.1
    tier: 1
    board: generic
    memory: 8GiB
    disk: 1TB
    services:
      cache: {{kind: redis, port: {redis}, probe: {{password_file: redis.password}}}}
      stuck: {{kind: http, port: {stuck}, probe: {{timeout: 1s, grace: 0s}}}}
      gone: {{kind: postgresql, port: {gone}, probe: {{grace: 0s}}}}
      backup: {{kind: backup-coordination, probe: {{files: [{folder}/*.dump], max_age: 1h}}}}
"""


def state(node: ExporterProcess, service: str) -> str:
    found = re.findall(rf'tierwatch_service_state{{service="{service}",.*state="(\w+)"}} 1.0', node.get().decode())
    assert len(found) == 1
    return str(found[0])


@contextmanager
def events(node: ExporterProcess) -> Iterator[Callable[[float], list[bytes]]]:
    """Lines of the stream as they come; called with the seconds to listen for."""
    host, port = node.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as sock:
        sock.sendall(f"GET /events HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())

        def until_service(seconds: float) -> list[bytes]:
            lines: list[bytes] = []
            end = time.monotonic() + seconds
            while time.monotonic() < end and not any(b"service" in line for line in lines):
                sock.settimeout(max(0.01, end - time.monotonic()))
                try:
                    lines += sock.recv(65536).splitlines()
                except TimeoutError:
                    break
            return [line for line in lines if b"service" in line]

        yield until_service


def test_services_of_a_node(tmp_path: Path) -> None:
    secret = "a-secret-that-nobody-sees"
    (tmp_path / "redis.password").write_text(f"{secret}\n")
    (tmp_path / "last.dump").write_text("x")
    data = tmp_path / "redis"
    data.mkdir()
    with socket.create_server(("127.0.0.1", 0), backlog=8) as silent:
        with real_services.redis(data, "--requirepass", secret) as (port, server):
            text = INVENTORY.format(
                redis=port, stuck=silent.getsockname()[1], gone=real_services.free_port(), folder=tmp_path
            )
            (tmp_path / "cluster.yaml").write_text(text)
            with exporter("--config", str(tmp_path), "--node", "SOLO") as node, events(node) as until_service:
                real_services.within(10, lambda: state(node, "stuck") == "down", "the stuck service")
                assert {name: state(node, name) for name in ("cache", "gone", "backup")} == {
                    "cache": "up",
                    "gone": "down",
                    "backup": "up",
                }
                until_service(0.3)
                begun = time.monotonic()
                page = node.get().decode()
                assert time.monotonic() - begun < 0.3 + slack(), "a scrape waits for no service"
                assert secret not in page
                assert 'redis_up{service="cache"} 1.0' in page
                assert f'backup_last_size_bytes{{service="backup",files="{tmp_path}/*.dump"}} 1.0' in page
                stopped = time.monotonic()
                server.terminate()
                assert until_service(5.0), "nobody was told"
                assert state(node, "cache") == "down"
                assert time.monotonic() - stopped < 0.5 + slack()
                assert 'redis_up{service="cache"} 0.0' in node.get().decode()
