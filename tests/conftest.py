"""How tests share the machine: most run side by side, those that measure time do not.

``make units`` runs ``-n auto -m "not timed"``, then ``-m timed`` alone.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# An example's time says how busy the machine is.
settings.register_profile("tierwatch", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tierwatch")

# Recorded trees, thousands of folders without a test.
collect_ignore = ["fixtures", "golden", "promql", "rules"]

# Files with a test, or tests by the begin of their name, that say how soon something must happen, closer than a busy
# machine allows, or what it costs, or that compare two looks at this machine.
TIMED = (
    "tests/bench/",
    "tests/acceptance/test_event_storm.py",
    "tests/acceptance/test_exporter_peers.py::test_every_series_of_node_exporter_on_this_machine",
    "tests/acceptance/test_exporter_second_opinion.py",
    "tests/acceptance/test_probes_real.py::test_redis_that_stops",
    "tests/acceptance/test_probes_real.py::test_postgresql_that_stops",
    "tests/acceptance/test_service_events.py",
    "tests/acceptance/test_vanished_node.py",
    "tests/alerting/scrape/test_listener.py",
    "tests/alerting/scrape/test_patience.py",
    "tests/alerting/storage/test_budget.py",
    "tests/exporters/probes/test_watch.py",
    "tests/exporters/sources/test_systemd_watch.py",
    "tests/exporters/test_events.py",
    "tests/exporters/test_lanes.py",
    "tests/exporters/test_runner.py",
)
NOT_TIMED = ("tests/bench/test_bench_beside_prometheus.py", "tests/bench/test_bench_told.py")
# The tests of most files run in one process, one after the other. These take long and run wherever there is room; but
# not in files whose tests share what is made once for all of them, or fixed addresses.
APART = "tests/acceptance/"
TOGETHER = (
    "tests/acceptance/test_cgroup_v2_real.py",
    "tests/acceptance/test_containers.py",
    "tests/acceptance/test_demo.py",
    "tests/acceptance/test_probes_real.py",
    "tests/acceptance/test_promql_agrees_with_prometheus.py",
    "tests/acceptance/test_remote_querier.py",
    "tests/acceptance/test_systemd_real.py",
)
MOST_WORKERS = 8


def pytest_xdist_auto_num_workers() -> int:
    """Tests wait more than they work."""
    return min(MOST_WORKERS, 2 * (os.cpu_count() or 1))


class _Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        """What is done by one process."""
        file = nodeid.partition("::")[0]
        return nodeid if file.startswith(APART) and file not in TOGETHER else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _Scheduling:
    return _Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith(TIMED) and not item.nodeid.startswith(NOT_TIMED):
            item.add_marker(pytest.mark.timed)
        file = item.nodeid.partition("::")[0]
        if file.startswith(APART) and file not in TOGETHER and _shares(item):
            raise pytest.UsageError(f"{file}: its tests share a fixture; name it in TOGETHER of tests/conftest.py")


def _shares(item: pytest.Item) -> bool:
    """Whether something that the test uses is made once for several."""
    assert isinstance(item, pytest.Function)
    fixtures = item._fixtureinfo.name2fixturedefs.values()
    return any(fixture[-1].scope != "function" and fixture[-1].baseid for fixture in fixtures if fixture)
