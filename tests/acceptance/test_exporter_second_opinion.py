"""psutil reads the same machine on its own: what both know must agree."""

from __future__ import annotations

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.exporter_process import exporter

pytestmark = pytest.mark.acceptance


def test_what_psutil_knows_of_this_machine_agrees() -> None:
    with exporter() as running:
        page = running.get().decode()
        disk = psutil.disk_usage("/")
        memory = psutil.virtual_memory()
        swap = psutil.swap_memory()
        network = psutil.net_io_counters(pernic=True)
        times = psutil.cpu_times()
    values = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }

    def total(name: str, **labels: str) -> float:
        wanted = set(labels.items())
        return sum(value for key, value in values.items() if key[0] == name and wanted <= key[1])

    assert total("node_memory_MemTotal_bytes") == memory.total
    assert total("node_memory_MemAvailable_bytes") == pytest.approx(memory.available, rel=0.1)
    assert total("node_memory_SwapTotal_bytes") == swap.total
    assert total("node_boot_time_seconds") == pytest.approx(psutil.boot_time(), abs=2)
    assert total("node_filesystem_size_bytes", mountpoint="/") == pytest.approx(disk.total, rel=0.2)
    cores = {dict(key[1])["cpu"] for key in values if key[0] == "node_cpu_seconds_total"}
    assert len(cores) == psutil.cpu_count()
    assert total("node_cpu_seconds_total", mode="user") == pytest.approx(times.user, rel=0.05, abs=5)
    assert total("node_cpu_seconds_total", mode="idle") == pytest.approx(times.idle, rel=0.05, abs=5)
    assert total("node_network_receive_bytes_total", device="lo") <= network["lo"].bytes_recv
    assert total("node_load1") == pytest.approx(psutil.getloadavg()[0], abs=1)
