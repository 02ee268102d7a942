"""A reading made into families: states, what is unknown, what is not there, how old it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from exporters.collector import CollectorFailed
from exporters.collectors.systemd import Systemd, read_units, watched
from exporters.registry import build
from exporters.sources.systemd import Details, Reading, Unit
from exporters.sources.systemd_watch import STALE_SECONDS, UnitWatch
from tests.exporters.support import samples, settings

READING = Reading(
    at=100.0,
    source="bus",
    units=(
        Unit(
            "web.service", "loaded", "active", "running", details=Details("notify", "success", 2, 4096, 3, 99, 1000.5)
        ),
        Unit("loop.service", "loaded", "activating", "auto-restart", details=Details("simple", "exit-code", 7)),
        Unit("gone.service", "not-found", "inactive", "dead"),
        Unit("db.service", "loaded", "reloading", "reload", details=Details("forking")),
        Unit("data.mount", "loaded", "failed", "failed"),
    ),
    timers=(Unit("rotate.timer", "loaded", "active", "waiting", details=Details(triggered=5.5)),),
    running="degraded",
    version="252.39-1~deb12u2",
    failed=1,
)
SERVICES = {"web.service": ["nginx", "api"], "gone.service": ["redis"]}


def states(name: str) -> set[str]:
    found = samples(read_units(READING, SERVICES))
    return {labels[2] for labels, value in found.items() if labels[:2] == ("node_systemd_unit_state", name) and value}


def test_states() -> None:
    found = samples(read_units(READING, SERVICES))
    assert sum(labels[:2] == ("node_systemd_unit_state", "web.service") for labels in found) == 5
    assert found["node_systemd_unit_state", "web.service", "active", "notify"] == 1
    assert states("loop.service") == {"activating"}
    assert states("db.service") == {"active"}
    assert states("data.mount") == {"failed"}
    # A unit that is not there has no state, and says so where it is wanted.
    assert states("gone.service") == set()
    assert found["tierwatch_systemd_unit_wanted", "gone.service", "redis"] == 0
    assert found["tierwatch_systemd_unit_wanted", "web.service", "api"] == 1


def test_details() -> None:
    found = samples(read_units(READING, SERVICES))
    assert found["node_systemd_service_restart_total", "loop.service"] == 7
    assert found["tierwatch_systemd_unit_auto_restart", "loop.service"] == 1
    assert found["tierwatch_systemd_unit_auto_restart", "web.service"] == 0
    assert found["tierwatch_systemd_unit_result", "loop.service", "exit-code"] == 1
    assert found["tierwatch_systemd_unit_memory_bytes", "web.service"] == 4096
    assert found["node_systemd_unit_tasks_current", "web.service"] == 3
    assert found["node_systemd_unit_start_time_seconds", "web.service"] == 1000.5
    assert found["node_systemd_timer_last_trigger_seconds", "rotate.timer"] == 5.5
    assert found["node_systemd_system_running",] == 0
    assert found["node_systemd_version", "252.39-1~deb12u2"] == 252.39
    assert found["tierwatch_systemd_units_failed",] == 1
    # What systemd does not count is no sample; a mount has no restarts.
    assert ("tierwatch_systemd_unit_memory_bytes", "loop.service") not in found
    assert ("node_systemd_unit_start_time_seconds", "loop.service") not in found
    assert ("node_systemd_service_restart_total", "data.mount") not in found


class Fixed(UnitWatch):
    def __init__(self, reading: Reading | None, fault: str = "") -> None:
        self.reading = reading
        self.fault = fault

    def latest(self, patience: float = 0.0) -> Reading | None:
        return self.reading


def test_an_old_reading_is_a_failure_that_says_why() -> None:
    fresh = samples(Systemd(Fixed(READING), SERVICES, lambda: 104.0).collect())
    assert fresh["tierwatch_systemd_reading_age_seconds",] == 4
    late = STALE_SECONDS + 101
    with pytest.raises(CollectorFailed, match="system bus: it hung up"):
        Systemd(Fixed(READING, "system bus: it hung up"), SERVICES, lambda: late).collect()
    with pytest.raises(CollectorFailed, match="has not answered yet"):
        Systemd(Fixed(None), SERVICES).collect()


def test_a_node_without_systemd_has_no_such_collector() -> None:
    assert "systemd" not in build(settings("vm"))


def test_the_watch_ends_with_the_exporter() -> None:
    ends: list[Callable[[], None]] = []
    collector = watched(replace(settings("vm"), on_stop=ends.append))
    with pytest.raises(CollectorFailed, match="system bus"):
        collector.collect()
    [end] = ends
    end()
