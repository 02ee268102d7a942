"""A bad network, and things that restart cleanly within their allowed time: nobody is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.restless import restless

pytestmark = pytest.mark.acceptance


def test_nothing_is_told_of_clean_restarts_behind_a_bad_network(tmp_path: Path) -> None:
    with restless(tmp_path) as found:
        # All that should be watched is: a test of silence must be one of what speaks.
        for expression in (
            'tierwatch_container_wanted_up{name="app"} == 1',
            'tierwatch_systemd_unit_wanted{name="web.service"} == 1',
            'tierwatch_service_state{service="cache",state="up"} == 1',
        ):
            found.cluster.aggregator.until_value(expression)
        done = found.go_on(7, quicker=10)
        assert all(done[f"restart of a {what}"] for what in ("container", "unit", "Redis")), done
        assert found.cluster.wire.lost > 0
        assert found.cluster.receiver.titles() == []
        found.docker.docker("kill", "app")
        assert found.cluster.until_told(1, 30.0).json["title"].startswith("DOWN N1"), "one that ends is told"
