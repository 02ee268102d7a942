"""How tests share the machine: most run side by side, those that measure time do not.

``make units`` runs ``-n auto --dist loadgroup -m "not timed"``, then ``-m timed`` alone.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# An example's time says how busy the machine is.
settings.register_profile("tierwatch", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tierwatch")

# Recorded trees, thousands of folders without a test.
collect_ignore = ["fixtures", "golden", "promql", "rules"]

# Files with a test, or tests by the begin of their name, that say how soon something must happen, closer than a busy
# machine allows, or what it costs, or that compare two looks at this machine.
TIMED = (
    "tests/bench/",
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
# Files whose tests use the same fixed addresses.
ONE_AFTER_THE_OTHER = ("tests/acceptance/test_demo.py",)
MOST_WORKERS = 8


def pytest_xdist_auto_num_workers() -> int:
    """Tests wait more than they work."""
    return min(MOST_WORKERS, 2 * (os.cpu_count() or 1))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith(TIMED) and not item.nodeid.startswith(NOT_TIMED):
            item.add_marker(pytest.mark.timed)
        if not _can_run_apart(item):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


def _can_run_apart(item: pytest.Item) -> bool:
    """Whether the other tests of its file may run elsewhere: long ones, that share nothing made for the file."""
    if item.get_closest_marker("acceptance") is None or item.nodeid.startswith(ONE_AFTER_THE_OTHER):
        return False
    assert isinstance(item, pytest.Function)
    fixtures = item._fixtureinfo.name2fixturedefs.values()
    return all(fixture[-1].scope == "function" or not fixture[-1].baseid for fixture in fixtures if fixture)
