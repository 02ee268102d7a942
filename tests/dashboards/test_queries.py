"""Queries are made of what exists, and quoted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.model.labels import Labels
from alerting.promql.engine import Engine
from alerting.promql.parse import parse
from alerting.promql.value import Vector
from dashboards.queries import NODES, Scope, increase, named, pick, rate, ratio, regex, top
from exporters.catalog.host import CPU_SECONDS, LOAD1
from tests.support.memory_querier import MemoryQuerier


def test_selectors() -> None:
    assert pick(LOAD1) == 'node_load1{job="node"}'
    assert pick(LOAD1, Scope()) == "node_load1"
    assert pick(CPU_SECONDS, NODES.where(tier="2"), mode="!=idle") == (
        'node_cpu_seconds_total{job="node",tier="2",mode!="idle"}'
    )
    assert pick(CPU_SECONDS, mode="=~user|system").endswith('mode=~"user|system"}')


def test_a_label_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="no label 'modus'"):
        pick(CPU_SECONDS, modus="idle")


@pytest.mark.parametrize("function", [rate, increase])
def test_a_gauge_has_no_rate(function: object) -> None:
    assert callable(function)
    with pytest.raises(ValueError, match="a gauge has no"):
        function(LOAD1)


def test_a_rate_follows_the_picture() -> None:
    assert rate(CPU_SECONDS) == 'rate(node_cpu_seconds_total{job="node"}[$__rate_interval])'


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20))
def test_any_value_survives_quoting(value: str) -> None:
    if value.startswith(("=~", "!~", "!=")):
        return
    querier = MemoryQuerier()
    querier.put({"__name__": "node_load1", "node": value or "x"}, [(0, 1.0)])
    found = Engine(querier).instant(parse(pick(LOAD1, Scope(), node=value or "x")), 0).value
    assert isinstance(found, Vector)
    assert len(found) == 1


def test_named_values_are_one_query() -> None:
    querier = MemoryQuerier()
    querier.put({"__name__": "a"}, [(0, 1.0)])
    querier.put({"__name__": "b"}, [(0, 2.0)])
    found = Engine(querier).instant(parse(named("what", {'The "first"': "sum(a)", "back\\slash": "sum(b)"})), 0).value
    assert isinstance(found, Vector)
    assert dict(found) == {Labels.of({"what": 'The "first"'}): 1.0, Labels.of({"what": "back\\slash"}): 2.0}


def test_a_ratio_of_nothing_is_nothing() -> None:
    querier = MemoryQuerier()
    for node, whole in (("A", 0.0), ("B", 4.0)):
        querier.put({"__name__": "part", "node": node}, [(0, 2.0)])
        querier.put({"__name__": "whole", "node": node}, [(0, whole)])
    found = Engine(querier).instant(parse(ratio("part", "whole")), 0).value
    assert isinstance(found, Vector)
    assert dict(found) == {Labels.of({"node": "B"}): 0.5}


def test_top_is_the_same_series_all_along() -> None:
    querier = MemoryQuerier()
    for node, values in (("A", (9.0, 1.0)), ("B", (1.0, 2.0)), ("C", (2.0, 9.0))):
        querier.put({"__name__": "x", "node": node}, [(60_000, values[0]), (120_000, values[1])])
    expr = parse(top(2, "x").replace("$__range", "120s"))
    result = Engine(querier).range(expr, 60_000, 120_000, 60_000).value
    assert {series.labels.get("node") for series in result} == {"A", "C"}  # type: ignore[union-attr]


def test_a_single_name_is_no_expression() -> None:
    assert regex(["PI51"]) == "PI51"
    assert regex(["PI51", "AGX0"]) == "=~PI51|AGX0"
