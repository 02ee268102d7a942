"""The real aggregator process against a node that goes and comes, and a receiver that does too."""

from __future__ import annotations

import http.client
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from alerting.storage.lock import alone
from tests.support.aggregator import RULES, Aggregator
from tests.support.machine import PATIENCE, slack
from tests.support.node_page import NodePage
from tests.support.receiver import HttpReceiver

pytestmark = pytest.mark.acceptance


def until(true: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds * PATIENCE
    while not true():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def test_a_node_that_goes_is_told_once_and_its_return_once(
    aggregator: Aggregator, node: NodePage, phone: HttpReceiver
) -> None:
    aggregator.start()
    node.down()
    phone.wait_for(1, 15)
    time.sleep(3)
    assert phone.titles() == ["DOWN ONE (tier 1, Only)"]
    assert "Web broken" in phone.posts[0].json["message"]
    node.up()
    phone.wait_for(2, 15)
    time.sleep(2)
    assert [title.partition(",")[0] for title in phone.titles()] == ["DOWN ONE (tier 1", "RESOLVED ONE (tier 1"]
    assert aggregator.stop() == 0


def test_what_could_not_be_told_before_a_kill_is_told_once_after_it(
    aggregator: Aggregator, node: NodePage, phone: HttpReceiver
) -> None:
    aggregator.start()
    phone.down()
    node.down()
    until(lambda: (aggregator.own_metric('tierwatch_notification_failed_attempts_total{receiver="phone"}') or 0) > 0)
    aggregator.kill()
    aggregator.start()
    until(lambda: aggregator.own_metric('tierwatch_notifications_waiting{receiver="phone"}') == 1)
    phone.up()
    phone.wait_for(1, 30)
    time.sleep(3)
    assert phone.titles() == ["DOWN ONE (tier 1, Only)"]


def test_a_firing_alert_is_not_told_again_after_a_kill_and_still_resolves(
    aggregator: Aggregator, node: NodePage, phone: HttpReceiver
) -> None:
    aggregator.start()
    node.down()
    phone.wait_for(1, 15)
    until(lambda: aggregator.own_metric('tierwatch_notifications_delivered_total{receiver="phone"}') == 1)
    aggregator.kill()
    node.up()
    aggregator.start()
    phone.wait_for(2, 15)
    time.sleep(2)
    assert [title.split()[0] for title in phone.titles()] == ["DOWN", "RESOLVED"]


def first_sample(aggregator: Aggregator) -> float:
    """When, in seconds since the epoch; infinite while there is none."""
    found = aggregator.get("/api/v1/query?query=node_load1[1h]")["data"]["result"]
    return float(found[0]["values"][0][0]) if found else math.inf


def test_samples_of_before_a_kill_are_there_after_it(aggregator: Aggregator) -> None:
    aggregator.start()
    # A sample has the time at which its scrape began, which takes a second at most.
    flushed = "tierwatch_storage_last_flush_timestamp_seconds"
    until(lambda: (aggregator.own_metric(flushed) or 0) > first_sample(aggregator) + 1.5, 20)
    first = first_sample(aggregator)
    aggregator.kill()
    aggregator.start()
    answer = aggregator.get(f"/api/v1/query?query=node_load1&time={first}")
    assert answer["data"]["result"][0]["value"][1] == "0.25"


def test_a_bad_edit_leaves_what_runs_running_and_says_so(aggregator: Aggregator) -> None:
    aggregator.start()
    rules = aggregator.config / "rules" / "test.yml"
    rules.write_text(RULES.replace("== 0", "== (("))
    aggregator.reload()
    until(lambda: aggregator.own_metric("tierwatch_config_last_reload_successful") == 0)
    assert f"{rules}:5:" in aggregator.log.read_text()
    assert aggregator.get("/api/v1/rules")["data"]["groups"][0]["rules"][0]["name"] == "NodeDown"
    assert any("not taken" in note for note in aggregator.get("/page/status.json")["notes"])
    rules.write_text(RULES.replace("NodeDown", "NodeGone"))
    aggregator.reload()
    until(lambda: aggregator.own_metric("tierwatch_config_last_reload_successful") == 1)
    assert aggregator.get("/api/v1/rules")["data"]["groups"][0]["rules"][0]["name"] == "NodeGone"
    assert not any("not taken" in note for note in aggregator.get("/page/status.json")["notes"])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("receiver", "alerting.yaml:6: receivers.0.apprise.0"),
        ("url", "sesame"),
        ("rule", "rules/test.yml:5:"),
        ("node", "cluster.yaml:11: nodes.ONE.tier: no tier 9"),
    ],
)
def test_a_bad_configuration_is_refused_at_the_start_without_its_secrets(
    aggregator: Aggregator, change: str, expected: str
) -> None:
    def edit(name: str, old: str, new: str) -> None:
        path = aggregator.config / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    if change == "receiver":
        edit("alerting.yaml", "json://", "${NOT_SET_ANYWHERE}")
    elif change == "url":
        edit("alerting.yaml", "json://127.0.0.1", "sesame://very-secret-token@127.0.0.1")
    elif change == "rule":
        edit("rules/test.yml", "== 0", "== ((")
    else:
        edit("cluster.yaml", "tier: 1", "tier: 9")
    aggregator.launch()
    assert aggregator.process.wait(30 * PATIENCE) == 2
    text = aggregator.log.read_text()
    assert expected in text
    assert "very-secret-token" not in text


def test_a_second_one_on_the_same_data_is_refused(aggregator: Aggregator, tmp_path: Path) -> None:
    aggregator.start()
    with Aggregator(tmp_path) as second:
        second.log = tmp_path / "second.log"
        second.launch()
        assert second.process.wait(30 * PATIENCE) == 1
        assert f"another aggregator (process {aggregator.process.pid}) uses this folder" in second.log.read_text()


def test_a_folder_that_is_being_imported_into_is_refused(aggregator: Aggregator) -> None:
    aggregator.data.mkdir(parents=True)
    with alone(aggregator.data, "import"):
        aggregator.launch()
        assert aggregator.process.wait(30 * PATIENCE) == 1
    said = f"an import (process {os.getpid()}) uses this folder; it can be started when the import is done"
    assert said in aggregator.log.read_text()


def test_a_taken_port_is_named(aggregator: Aggregator, node: NodePage, tmp_path: Path) -> None:
    aggregator.launch("--listen", f"127.0.0.1:{node.port}")
    assert aggregator.process.wait(30 * PATIENCE) == 1
    assert f"cannot listen on 127.0.0.1:{node.port}" in aggregator.log.read_text()


def test_it_stops_at_once_while_a_browser_holds_its_stream(aggregator: Aggregator) -> None:
    aggregator.start()
    connection = http.client.HTTPConnection(aggregator.url.removeprefix("http://"), timeout=10)
    connection.request("GET", "/page/stream")
    answer = connection.getresponse()
    assert answer.readline().startswith(b"event: status")
    began = time.monotonic()
    assert aggregator.stop() == 0
    assert time.monotonic() - began < 6 + slack()
    connection.close()
