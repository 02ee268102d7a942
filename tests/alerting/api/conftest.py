"""An API over a real store and a real engine, with three targets' worth of samples; rules and targets are fixed."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from alerting.api.app import build_app
from alerting.api.ports import ConfigState, Limits, Services
from alerting.clock import FakeClock
from alerting.model.alert import Alert
from alerting.model.labels import Labels
from alerting.model.series import FloatArray
from alerting.promql.engine import Engine
from alerting.rules.views import GroupView, RuleView
from alerting.scrape.line import Metadata
from alerting.scrape.report import TargetView
from alerting.scrape.targets import Target
from alerting.storage.store import Store, StoreOptions
from config.alerting import Limits as ScrapeLimits

NOW_MS = 1_700_000_000_000
START_MS = NOW_MS - 600_000
STEP_MS = 5000

Client = TestClient[web.Request, web.Application]


@dataclass
class FakeTargets:
    views: list[TargetView] = field(default_factory=list)
    pages: list[tuple[Target, dict[str, Metadata]]] = field(default_factory=list)

    def targets(self) -> list[TargetView]:
        return self.views

    def metadata(self) -> list[tuple[Target, dict[str, Metadata]]]:
        return self.pages


@dataclass
class FakeRules:
    views: list[GroupView] = field(default_factory=list)

    def groups(self) -> list[GroupView]:
        return self.views

    def active(self) -> list[Alert]:
        return sorted(
            (alert for group in self.views for rule in group.rules for alert in rule.alerts), key=lambda a: a.labels
        )


def target(node: str, tier: str) -> Target:
    labels = Labels.of({"job": "node", "instance": f"{node}:9191", "node": node, "tier": tier})
    return Target(f"node/{node}:9191", f"http://{node}:9191/metrics", labels, 5.0, 4.0, ScrapeLimits())


TARGETS = [target("AGX0", "2"), target("PI31", "5"), target("PI51", "1")]


def fill(store: Store) -> None:
    """Ten minutes of each target: ``up``, a counter, a value that is NaN for one of them."""
    for number, one in enumerate(TARGETS):
        writer = store.source(f"scrape/{one.name}")
        for name in ("up", "requests_total", "odd"):
            writer.column(one.labels.replace(__name__=name))
        for index, time in enumerate(range(START_MS, NOW_MS + 1, STEP_MS)):
            row: FloatArray = np.array([1.0, 10.0 * index * (number + 1), math.nan if number == 1 else 1e-7])
            assert writer.append(time, row)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "store.sqlite", StoreOptions(), NOW_MS)
    fill(opened)
    yield opened
    opened.close()


def alert(node: str, state: str = "firing", value: float = 0.0) -> Alert:
    labels = Labels.of({"alertname": "NodeDown", "node": node, "severity": "critical"})
    return Alert(labels, {"summary": f"{node} is down"}, state, value, NOW_MS - 1500, NOW_MS)  # type: ignore[arg-type]


def rule_groups() -> list[GroupView]:
    down = RuleView(
        type="alerting",
        name="NodeDown",
        query="up==0",
        labels={"severity": "critical"},
        health="ok",
        last_error="",
        evaluation_time=0.001,
        last_evaluation_ms=NOW_MS,
        history=(),
        line=3,
        duration=90.0,
        annotations={"summary": "{{ $labels.node }} is down"},
        state="firing",
        alerts=(alert("AGX0"), replace(alert("PI31", "pending", 1234.5), keep_firing_since_ms=NOW_MS)),
    )
    bad = replace(down, name="Broken", health="err", last_error="no such thing", state="inactive", alerts=(), labels={})
    record = RuleView("recording", "a:sum", "sum(up)", {}, "unknown", "", 0.0, None, (), 9)
    return [
        GroupView("nodes", "config/rules/nodes.yml", 5.0, 0, 0.002, NOW_MS, (down, bad)),
        GroupView("records", "config/rules/records.yml", 15.0, 0, 0.0, None, (record,)),
    ]


@pytest.fixture
def services(store: Store) -> Services:
    views = [
        TargetView(TARGETS[0], "up", "", NOW_MS, NOW_MS - 5000, 0.012, 3),
        TargetView(TARGETS[1], "down", "no complete answer within 4s", NOW_MS, NOW_MS, 4.0, 0),
        TargetView(TARGETS[2], "unknown"),
    ]
    counter, other = Metadata("counter", "Requests.", ""), Metadata("counter", "Others say.", "")
    pages = [
        (TARGETS[0], {"requests_total": counter, "odd": Metadata("gauge", "Odd.", "seconds")}),
        (TARGETS[1], {"requests_total": other}),
        (TARGETS[2], {"requests_total": counter}),
    ]
    return Services(
        queries=Engine(store),
        index=store,
        rules=FakeRules(rule_groups()),
        targets=FakeTargets(views, pages),
        clock=FakeClock(NOW_MS),
        not_ready=lambda: "",
        metrics=lambda: b"tierwatch_build_info 1\n",
        config=lambda: ConfigState("a: 1\n", NOW_MS),
        version="1.2.3",
        started_ms=NOW_MS,
        limits=Limits(query_seconds=60.0),
    )


@pytest.fixture
async def client(services: Services) -> AsyncIterator[Client]:
    async with serve(services) as connected:
        yield connected


def serve(services: Services) -> Client:
    return TestClient(TestServer(build_app(services)))
