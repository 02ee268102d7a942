"""A node whose packets stop, an exporter that dies, a switch that dies, a bad network: what is told, and when."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.far_cluster import far_cluster
from tests.support.machine import slack

pytestmark = pytest.mark.acceptance


def test_what_vanishes_is_told_within_seconds_and_what_comes_back_in_time_is_not(tmp_path: Path) -> None:
    with far_cluster(tmp_path, 4) as cluster:
        wire, told = cluster.wire, cluster.receiver

        # Lost and late packets, and an exporter that is killed and comes back: nothing to tell.
        wire.loss, wire.delay = 0.05, (0.0, 0.08)
        left = time.monotonic()
        cluster.kill_exporter(2)
        cluster.start_exporter(2)
        away = time.monotonic() - left
        time.sleep(4.0)
        assert wire.lost > 0
        assert told.titles() == [], f"it was away for {away:.1f} s; after five a node is down"
        wire.loss, wire.delay = 0.0, (0.0, 0.0)
        cluster.until_open(4)

        # The exporter dies and stays dead. The first message of all: what sends it is loaded for it.
        killed = time.monotonic()
        cluster.kill_exporter(1)
        down = cluster.until_told(1, 20.0)
        assert down.json["title"].startswith("DOWN N1")
        assert down.at - killed < 9.0 + slack()
        cluster.start_exporter(1)
        assert cluster.until_told(2, 30.0).json["title"].startswith("RESOLVED")
        cluster.until_open(4)

        # A node that vanishes without a word.
        vanished = time.monotonic()
        wire.gone = {wire.node(1)}
        down = cluster.until_told(3, 20.0)
        assert down.json["title"].startswith("DOWN N1")
        assert down.at - vanished < 5.0 + slack()
        assert cluster.aggregator.own_metric("tierwatch_nodes_gone_total") == 1
        wire.gone = set()
        assert cluster.until_told(4, 30.0).json["title"].startswith("RESOLVED")
        cluster.until_open(4)

        # The switch dies: one message, not four.
        wire.gone = {wire.node(at) for at in range(1, 5)}
        all_gone = time.monotonic()
        assert "ClusterUnreachable" in cluster.until_told(5, 20.0).json["title"]
        assert told.posts[4].at - all_gone < 6.0 + slack()
        time.sleep(2.0)
        assert len(told.posts) == 5, told.titles()
