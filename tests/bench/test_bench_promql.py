"""Budgets of queries, far above what they take: a change that makes them slower by an order of magnitude fails."""

from __future__ import annotations

import pytest

from tests.bench.bench_promql import measure


@pytest.mark.bench
def test_a_round_of_rules_and_a_panel_are_quick() -> None:
    rules, panels = measure()
    assert max(rules.values()) < 0.02, rules
    assert max(panels.values()) < 2.0, panels
