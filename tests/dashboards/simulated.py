"""Ten minutes of the shipped cluster in a real store: every exporter's page made by the real collectors of a recorded
host and recorded boards, the aggregator's own page, plain pages for the services, and what the shipped rules
make of all that.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from alerting.api.pool import PoolStats
from alerting.api.requests import RequestStats
from alerting.model.labels import Labels
from alerting.model.series import ABSENT
from alerting.notify.stats import ReceiverStats
from alerting.promql.engine import Engine
from alerting.promql.inspect import metric_names
from alerting.promql.value import Matrix, Vector
from alerting.rules.definitions import AlertingRule, RecordingRule, Rule
from alerting.rules.load import load_rules
from alerting.rules.manager import Stats as RuleStats
from alerting.scrape.events import EventStats
from alerting.scrape.exposition import PageReader
from alerting.scrape.report import ScrapeStats
from alerting.scrape.targets import NODE_JOB, Target, targets_of
from alerting.selfmetrics import ConfigReload, SelfMetrics, Sources
from alerting.storage.store import Store, StoreOptions
from config.load import Config
from deploy.demo.plan import BOARDS, REPLAY
from exporters.collector import Family
from exporters.collectors.board import BoardSensors
from exporters.collectors.containers import Containers
from exporters.collectors.own import Identity
from exporters.exposition import Renderer
from exporters.registry import Settings, build
from exporters.runner import Runner
from exporters.sources.board import BoardPaths
from exporters.sources.docker_watch import Known, View
from tests.dashboards import simulated_services
from tests.exporters.collectors.test_containers import DEAD, WEB
from tests.exporters.sources.test_cgroups import RECORDED
from tests.exporters.sources.test_cgroups import roots as recorded
from tests.exporters.support import NOW, roots

STEP_S = 15
FRAMES = 41
END_S = round(NOW)
START_S = END_S - STEP_S * (FRAMES - 1)
# What a counter grows by in a step, as a share of its value: rates are not zero.
GROWTH = 0.001
SERVICE_PAGE = b"""\
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 12.5
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 9.5e+07
# TYPE process_open_fds gauge
process_open_fds 21
# TYPE process_max_fds gauge
process_max_fds 1024
"""


def fill(config: Config, folder: Path, silent: str = "") -> Store:
    """A store with the cluster's data from START_S to END_S. ``silent``: a node that stops answering half-way."""
    store = Store.open(folder / "metrics.db", StoreOptions(), END_S * 1000)
    pages = asyncio.run(node_pages(config))
    for target in targets_of(config):
        node = target.labels.get("node")
        page = pages[node] if target.job == NODE_JOB else _page_of(target.job, store)
        _write(store, target, page, stops=node == silent)
    _evaluate(store, config)
    return store


async def node_pages(config: Config) -> dict[str, bytes]:
    """Each node's page."""
    names = list(config.cluster.nodes)
    pages = await asyncio.gather(*(_node_page(config, name) for name in names))
    return dict(zip(names, pages, strict=True))


async def _node_page(config: Config, name: str) -> bytes:
    """The page of one node, once its sampled sources have told something."""
    node = config.cluster.nodes[name]
    cleanups: list[Callable[[], None]] = []
    settings = Settings(
        identity=Identity(name, str(node.tier), node.board, "0.0.0", "3.11.0"),
        roots=roots("vm"),
        board=_board(BOARDS / name),
        wall=lambda: NOW,
        on_stop=cleanups.append,
    )
    runner = Runner(build(settings), deadline=60.0)
    wanted = (
        b"tierwatch_jetson_memory_used_bytes " if node.board.startswith("jetson") else b"tierwatch_pi_throttle_state{"
    )
    others = [*_containers(), *await simulated_services.services(config.cluster, name, NOW)]
    others += simulated_services.host(config.cluster, name, NOW)
    try:
        for _ in range(600):
            collected = await runner.collect()
            page = Renderer().render(collected)
            if wanted in page:
                there = {family.metric.name for family in collected}
                return page + Renderer().render([one for one in others if one.metric.name not in there])
            await asyncio.sleep(0.1)
    finally:
        for cleanup in reversed(cleanups):
            cleanup()
    raise AssertionError(f"{name}: no {wanted.decode()} within a minute")


def _containers() -> Sequence[Family]:
    """One that runs, as recorded, and one that has ended."""
    view = View(
        reason="",
        answered=0.0,
        version="20.10.24",
        api="1.41",
        known={held.name: Known(held, seen=NOW) for held in (replace(WEB, restarts=1, health="healthy"), DEAD)},
    )
    return Containers(lambda: view, recorded(RECORDED), [], wall=lambda: NOW, clock=lambda: 1.0).collect()


def _board(folder: Path) -> BoardSensors:
    def replay(program: str) -> list[str] | None:
        recorded = folder / f"{program}.txt"
        return (
            [sys.executable, "-B", str(REPLAY / f"{program}_replay.py"), str(recorded)] if recorded.exists() else None
        )

    return BoardSensors(
        BoardPaths.below(folder), replayed=True, tegrastats=replay("tegrastats"), vcgencmd=replay("vcgencmd")
    )


def _page_of(job: str, store: Store) -> bytes:
    if job != "tierwatch":
        return SERVICE_PAGE
    requests = RequestStats()
    sources = Sources(
        version="0.0.0",
        scrape=lambda: ScrapeStats(scrapes=100, samples=1000, seconds=1.0),
        events=lambda: EventStats(open=7, received=120, missed=1, broken=2),
        targets=tuple,
        store=store.stats,
        rules=lambda: RuleStats(evaluations=100),
        groups=tuple,
        receivers=lambda: {"phone": ReceiverStats(queued=3, delivered=3)},
        queries=lambda: PoolStats(queries=50, seconds=0.5),
        requests=lambda: requests,
        reload=lambda: ConfigReload(ok=True, loaded_ms=START_S * 1000),
    )
    return SelfMetrics(sources).render()


def _write(store: Store, target: Target, page: bytes, *, stops: bool) -> None:
    """The page at every step, its counters growing, with what a scrape adds."""
    reader = PageReader(target.limits, target.attach)
    read = reader.read(page)
    types = {name: data.type for name, data in reader.metadata().items()}
    grows = np.array([_grows(reader.labels[slot].metric_name, types) for slot in read.slots.tolist()])
    writer = store.source(target.name)
    extra = {"up": 1.0, "scrape_duration_seconds": 0.02, "scrape_samples_scraped": float(read.samples)}
    own = [writer.column(target.labels.replace(__name__=name)) for name in extra]
    columns = [writer.column(reader.labels[slot]) for slot in read.slots.tolist()]
    for number in range(FRAMES):
        row = np.full(writer.width, ABSENT)
        if stops and number > FRAMES // 2:
            row[own[0]] = 0.0
        else:
            row[own] = list(extra.values())
            row[columns] = np.where(grows, read.values * (1 + GROWTH * number), read.values)
        assert writer.append((START_S + number * STEP_S) * 1000, row)


def _grows(name: str, types: Mapping[str, str]) -> bool:
    kind = types.get(name) or types.get(name.removesuffix("_total"), "")
    return kind == "counter" or name.startswith(("node_netstat_", "node_vmstat_"))


def _evaluate(store: Store, config: Config) -> None:
    """What the shipped rules record and which alerts they raise; alerts fire at once."""
    rules = [rule for group in load_rules(config.rule_paths()) for rule in group.rules]
    for rule in rules:
        if isinstance(rule, RecordingRule):
            keep = _keep_each if rule.name in metric_names(rule.expr) else _keep
            keep(store, rule, {**rule.labels, "__name__": rule.name})
    for rule in rules:
        if isinstance(rule, AlertingRule):
            labels = {name: template.text for name, template in rule.labels.items()}
            _keep(store, rule, {**labels, "alertname": rule.name, "alertstate": "firing", "__name__": "ALERTS"})


def _keep_each(store: Store, rule: Rule, labels: Mapping[str, str]) -> None:
    """As ``_keep``, step by step, for a rule that reads what it recorded before."""
    writer = store.source(f"{rule.name} {labels.get('severity')}")
    for time in range(START_S, END_S + 1, STEP_S):
        value = Engine(store).instant(rule.expr, time * 1000).value
        assert isinstance(value, Vector)
        found = [(writer.column(series.merged(labels)), number) for series, number in value]
        row = np.full(writer.width, ABSENT)
        for column, number in found:
            row[column] = number
        assert writer.append(time * 1000, row)


def _keep(store: Store, rule: Rule, labels: Mapping[str, str]) -> None:
    """Writes a rule's result at every step under these labels; an alert's value is 1."""
    value = Engine(store).range(rule.expr, START_S * 1000, END_S * 1000, STEP_S * 1000).value
    assert isinstance(value, Matrix)
    frames: dict[int, dict[Labels, float]] = {time * 1000: {} for time in range(START_S, END_S + 1, STEP_S)}
    for series in value:
        key = series.labels.merged(labels)
        for time, number in series:
            frames[time][key] = number if isinstance(rule, RecordingRule) else 1.0
    writer = store.source(f"{rule.name} {labels.get('severity')}")
    columns = {key: writer.column(key) for frame in frames.values() for key in frame}
    for time, frame in frames.items():
        row = np.full(writer.width, ABSENT)
        for key, number in frame.items():
            row[columns[key]] = number
        if columns:
            assert writer.append(time, row)
