"""The exporter beside the programs it must agree with: node_exporter, promtool, Prometheus."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.exporter_process import exporter
from tests.exporters.support import HOSTS
from tests.support.machine import PATIENCE
from tests.support.peers import need
from tests.support.ports import free_port

pytestmark = pytest.mark.acceptance

Series = tuple[str, tuple[tuple[str, str], ...]]

# Collectors that read the trees they are given; the others ask the kernel.
SHARED = ("cpu", "cpufreq", "diskstats", "hwmon", "meminfo", "netdev", "os", "stat", "thermal_zone")
LIVE = (
    *SHARED,
    "arp",
    "conntrack",
    "entropy",
    "filefd",
    "loadavg",
    "netclass",
    "netstat",
    "pressure",
    "processes",
    "sockstat",
    "softnet",
    "time",
    "timex",
    "udp_queues",
    "uname",
    "vmstat",
)

# What we leave out, and why.
LEFT_OUT = re.compile(
    r"node_exporter_build_info|go_|promhttp_|process_virtual_memory_max_bytes"
    r"|node_scrape_collector_"  # collectors without hardware have no success here
    r"|.*device=(zram|veth)"  # as node_exporter itself since 1.6; interfaces that live as long as a container
    r"|node_network_speed_bytes"  # -1 is "unknown", no speed
    r"|node_processes_threads_state"  # reads every thread of every process
    r"|node_processes_state"  # states come and go between the two pages
    r"|node_thermal_zone_temp type=gpu-thermal"  # -256: the sensor is off
    r"|node_hwmon_temp_min_celsius"  # -273.15: no limit
    r"|node_hwmon_in_volts chip=i2c_1_1_0040 sensor=in3|node_hwmon_temp_celsius chip=i2c_1_1_0040 sensor=temp9"
)


@contextmanager
def node_exporter(*options: str) -> Iterator[str]:
    """The real one, without collectors but those asked for; gives its page."""
    program = need("prometheus-node-exporter")
    port = free_port()
    words = [program, f"--web.listen-address=127.0.0.1:{port}", "--collector.disable-defaults", *options]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    try:
        yield wait_for_page(f"http://127.0.0.1:{port}/metrics")
    finally:
        process.terminate()
        process.wait(10 * PATIENCE)


def wait_for_page(url: str) -> str:
    end = time.monotonic() + 20 * PATIENCE
    while True:
        try:
            with urlopen(url, timeout=5 * PATIENCE) as answer:
                text: str = answer.read().decode()
        except OSError:
            assert time.monotonic() < end, f"{url} does not answer"
            time.sleep(0.05)
        else:
            return text


def series(page: str) -> dict[Series, float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def comments(page: str, kind: str) -> dict[str, str]:
    return dict(line.split(" ", 3)[2:] for line in page.splitlines() if line.startswith(f"# {kind} node_"))


def missing(theirs: dict[Series, float], ours: dict[Series, float]) -> list[str]:
    """Series that we do not tell, without those left out on purpose."""
    told = [" ".join([name, *(f"{k}={v}" for k, v in labels)]) for name, labels in theirs if (name, labels) not in ours]
    return sorted(text for text in told if not LEFT_OUT.match(text))


def test_every_series_of_node_exporter_on_this_machine() -> None:
    options = [f"--collector.{name}" for name in LIVE]
    with node_exporter(*options, "--collector.netdev.device-exclude=^lo$") as theirs, exporter() as running:
        ours = running.get().decode()
    assert missing(series(theirs), series(ours)) == []
    for kind in ("TYPE", "HELP"):
        their_text, our_text = comments(theirs, kind), comments(ours, kind)
        differing = {name for name in their_text if our_text.get(name, their_text[name]) != their_text[name]}
        assert {name for name in differing if not name.startswith("node_scrape_collector")} == set()


@pytest.mark.parametrize("host", ["vm", "pi"])
def test_every_series_and_value_of_a_recorded_host(host: str) -> None:
    tree = HOSTS / host
    paths = (f"--path.procfs={tree}/proc", f"--path.sysfs={tree}/sys", f"--path.rootfs={tree}")
    udev = f"--path.udev.data={tree}/run/udev/data"
    options = [f"--collector.{name}" for name in SHARED if name != "os"]
    with (
        node_exporter(*paths, udev, *options, "--no-collector.netdev.netlink") as page,
        exporter(*paths) as running,
    ):
        theirs, ours = series(page), series(running.get().decode())
    theirs = {key: value for key, value in theirs.items() if not key[0].startswith("process_")}
    assert missing(theirs, ours) == []
    common = {key for key in theirs if key in ours and not key[0].startswith("node_scrape_")}
    assert len(common) > 100
    flags = re.compile(r"node_hwmon_\w+_(alarm|enable)_(volts|amps|celsius)")  # they scale these: 0.001 for an alarm
    wrong = {key: (theirs[key], ours[key]) for key in common if theirs[key] != pytest.approx(ours[key], rel=1e-12)}
    assert {key for key in wrong if not flags.fullmatch(key[0])} == set()


def test_promtool_finds_nothing_but_the_names_of_node_exporter(tmp_path: Path) -> None:
    """The kernel's field names are part of these metrics' names; node_exporter's own check leaves them out too."""
    promtool = need("promtool")
    (tmp_path / "a.prom").write_text('# HELP job_ok Whether.\n# TYPE job_ok gauge\njob_ok{job="a b"} 1\n')
    kernel = re.compile(r"node_(entropy|memory|netstat)_\w+ ")
    for paths in ((), (f"--path.procfs={HOSTS}/pi/proc", f"--path.sysfs={HOSTS}/pi/sys", f"--path.rootfs={HOSTS}/pi")):
        with exporter(*paths, f"--collector.textfile.directory={tmp_path}") as running:
            page = running.get()
        done = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, timeout=30, check=False)
        complaints = (done.stdout + done.stderr).decode().splitlines()
        assert [line for line in complaints if not kernel.match(line)] == []


def test_a_real_prometheus_scrapes_it(tmp_path: Path) -> None:
    prometheus = need("prometheus")
    port = free_port()
    with exporter() as running:
        target = running.url.removeprefix("http://")
        (tmp_path / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s}\n"
            f"scrape_configs: [{{job_name: node, static_configs: [{{targets: ['{target}']}}]}}]\n"
        )
        words = [prometheus, f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
        process = subprocess.Popen(
            [*words, f"--web.listen-address=127.0.0.1:{port}"], stderr=subprocess.PIPE, cwd=tmp_path
        )
        try:
            wait_for_page(f"http://127.0.0.1:{port}/-/healthy")
            end = time.monotonic() + 20 * PATIENCE
            while sum(answer(port, "sum_over_time(up[1m])")) < 3:
                assert time.monotonic() < end, f"up is {answer(port, 'up')}"
                time.sleep(0.2)
            assert answer(port, "scrape_samples_scraped")[0] > 100
            (share,) = answer(port, "node_filesystem_avail_bytes{mountpoint='/'} / node_filesystem_size_bytes")
            assert 0 < share < 1
            health = wait_for_page(f"http://127.0.0.1:{port}/api/v1/targets")
            (scraped,) = json.loads(health)["data"]["activeTargets"]
            assert (scraped["health"], scraped["lastError"]) == ("up", "")
        finally:
            process.terminate()
            _, log = process.communicate(timeout=20 * PATIENCE)
    assert "level=warn" not in "\n".join(line for line in log.decode().splitlines() if "scrape" in line)


def answer(port: int, query: str) -> list[float]:
    """Values of an instant query."""
    text = wait_for_page(f"http://127.0.0.1:{port}/api/v1/query?query={quote(query)}")
    return [float(row["value"][1]) for row in json.loads(text)["data"]["result"]]
