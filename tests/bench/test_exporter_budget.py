"""What the exporter may cost: resident memory, and CPU for a scrape beside node_exporter in the same run."""

from __future__ import annotations

import http.client
import subprocess
import time
from collections.abc import Callable
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.acceptance.exporter_process import cpu_seconds, exporter
from tests.support.peers import need
from tests.support.ports import free_port

pytestmark = pytest.mark.bench

# 45 MiB with everything on (test_whole_node_budget); containers, units, probes and the board share what is left.
RESIDENT_BYTES = 40 * 1024 * 1024
SCRAPES = 100
# The collectors of node_exporter whose series we have too.
SHARED = [
    "arp",
    "conntrack",
    "cpu",
    "cpufreq",
    "diskstats",
    "entropy",
    "filefd",
    "filesystem",
    "hwmon",
    "loadavg",
    "meminfo",
    "netclass",
    "netdev",
    "netstat",
    "os",
    "pressure",
    "processes",
    "sockstat",
    "softnet",
    "stat",
    "thermal_zone",
    "time",
    "timex",
    "udp_queues",
    "uname",
    "vmstat",
]


def cost(pid: int, address: str) -> float:
    """CPU milliseconds of a process for one of ``SCRAPES`` scrapes as Prometheus makes them."""
    connection = http.client.HTTPConnection(address)
    before = 0.0
    for number in range(SCRAPES + 5):
        if number == 5:  # the first ones fill caches
            before = cpu_seconds(pid)
        connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
        connection.getresponse().read()
        time.sleep(0.005)
    connection.close()
    return (cpu_seconds(pid) - before) / SCRAPES * 1000


def test_memory_and_cpu(record_property: Callable[[str, object], None]) -> None:
    program = need("prometheus-node-exporter")
    address = f"127.0.0.1:{free_port()}"
    options = [f"--collector.{name}" for name in SHARED]
    words = [program, f"--web.listen-address={address}", "--collector.disable-defaults", *options]
    theirs = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    try:
        wait_for(address)
        with exporter() as running:
            ours_ms = cost(running.process.pid, running.url.removeprefix("http://"))
            theirs_ms = cost(theirs.pid, address)
            resident = running.resident_bytes()
    finally:
        theirs.terminate()
        theirs.wait(10)
    text = f"{resident / 2**20:.1f} MiB resident; {ours_ms:.1f} ms of CPU a scrape, node_exporter {theirs_ms:.1f} ms"
    record_property("exporter", text)
    print(text)
    assert resident < RESIDENT_BYTES, text
    assert ours_ms <= theirs_ms, text


def wait_for(address: str) -> None:
    end = time.monotonic() + 20
    while True:
        try:
            with urlopen(f"http://{address}/", timeout=5):
                return
        except URLError:
            assert time.monotonic() < end, f"{address} does not answer"
            time.sleep(0.05)
