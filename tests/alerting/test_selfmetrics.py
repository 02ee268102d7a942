"""Our own page: complete, well-formed, read by our own scraper."""

from __future__ import annotations

import dataclasses
import subprocess

from alerting.api.pool import PoolStats
from alerting.api.requests import RequestStats
from alerting.notify.stats import ReceiverStats
from alerting.remote.stats import ReadStats, RemoteStats, Tally, WriteStats
from alerting.rules.manager import Stats as RuleStats
from alerting.scrape.exposition import PageReader
from alerting.scrape.report import ScrapeStats, TargetView
from alerting.selfmetrics import (
    _POOL,
    _RECEIVER,
    _REMOTE_READ,
    _REMOTE_WRITE,
    _RULES,
    _SCRAPE,
    _STORE,
    ConfigReload,
    SelfMetrics,
    Sources,
)
from alerting.storage.options import Stats as StoreStats
from config.alerting import Limits
from tests.alerting.api.conftest import TARGETS, rule_groups
from tests.support.peers import need


def store_stats(oldest: int | None = 1_700_000_000_000) -> StoreStats:
    fields = {field.name: 7 for field in dataclasses.fields(StoreStats)}
    return StoreStats(**{**fields, "oldest_ms": oldest})  # type: ignore[arg-type]


def full() -> Sources:
    requests = RequestStats()
    requests.add("/api/v1/query", 200, 0.25)
    return Sources(
        version="1.2.3",
        scrape=lambda: ScrapeStats(scrapes=12, seconds=1.5),
        targets=lambda: [TargetView(TARGETS[0], "up"), TargetView(TARGETS[1], "down")],
        store=store_stats,
        rules=lambda: RuleStats(evaluations=3),
        groups=rule_groups,
        receivers=lambda: {"phone": ReceiverStats(queued=2, waiting=1)},
        queries=lambda: PoolStats(queries=5),
        requests=lambda: requests,
        reload=lambda: ConfigReload(ok=False, loaded_ms=1_700_000_000_500),
        page_viewers=lambda: 2,
        remote=lambda: RemoteStats(ReadStats(queries=8), WriteStats(Tally(sent=9, dropped=2), lag=1.5)),
    )


def values(page: bytes) -> dict[str, float]:
    reader = PageReader(Limits())
    read = reader.read(page)
    return {str(reader.labels[slot]): value for slot, value in zip(read.slots, read.values, strict=True)}


def test_every_number_is_there() -> None:
    found = values(SelfMetrics(full()).render())
    for name, value in {
        'tierwatch_build_info{version="1.2.3"}': 1,
        "tierwatch_scrapes_total": 12,
        "tierwatch_scrape_seconds_total": 1.5,
        "tierwatch_remote_read_queries_total": 8,
        "tierwatch_remote_write_samples_total": 9,
        "tierwatch_remote_write_samples_dropped_total": 2,
        "tierwatch_remote_write_lag_seconds": 1.5,
        'tierwatch_targets{health="up"}': 1,
        'tierwatch_targets{health="down"}': 1,
        'tierwatch_targets{health="unknown"}': 0,
        "tierwatch_storage_series": 7,
        "tierwatch_storage_oldest_sample_timestamp_seconds": 1.7e9,
        "tierwatch_rule_evaluations_total": 3,
        'tierwatch_alerts{state="firing"}': 1,
        'tierwatch_rules{health="err"}': 1,
        'tierwatch_notifications_queued_total{receiver="phone"}': 2,
        'tierwatch_notifications_waiting{receiver="phone"}': 1,
        "tierwatch_queries_total": 5,
        'tierwatch_http_requests_total{code="200", route="/api/v1/query"}': 1,
        'tierwatch_http_request_seconds_total{route="/api/v1/query"}': 0.25,
        "tierwatch_config_last_reload_successful": 0,
        "tierwatch_config_last_reload_success_timestamp_seconds": 1_700_000_000.5,
        "tierwatch_page_viewers": 2,
    }.items():
        assert found[name] == value, name
    assert found["process_resident_memory_bytes"] > 1e6


def test_what_never_was_is_left_out() -> None:
    sources = dataclasses.replace(full(), store=lambda: store_stats(None))
    assert "tierwatch_storage_oldest_sample_timestamp_seconds" not in values(SelfMetrics(sources).render())


def test_rooms_that_are_not_open_are_left_out() -> None:
    found = values(SelfMetrics(Sources(version="x")).render())
    assert [name for name in found if name.startswith("tierwatch_")] == ['tierwatch_build_info{version="x"}']


def test_no_count_of_a_room_is_forgotten() -> None:
    for rows, stats, other in (
        (_SCRAPE, ScrapeStats, set()),
        (_STORE, StoreStats, {"oldest_ms", "last_flush_ms"}),
        (_RULES, RuleStats, {"last_seconds"}),
        (_RECEIVER, ReceiverStats, set()),
        (_POOL, PoolStats, set()),
        (_REMOTE_READ, ReadStats, set()),
        (_REMOTE_WRITE, Tally, {"error"}),
    ):
        assert {row[0] for row in rows} | other == {field.name for field in dataclasses.fields(stats)}


def test_promtool_has_nothing_to_say() -> None:
    page = SelfMetrics(full()).render()
    checked = subprocess.run([need("promtool"), "check", "metrics"], input=page, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
