from __future__ import annotations

import pytest

from alerting.dispatch.inhibit import build, inhibited
from alerting.model.alert import Alert
from config.alerting import InhibitRule
from tests.alerting.dispatch.support import NODE_DOWN_HIDES, alert


def muted(rules: list[InhibitRule], *alerts: Alert) -> dict[str, list[str]]:
    """Names of the muted alerts -> names of what mutes them."""
    labels = {one.fingerprint: one.labels for one in alerts}
    names = {one.fingerprint: one.name for one in alerts}
    found = inhibited(build(rules), labels, labels)
    return {names[key]: sorted(names[source] for source in sources) for key, sources in found.items()}


def test_a_source_hides_its_own_node_only() -> None:
    found = muted(
        [NODE_DOWN_HIDES], alert("NodeDown", node="a"), alert("Hot", node="a"), alert("Slow", node="b"), alert("Far")
    )
    assert found == {"Hot": ["NodeDown"]}


def test_equal_labels_missing_in_both_are_equal() -> None:
    found = muted([NODE_DOWN_HIDES], alert("NodeDown"), alert("Hot"), alert("Slow", node="b"))
    assert found == {"Hot": ["NodeDown"]}


def test_an_alert_does_not_inhibit_itself_nor_its_like() -> None:
    rule = InhibitRule(source_matchers=('severity="critical"',), target_matchers=('alertname=~".+"',))
    one, two = alert("One", severity="critical"), alert("Two", severity="critical")
    assert muted([rule], one, two) == {}
    assert muted([rule], one, two, alert("Three")) == {"Three": ["One", "Two"]}


def test_a_source_that_is_no_target_mutes_an_alert_on_both_sides() -> None:
    rule = InhibitRule(source_matchers=('kind=~"a|b"',), target_matchers=('kind=~"b|c"',))
    a, b, c = alert("A", kind="a"), alert("B", kind="b"), alert("C", kind="c")
    assert muted([rule], a, b, c) == {"B": ["A"], "C": ["A", "B"]}
    assert muted([rule], b, c) == {"C": ["B"]}


def test_rules_add_up_and_an_inhibited_alert_still_inhibits() -> None:
    rules = [
        NODE_DOWN_HIDES,
        InhibitRule(source_matchers=('alertname="RouterDown"',), target_matchers=('alertname!="RouterDown"',)),
    ]
    router, node, hot = alert("RouterDown"), alert("NodeDown", node="a"), alert("Hot", node="a")
    assert muted(rules, router, node, hot) == {"NodeDown": ["RouterDown"], "Hot": ["NodeDown", "RouterDown"]}


def test_a_matcher_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a matcher"):
        build([InhibitRule(source_matchers=("nonsense",), target_matchers=('a="b"',))])
