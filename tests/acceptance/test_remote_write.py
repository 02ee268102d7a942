"""The real aggregator writes to a real Prometheus and VictoriaMetrics that are killed meanwhile, and is killed itself;
then a second aggregator answers from what is there."""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alerting.model.labels import METRIC_NAME, Labels
from alerting.model.matcher import Matcher
from alerting.model.series import SeriesData, is_stale
from alerting.promql.engine import Engine
from alerting.promql.parse import parse
from alerting.promql.value import Vector
from alerting.remote.http import Http
from alerting.remote.querier import RemoteQuerier
from alerting.storage.follow import Follower
from alerting.storage.store import Store, StoreOptions
from config.remote import Endpoint
from tests.support.aggregator import Aggregator, write_config
from tests.support.machine import PATIENCE
from tests.support.node_page import PAGE, NodePage
from tests.support.remote_peers import KINDS, RemotePeer

pytestmark = pytest.mark.acceptance

VANISHES = "node_load1"
SECRET = "hunter2"


@pytest.fixture
def node() -> Iterator[NodePage]:
    with NodePage() as page:
        yield page


@pytest.fixture(params=KINDS)
def peer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RemotePeer]:
    with RemotePeer(request.param, tmp_path / "peer") as started:
        yield started


def configured(folder: Path, node: NodePage, **remote: object) -> Aggregator:
    made = Aggregator(folder)
    write_config(made.config, node_port=node.port, url="${NOBODY:-}")
    lines = "".join(f"    {key}: {value}\n" for key, value in remote.items())
    with (made.config / "alerting.yaml").open("a") as file:
        file.write(f"storage:\n  remote:\n{lines}")
    return made


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds * PATIENCE
    while not true():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.1)


def sent(aggregator: Aggregator) -> float:
    return aggregator.own_metric("tierwatch_remote_write_samples_total") or 0.0


def stored(data: Path) -> list[SeriesData]:
    """Everything that an aggregator kept, in the order of its sources."""
    with closing(Store.open(data / "metrics.db", StoreOptions(), time.time_ns() // 1_000_000)) as store:
        follower = Follower(store)
        return [one for at in follower.positions() for one in follower.read(at.source, 0, at.last_ms)]


def received(peer: RemotePeer) -> dict[Labels, list[tuple[int, float]]]:
    """Everything that the peer has, as it says it itself; without staleness markers."""
    peer.settle()
    return samples(peer.ask("query", query='{job!=""}[1h]'))


def has_all_but_the_newest(peer: RemotePeer, hub: Aggregator) -> bool:
    """Whether the peer has what the hub has, sample by sample; the hub, asked last, may know newer ones."""
    found = received(peer)
    kept = samples(hub.get("/api/v1/query?query=" + urllib.parse.quote('{job!=""}[1h]'))["data"])
    newest = max(rows[-1][0] for rows in found.values())
    until_then = {labels: [row for row in rows if row[0] <= newest] for labels, rows in kept.items()}
    return found == {labels: rows for labels, rows in until_then.items() if rows}


def near(value: float) -> float:
    return float(f"{value:.9g}")


def samples(data: Any) -> dict[Labels, list[tuple[int, float]]]:
    """An answer of any of the three. VictoriaMetrics keeps some twelve digits of a value."""
    return {
        Labels.of(one["metric"]): [
            (round(at * 1000), near(float(value))) for at, value in one["values"] if value != "NaN"
        ]
        for one in data["result"]
    }


def test_everything_arrives_once_and_is_found_again(tmp_path: Path, node: NodePage, peer: RemotePeer) -> None:
    (tmp_path / "token").write_text(f"{SECRET}\n")
    with configured(tmp_path / "hub", node, write_url=peer.write_url, token_file=tmp_path / "token") as hub:
        hub.start()
        until(lambda: sent(hub) > 0)
        peer.go_away()
        until(lambda: (hub.own_metric("tierwatch_remote_write_retries_total") or 0) > 0)
        node.page = "".join(line for line in PAGE.splitlines(keepends=True) if VANISHES not in line)
        time.sleep(1.5)
        peer.start()
        before = sent(hub)
        until(lambda: sent(hub) > before)
        assert SECRET not in str(hub.get("/api/v1/status/config"))
        until(lambda: hub.own_metric("tierwatch_remote_write_lag_seconds") == 0.0)
        until(lambda: has_all_but_the_newest(peer, hub))
        found = received(peer)
        if peer.kind == "prometheus":
            hub.kill()
            hub.start()
            until(lambda: sent(hub) > 0)
            until(lambda: hub.own_metric("tierwatch_remote_write_lag_seconds") == 0.0)
        assert hub.own_metric("tierwatch_remote_write_samples_failed_total") == 0
        assert hub.own_metric("tierwatch_remote_write_samples_dropped_total") == 0
        assert hub.stop() == 0
        assert SECRET not in hub.log.read_text()
    after = received(peer)
    for labels, rows in found.items():
        assert set(rows) <= set(after[labels])
        assert len(after[labels]) == len(set(after[labels]))  # also what the kill made it send again
    nothing_is_missing(stored(hub.data), after)
    ended(peer)
    if peer.kind == "prometheus":  # one of them is enough: which one answers, test_remote_querier has tried
        second_aggregator(tmp_path / "second", node, peer)


def nothing_is_missing(kept: list[SeriesData], found: dict[Labels, list[tuple[int, float]]]) -> None:
    """What the hub has on disk at the end was sent, as far as the last request before the stop went."""
    assert len(kept) >= 8
    newest = max(rows[-1][0] for rows in found.values())
    for one in kept:
        real = ~is_stale(one.values) & (one.times <= newest)
        expected = list(zip(one.times[real].tolist(), map(near, one.values[real].tolist()), strict=True))
        assert set(expected) <= set(found.get(one.labels, [])), one.labels


def ended(peer: RemotePeer) -> None:
    """The series that vanished ended at once, not five minutes later."""
    with closing(Http(Endpoint(peer.url, timeout=5.0 * PATIENCE), "test")) as http:
        querier = RemoteQuerier(http)
        now_ms = time.time_ns() // 1_000_000
        (last,) = querier.select([Matcher(METRIC_NAME, "=", VANISHES)], now_ms - 600_000, now_ms)
        real = last.times[~is_stale(last.values)]
        after = Engine(querier).instant(parse(VANISHES), int(real[-1]) + 5_000).value
        still = Engine(querier).instant(parse("node_memory_MemTotal_bytes"), int(real[-1]) + 5_000).value
        before = Engine(querier).instant(parse(VANISHES), int(real[-1]) + 10).value
        assert isinstance(after, Vector)
        assert isinstance(still, Vector)
        assert isinstance(before, Vector)
        assert (len(after), len(still), len(before)) == (0, 1, 1)
        assert (np.diff(last.times) > 0).all()


def second_aggregator(folder: Path, node: NodePage, peer: RemotePeer) -> None:
    """A hub that starts with nothing answers from the peer; without the peer it answers from itself, and says so."""
    with configured(folder, node, query_url=peer.url, read_recent="true", query_timeout="2s") as hub:
        hub.start()
        query = urllib.parse.quote("count(count_over_time(node_load1[10m]))")
        answer: Any = hub.get(f"/api/v1/query?query={query}")
        assert answer["data"]["result"][0]["value"][1] == "1"
        assert "warnings" not in answer
        assert VANISHES in hub.get("/api/v1/label/__name__/values")["data"]
        peer.kill()
        answer = hub.get("/api/v1/query?query=up")
        assert answer["data"]["result"]
        assert "remote storage" in answer["warnings"][0]
        assert hub.get("/api/v1/label/__name__/values")["warnings"]
        until(lambda: any("Remote storage" in note for note in hub.get("/page/status.json")["notes"]))
        assert hub.get("/api/v1/rules")["data"]["groups"][0]["rules"][0]["health"] == "ok"
        write_config(hub.config, node_port=node.port, url="${NOBODY:-}")  # without remote storage
        hub.reload()
        until(lambda: "warnings" not in hub.get("/api/v1/query?query=up"))
        assert hub.own_metric("tierwatch_remote_read_failures_total") is None
