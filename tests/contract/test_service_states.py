"""What an exporter's probe says of a service reaches its owner: the rule that fires, the flows that a message names,
the chip and the flow on the page."""

from __future__ import annotations

import time

import pytest

from alerting.model.alert import Alert
from alerting.model.labels import Labels
from alerting.notify.impact import gone, sentences
from alerting.page.services import PROBE_QUERY, by_service
from alerting.page.status import Known, TargetHealth, build_status
from alerting.page.vitals import Figures
from alerting.promql.engine import Engine
from alerting.promql.parse import parse
from alerting.promql.value import Vector
from alerting.rules.definitions import AlertingRule
from alerting.rules.load import load_rules
from alerting.scrape.targets import NODE_JOB, targets_of
from config.load import load
from exporters.collectors.services import tell
from exporters.probes.verdict import Reason, State, Verdict
from exporters.probes.watch import Pace, Result, Watch
from tests.config.support import SHIPPED
from tests.exporters.probes.support import probe
from tests.support.memory_querier import MemoryQuerier

CONFIG = load(SHIPPED, {})
NOW = 1_795_000_000_000
RULES = {
    rule.name: rule
    for group in load_rules(CONFIG.rule_paths())
    for rule in group.rules
    if isinstance(rule, AlertingRule)
}
AGX0 = next(t for t in targets_of(CONFIG) if t.job == NODE_JOB and t.labels.get("node") == "AGX0")


def scraped(verdict: Verdict) -> MemoryQuerier:
    """The store after a scrape of AGX0, whose Ollama is so."""
    watch = Watch(probe("ollama", 11434, service="ollama"), Pace(5.0, 2.0, 0.0), lambda: None)
    now = time.monotonic()
    watch.result = Result(verdict, now, 0.01, 3, 1)
    store = MemoryQuerier()
    for family in tell([watch], now, lambda: NOW / 1000):
        for values, value in family.rows:
            pairs = [("__name__", family.metric.name), *zip(family.metric.labels, map(str, values), strict=True)]
            store.put(AGX0.attach(pairs), [(NOW, value)])
    return store


def fired(store: MemoryQuerier, name: str) -> list[Alert]:
    rule = RULES[name]
    own = {label: template.text for label, template in rule.labels.items()}
    value = Engine(store).instant(rule.expr, NOW).value
    assert isinstance(value, Vector)
    return [
        Alert(Labels.of({**labels.as_dict(), **own, "alertname": name}), {}, "firing", number, NOW)
        for labels, number in value
    ]


DOWN = Verdict(State.DOWN, Reason.REFUSED)


def test_a_service_that_is_down_is_told_with_what_it_means_for_people() -> None:
    store = scraped(DOWN)
    alerts = fired(store, "ServiceDown")
    assert [(alert.labels.get("node"), alert.labels.get("service")) for alert in alerts] == [("AGX0", "ollama")]
    lost = gone(alerts)
    assert lost.services == {"AGX0/ollama"}
    assert not lost.nodes
    told = sentences(CONFIG.cluster, lost, lost)
    assert told[0] == "Code analysis broken: AGX0/ollama down."
    assert any(sentence.startswith("Chat degraded: 80%") for sentence in told)


@pytest.mark.parametrize(
    ("verdict", "name"),
    [
        (Verdict(State.UP), ""),
        (Verdict(State.UP, Reason.NO_CREDENTIALS), ""),
        (Verdict(State.DEGRADED, Reason.ON_CPU), "ServiceDegraded"),
        (DOWN, "ServiceDown"),
        (Verdict(State.UNKNOWN, Reason.NO_READING), "ServiceUnknown"),
    ],
)
def test_each_state_has_its_alert_and_only_down_takes_the_service_away(verdict: Verdict, name: str) -> None:
    store = scraped(verdict)
    found = {rule: fired(store, rule) for rule in ("ServiceDown", "ServiceDegraded", "ServiceUnknown")}
    assert [rule for rule, alerts in found.items() if alerts] == ([name] if name else [])
    assert bool(gone([alert for alerts in found.values() for alert in alerts])) is (name == "ServiceDown")


def page_of(verdict: Verdict) -> tuple[dict[str, str], dict[str, str]]:
    """(chip of AGX0's Ollama, flow of code analysis) as the page has them."""
    value = Engine(scraped(verdict)).instant(parse(PROBE_QUERY), NOW).value
    assert isinstance(value, Vector)
    figures = Figures({}, {}, {}, by_service(value, None))
    targets = [TargetHealth(name, "", "up") for name in CONFIG.cluster.nodes]
    page = build_status(Known(CONFIG.cluster, targets, [], {}, figures, [], []), NOW)
    nodes = {node["name"]: node for tier in page["tiers"] for node in tier["nodes"]}
    (chip,) = (chip for chip in nodes["AGX0"]["services"] if chip["name"] == "ollama")
    return chip, next(flow for flow in page["flows"] if flow["name"] == "code")


def test_the_page_shows_the_state_and_why() -> None:
    chip, flow = page_of(DOWN)
    assert (chip["state"], chip["help"]) == ("down", "its check says down: connection refused")
    assert (flow["state"], flow["text"]) == ("broken", "cut at AGX0/ollama")
    chip, flow = page_of(Verdict(State.DEGRADED, Reason.ON_CPU))
    assert (chip["state"], flow["state"]) == ("degraded", "ok")
    chip, flow = page_of(Verdict(State.UNKNOWN, Reason.NOT_YET))
    assert (chip["state"], flow["state"]) == ("unknown", "unknown")
    chip, flow = page_of(Verdict(State.UP))
    assert (chip["state"], chip["help"]) == ("up", "its check says up")
    assert flow["text"] == "every step's node answers", "not every step is watched"
