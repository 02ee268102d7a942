"""Rules read only what somebody writes: the exporters' catalogue, the aggregator's own page, or other rules.

A rule on a misspelt metric never fires and never fails; here it fails.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterable, Iterator

import pytest

import exporters.catalog
from alerting import selfmetrics
from alerting.promql.inspect import metric_names, selectors
from alerting.rules.definitions import AlertingRule, RecordingRule, Rule
from alerting.rules.load import load_rules
from alerting.scrape import loop
from config.load import load
from exporters.catalog import host
from exporters.catalog.metric import Metric
from exporters.collectors import hwmon, memory
from tests.config.support import SHIPPED

# Of services that bring their own page; the pages are theirs.
# What evaluating the rules leaves behind, for rules that read what was told.
LEFT_BEHIND = {"ALERTS"}
FOREIGN = {"prometheus_config_last_reload_successful"}
TARGET_LABELS = {"node", "tier", "board", "job", "instance", "service"}
GROUPS = load_rules(load(SHIPPED, {}).rule_paths())
RULES = [rule for group in GROUPS for rule in group.rules]


def metrics_in(value: object) -> Iterator[Metric]:
    if isinstance(value, Metric):
        yield value
    elif isinstance(value, dict):
        yield from metrics_in(tuple(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from metrics_in(item)


def exported() -> Iterator[Metric]:
    """Everything the catalogue declares, and what it makes for the fields that the kernel names."""
    for module in pkgutil.iter_modules(exporters.catalog.__path__):
        yield from metrics_in(tuple(vars(importlib.import_module(f"exporters.catalog.{module.name}")).values()))
    for field in ("MemTotal", "MemAvailable", "SwapTotal", "SwapFree"):
        yield host.memory_field(f"{field}_bytes")
    for field in ("pswpin", "pswpout", "oom_kill"):
        assert memory.VMSTAT_FIELDS.match(field)
        yield host.vmstat_field(field)
    for kind, element in (("temp", "input"), ("fan", "input"), ("curr", "input"), ("curr", "crit")):
        yield hwmon.metric_of(kind, element, False)[0]
    yield hwmon.metric_of("pwm", "", True)[0]


def own() -> Iterator[str]:
    tables = (
        selfmetrics._SCRAPE,
        selfmetrics._EVENTS,
        selfmetrics._STORE,
        selfmetrics._RULES,
        selfmetrics._RECEIVER,
        selfmetrics._POOL,
        selfmetrics._REMOTE_READ,
        selfmetrics._REMOTE_WRITE,
    )
    for table in tables:
        for _, name, _, _ in table:
            yield f"tierwatch_{name}"
    yield "tierwatch_remote_write_lag_seconds"
    yield from (family.name for family in selfmetrics._reload(selfmetrics.ConfigReload(ok=True, loaded_ms=0)))


LABELS = {metric.name: {*metric.labels, *TARGET_LABELS} for metric in exported()}
RECORDED = {rule.name for rule in RULES if isinstance(rule, RecordingRule)}
KNOWN = {*LABELS, *own(), *loop._REPORTS, *RECORDED, *FOREIGN, *LEFT_BEHIND}


def name_of(rule: Rule) -> str:
    return rule.name


@pytest.mark.parametrize("rule", RULES, ids=name_of)
def test_every_metric_of_a_rule_exists(rule: Rule) -> None:
    assert metric_names(rule.expr) - KNOWN == set()


@pytest.mark.parametrize("rule", RULES, ids=name_of)
def test_every_label_of_a_selector_exists(rule: Rule) -> None:
    for matchers in selectors(rule.expr):
        names = {matcher.value for matcher in matchers if matcher.name == "__name__"}
        for known in (LABELS[name] for name in names if name in LABELS):
            assert {matcher.name for matcher in matchers} - {"__name__"} <= known


@pytest.mark.parametrize("rule", [rule for rule in RULES if isinstance(rule, AlertingRule)], ids=name_of)
def test_texts_query_only_metrics_that_exist(rule: AlertingRule) -> None:
    texts = " ".join(template.text for template in rule.annotations.values())
    assert set(re.findall(r"\b(?:node|tierwatch)_[a-z_]+", texts)) <= KNOWN


def test_recordings_are_made_before_they_are_read() -> None:
    """Within a group, so that the first evaluation sees them; across groups the next one does."""
    for group in GROUPS:
        made: set[str] = set()
        here = {rule.name for rule in group.rules if isinstance(rule, RecordingRule)}
        for rule in group.rules:
            # What a recording reads of itself is what it was before.
            assert (metric_names(rule.expr) & here) - {rule.name} <= made
            made.add(rule.name)


def test_names_of_recordings_follow_the_convention() -> None:
    """level:metric:operation (https://prometheus.io/docs/practices/rules/)."""
    assert unconventional(RECORDED) == []


def unconventional(names: Iterable[str]) -> list[str]:
    return [name for name in names if not re.fullmatch(r"(node|tier|fleet|service):[a-z_]+:[a-z0-9]+", name)]
