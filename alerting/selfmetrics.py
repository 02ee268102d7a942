"""The aggregator's own metrics: the counters of every room, rendered as a Prometheus page.

The only place of the aggregator that knows prometheus_client. Rooms count in plain dataclasses; here each field gets
its name, type and help. Nothing is registered globally.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from alerting.api.pool import PoolStats
from alerting.api.requests import RequestStats
from alerting.notify.stats import ReceiverStats
from alerting.remote.stats import RemoteStats
from alerting.rules.manager import Stats as RuleStats
from alerting.rules.views import GroupView
from alerting.scrape.events import EventStats
from alerting.scrape.report import ScrapeStats, TargetView
from alerting.storage.options import Stats as StoreStats

Kind = Literal["counter", "gauge"]
# (field, metric without the common prefix, type, help). A counter's name ends in _total.
Row = tuple[str, str, Kind, str]

_SCRAPE: Sequence[Row] = (
    ("scrapes", "scrapes_total", "counter", "Scrapes finished, confirmations not counted."),
    ("failures", "scrape_failures_total", "counter", "Scrapes that failed."),
    ("confirmations", "scrape_confirmations_total", "counter", "Second attempts after a first one failed."),
    ("early", "scrapes_early_total", "counter", "Scrapes made at once because something happened."),
    ("samples", "scrape_samples_total", "counter", "Sample lines read."),
    ("duplicates", "scrape_duplicate_samples_total", "counter", "Sample lines of a series its page had already."),
    ("refused_frames", "scrape_refused_frames_total", "counter", "Scrapes not stored because the clock was wrong."),
    ("internal_errors", "scrape_internal_errors_total", "counter", "Scrapes lost to the store or to a fault of ours."),
    ("seconds", "scrape_seconds_total", "counter", "Time scrapes took, reading included."),
    ("parse_seconds", "scrape_parse_seconds_total", "counter", "Time spent reading pages."),
)
_EVENTS: Sequence[Row] = (
    ("open", "event_streams", "gauge", "Nodes whose stream of events is open."),
    ("unsupported", "event_streams_unsupported", "gauge", "Nodes whose exporter has no stream of events."),
    ("received", "events_received_total", "counter", "Changes that nodes told at once."),
    ("missed", "events_missed_total", "counter", "Changes that a stream should have told and did not."),
    ("broken", "event_streams_broken_total", "counter", "Streams of events that ended."),
    ("silent", "event_streams_silent_total", "counter", "Streams of events that missed three beats."),
    ("gone", "nodes_gone_total", "counter", "Nodes that did not answer after such a silence."),
)
_STORE: Sequence[Row] = (
    ("series", "storage_series", "gauge", "Series the store knows."),
    ("head_rows", "storage_head_rows", "gauge", "Frames held uncompressed in memory."),
    ("head_samples", "storage_head_samples", "gauge", "Samples held uncompressed in memory."),
    ("blocks", "storage_blocks", "gauge", "Compressed blocks on disk."),
    ("chunk_bytes", "storage_used_bytes", "gauge", "Bytes in use in the database file."),
    ("file_bytes", "storage_file_bytes", "gauge", "Size of the database file with its write-ahead log."),
    ("samples_appended", "storage_samples_appended_total", "counter", "Samples stored."),
    ("frames_appended", "storage_frames_appended_total", "counter", "Frames stored."),
    ("frames_refused", "storage_frames_refused_total", "counter", "Frames whose time was too old or too far ahead."),
    ("frames_dropped", "storage_frames_dropped_total", "counter", "Frames lost because the disk refused too long."),
    ("flushes", "storage_flushes_total", "counter", "Times the newest data was made durable."),
    ("flush_failures", "storage_flush_failures_total", "counter", "Times that failed."),
    ("rows_lost", "storage_rows_lost_total", "counter", "Pieces of the newest data unreadable at the start."),
    ("chunks_lost", "storage_chunks_lost_total", "counter", "Chunks that could not be read back."),
    ("databases_moved_aside", "storage_databases_moved_aside_total", "counter", "Damaged databases moved aside."),
    ("bytes_written", "storage_written_bytes_total", "counter", "Bytes written to the disk."),
    ("cache_hits", "storage_cache_hits_total", "counter", "Decoded chunks found in memory."),
    ("cache_misses", "storage_cache_misses_total", "counter", "Chunks read from the disk."),
)
_RULES: Sequence[Row] = (
    ("evaluations", "rule_evaluations_total", "counter", "Evaluations of rules."),
    ("failures", "rule_evaluation_failures_total", "counter", "Evaluations that failed."),
    (
        "early",
        "rule_evaluations_early_total",
        "counter",
        "Evaluations made at once: a series changed, or an alert's time was over.",
    ),
    ("missed", "rule_evaluations_missed_total", "counter", "Times a group was due and the one before still ran."),
    ("refused", "rule_refused_frames_total", "counter", "Results not stored because the clock went back."),
    ("store_errors", "rule_state_errors_total", "counter", "Failures to save the states of alerts."),
    ("seconds", "rule_evaluation_seconds_total", "counter", "Time evaluations took."),
)
_RECEIVER: Sequence[Row] = (
    ("queued", "notifications_queued_total", "counter", "Messages put into the outbox."),
    ("delivered", "notifications_delivered_total", "counter", "Messages the receiver accepted."),
    ("failed_attempts", "notification_failed_attempts_total", "counter", "Attempts that failed and are repeated."),
    ("given_up", "notifications_given_up_total", "counter", "Messages given up."),
    ("waiting", "notifications_waiting", "gauge", "Messages in the outbox."),
    ("oldest_waiting_seconds", "notification_oldest_waiting_seconds", "gauge", "Age of the oldest message there."),
)
_REMOTE_READ: Sequence[Row] = (
    ("queries", "remote_read_queries_total", "counter", "Times remote storage was asked."),
    ("failures", "remote_read_failures_total", "counter", "Times it gave no answer."),
    ("skipped", "remote_read_skipped_total", "counter", "Times it was not asked because it had just failed."),
    ("seconds", "remote_read_seconds_total", "counter", "Time it took."),
)
_REMOTE_WRITE: Sequence[Row] = (
    ("sent", "remote_write_samples_total", "counter", "Samples that remote storage took."),
    ("failed", "remote_write_samples_failed_total", "counter", "Samples it refused for good."),
    ("dropped", "remote_write_samples_dropped_total", "counter", "Samples never sent, because max_lag was over."),
    (
        "repeated",
        "remote_write_samples_repeated_total",
        "counter",
        "Samples it refused that were sent before, when the answer was lost.",
    ),
    ("requests", "remote_write_requests_total", "counter", "Requests sent to it."),
    ("retries", "remote_write_retries_total", "counter", "Requests that failed and are repeated."),
    ("bytes", "remote_write_bytes_total", "counter", "Bytes of requests, compressed."),
)
_POOL: Sequence[Row] = (
    ("queries", "queries_total", "counter", "Queries over HTTP."),
    ("refused", "queries_refused_total", "counter", "Queries refused because too many were waiting."),
    ("timeouts", "query_timeouts_total", "counter", "Queries that did not end in time."),
    ("canceled", "queries_canceled_total", "counter", "Queries whose client went away before the answer."),
    ("open", "queries_open", "gauge", "Queries running or waiting."),
    ("seconds", "query_seconds_total", "counter", "Time queries took, waiting included."),
)


@dataclass(frozen=True, slots=True)
class ConfigReload:
    """``ok``: whether the newest reading of the configuration was accepted; ``loaded_ms``: when what runs was read."""

    ok: bool
    loaded_ms: int


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the numbers come from; each is asked when the page is rendered, in a thread. None: not there (yet)."""

    version: str
    scrape: Callable[[], ScrapeStats] | None = None
    events: Callable[[], EventStats] | None = None
    targets: Callable[[], Sequence[TargetView]] | None = None
    store: Callable[[], StoreStats] | None = None
    rules: Callable[[], RuleStats] | None = None
    groups: Callable[[], Sequence[GroupView]] | None = None
    receivers: Callable[[], Mapping[str, ReceiverStats]] | None = None
    queries: Callable[[], PoolStats] | None = None
    requests: Callable[[], RequestStats] | None = None
    reload: Callable[[], ConfigReload] | None = None
    page_viewers: Callable[[], int] | None = None
    remote: Callable[[], RemoteStats] | None = None


class SelfMetrics:
    """``render`` gives the page: our own numbers, then the process's (CPU, memory, open files)."""

    def __init__(self, sources: Sources) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Ours(sources))
        ProcessCollector(registry=self._registry)

    def render(self) -> bytes:
        return generate_latest(self._registry)


class _Ours(Collector):
    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def describe(self) -> list[Metric]:
        """Nothing is asked at registration: the rooms may not be open yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        ours = self._sources
        info = GaugeMetricFamily("tierwatch_build_info", "Which version runs; always 1.", labels=["version"])
        info.add_metric([ours.version], 1)
        yield info
        if ours.scrape is not None:
            yield from _families(_SCRAPE, [((), ours.scrape())])
        if ours.events is not None:
            yield from _families(_EVENTS, [((), ours.events())])
        if ours.targets is not None:
            yield _targets(ours.targets())
        if ours.store is not None:
            yield from _store(ours.store())
        if ours.rules is not None:
            yield from _families(_RULES, [((), ours.rules())])
        if ours.groups is not None:
            yield from _alerts(ours.groups())
        if ours.receivers is not None:
            stats = [((name,), stats) for name, stats in sorted(ours.receivers().items())]
            yield from _families(_RECEIVER, stats, labels=("receiver",))
        if ours.queries is not None:
            yield from _families(_POOL, [((), ours.queries())])
        if ours.requests is not None:
            yield from _requests(ours.requests())
        if ours.reload is not None:
            yield from _reload(ours.reload())
        if ours.page_viewers is not None:
            yield _gauge("page_viewers", "Browsers that have the page open.", ours.page_viewers())
        if ours.remote is not None:
            yield from _remote(ours.remote())


def _families(
    rows: Sequence[Row], stats: Sequence[tuple[Sequence[str], Any]], labels: Sequence[str] = ()
) -> Iterator[Metric]:
    """One family a row; ``stats`` are objects with the rows' fields, each with its label values."""
    for field, name, kind, text in rows:
        family: CounterMetricFamily | GaugeMetricFamily
        if kind == "counter":
            family = CounterMetricFamily(f"tierwatch_{name.removesuffix('_total')}", text, labels=labels)
        else:
            family = GaugeMetricFamily(f"tierwatch_{name}", text, labels=labels)
        for values, source in stats:
            family.add_metric(values, float(getattr(source, field)))
        yield family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"tierwatch_{name}", text, value=value)


def _targets(views: Sequence[TargetView]) -> Metric:
    counts = Counter(view.health for view in views)
    family = GaugeMetricFamily("tierwatch_targets", "Scrape targets by health.", labels=["health"])
    for health in ("up", "down", "unknown"):
        family.add_metric([health], counts[health])
    return family


def _store(stats: StoreStats) -> Iterator[Metric]:
    yield from _families(_STORE, [((), stats)])
    # Left out while there is nothing: a time that never was is no zero.
    if stats.oldest_ms is not None:
        yield _gauge(
            "storage_oldest_sample_timestamp_seconds", "Time of the oldest sample kept.", stats.oldest_ms / 1000
        )
    if stats.last_flush_ms is not None:
        yield _gauge(
            "storage_last_flush_timestamp_seconds",
            "Time the newest data was last made durable.",
            stats.last_flush_ms / 1000,
        )


def _remote(stats: RemoteStats) -> Iterator[Metric]:
    """Nothing where nothing is configured."""
    if stats.read is not None:
        yield from _families(_REMOTE_READ, [((), stats.read)])
    if stats.write is not None:
        yield from _families(_REMOTE_WRITE, [((), stats.write.tally)])
        yield _gauge("remote_write_lag_seconds", "How far remote storage is behind the own store.", stats.write.lag)


def _alerts(groups: Sequence[GroupView]) -> Iterator[Metric]:
    states = Counter(alert.state for group in groups for rule in group.rules for alert in rule.alerts)
    family = GaugeMetricFamily("tierwatch_alerts", "Alerts by state.", labels=["state"])
    for state in ("pending", "firing"):
        family.add_metric([state], states[state])
    yield family
    health = Counter(rule.health for group in groups for rule in group.rules)
    family = GaugeMetricFamily("tierwatch_rules", "Rules by the health of their last evaluation.", labels=["health"])
    for word in ("ok", "err", "unknown"):
        family.add_metric([word], health[word])
    yield family


def _requests(stats: RequestStats) -> Iterator[Metric]:
    counts = CounterMetricFamily("tierwatch_http_requests", "HTTP requests answered.", labels=["route", "code"])
    for (route, status), count in sorted(stats.counts.copy().items()):
        counts.add_metric([route, str(status)], count)
    yield counts
    seconds = CounterMetricFamily("tierwatch_http_request_seconds", "Time answers took.", labels=["route"])
    for route, spent in sorted(stats.seconds.copy().items()):
        seconds.add_metric([route], spent)
    yield seconds


def _reload(state: ConfigReload) -> Iterator[Metric]:
    yield _gauge("config_last_reload_successful", "1 when the newest configuration was accepted.", float(state.ok))
    yield _gauge("config_last_reload_success_timestamp_seconds", "When what runs was read.", state.loaded_ms / 1000)
