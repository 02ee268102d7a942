"""Containers carry cAdvisor's names and types, so that its dashboards and rules work; promtool lints the rest."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

from exporters.catalog import containers
from exporters.catalog.metric import Metric
from exporters.collector import Family
from exporters.exposition import Renderer
from tests.support.peers import need

# https://github.com/google/cadvisor/blob/master/docs/storage/prometheus.md (as of commit 0210b11), and what it leaves
# out but metrics/prometheus.go exports: container_threads, container_health_state, container_oom_events_total.
CADVISOR = {
    "counter": """
        container_cpu_cfs_periods_total container_cpu_cfs_throttled_periods_total
        container_cpu_cfs_throttled_seconds_total container_cpu_system_seconds_total container_cpu_usage_seconds_total
        container_cpu_user_seconds_total container_fs_reads_bytes_total container_fs_reads_total
        container_fs_writes_bytes_total container_fs_writes_total container_memory_failcnt
        container_network_receive_bytes_total container_network_receive_packets_dropped_total
        container_network_receive_packets_total container_network_receive_errors_total
        container_network_transmit_bytes_total container_network_transmit_packets_total
        container_network_transmit_packets_dropped_total container_network_transmit_errors_total
        container_oom_events_total
    """,
    "gauge": """
        container_last_seen container_memory_cache container_memory_rss container_memory_usage_bytes
        container_memory_working_set_bytes container_spec_cpu_period container_spec_cpu_quota
        container_spec_memory_limit_bytes container_start_time_seconds container_threads container_health_state
    """,
}


def declared() -> Iterator[Metric]:
    for value in vars(containers).values():
        found = value.values() if isinstance(value, dict) else (value,)
        yield from (metric for metric in found if isinstance(metric, Metric))


def test_names_and_types_are_cadvisors() -> None:
    ours = {metric.name: metric.kind for metric in declared() if metric.name.startswith("container_")}
    assert ours == {name: kind for kind, names in CADVISOR.items() for name in names.split()}


def test_what_cadvisor_does_not_have_is_ours_by_name() -> None:
    assert {metric.name.partition("_")[0] for metric in declared()} == {"container", "tierwatch"}


def test_labels_are_cadvisors_and_none_lives_only_as_long_as_a_container() -> None:
    for metric in declared():
        if metric.name.startswith("container_"):
            assert metric.labels[:2] == ("name", "image")
            assert set(metric.labels[2:]) <= {"cpu", "interface", "device"}
        elif metric is not containers.INFO:
            assert "id" not in metric.labels


def test_promtool_has_nothing_to_say_but_of_cadvisors_own_names() -> None:
    page = Renderer().render(Family(metric, [(tuple("x" for _ in metric.labels), 1.0)]) for metric in declared())
    done = subprocess.run(
        [need("promtool"), "check", "metrics"], input=page, capture_output=True, timeout=60, check=False
    )
    told = {line.split()[0] for line in (done.stdout + done.stderr).decode().splitlines() if line.strip()}
    assert told == {"container_memory_failcnt"}  # a counter without _total
