"""The state machine: histories told as pictures, and what must be true of every history."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.model.alert import Alert
from alerting.model.labels import Labels
from alerting.promql.parse import parse
from alerting.rules.alerting_rule import (
    RESOLVED_RETENTION_MS,
    Candidate,
    EvaluationError,
    Step,
    candidates,
    step,
)
from alerting.rules.definitions import AlertingRule
from alerting.rules.restore import SHORT_OUTAGE_MS, restored
from alerting.rules.template import Template

MINUTE = 60_000
START = 1_700_000_000_000
LABELS = Labels.of({"alertname": "A", "node": "pi"})
LETTERS = {None: ".", "pending": "p", "firing": "F", "resolved": "r"}


def rule(for_min: float = 0, keep_min: float = 0) -> AlertingRule:
    return AlertingRule("A", "x", parse("x"), round(for_min * MINUTE), round(keep_min * MINUTE))


def now_holds(holds: bool, value: float = 1.0) -> list[Candidate]:
    return [Candidate(LABELS, {"text": f"{value}"}, value)] if holds else []


def history(given_rule: AlertingRule, picture: str) -> str:
    """One letter a minute in (x holds, . not, h not but held), one letter out: state after that minute."""
    states: dict[Labels, Alert] = {}
    out = ""
    for minute, letter in enumerate(picture):
        held = (lambda _: True) if letter == "h" else (lambda _: False)
        result = step(given_rule, states, now_holds(letter == "x"), START + minute * MINUTE, held=held)
        states = result.states
        out += LETTERS[states[LABELS].state if LABELS in states else None]
    return out


@pytest.mark.parametrize(
    ("for_min", "keep_min", "given_picture", "expected"),
    [
        (0, 0, "..xx..", "..FFrr"),
        (2, 0, ".xxxx.", ".ppFFr"),
        (2, 0, ".xx.xx", ".pp.pp"),  # what was never firing is forgotten at once, and counts anew
        (0, 2, "xx....", "FFFFrr"),
        (0, 2, "x.x...", "FFFFFr"),  # holding again starts the keeping anew
        (1, 1, "xx..x.", "pFFrp."),
        (0, 0, "x.x", "FrF"),  # a resolved alert that holds again is a new one
        (1, 0, "xx.xx", "pFrpF"),
        (0, 0, "xhh.", "FFFr"),  # held, then known to be over
        (2, 0, "xhhx", "ppp" + "F"),  # time without data counts for `for`, but nothing fires in it
        (9, 0, "xh.x", "pp.p"),
        (0, 0, "x" + "." * 17, "F" + "r" * 16 + "."),  # forgotten after 15 minutes
    ],
)
def test_a_life(for_min: float, keep_min: float, given_picture: str, expected: str) -> None:
    assert history(rule(for_min, keep_min), given_picture) == expected


def test_times_of_a_life() -> None:
    result = step(rule(1), {}, now_holds(True, 5.0), START)
    assert result.states[LABELS] == Alert(LABELS, {"text": "5.0"}, "pending", 5.0, START)
    result = step(rule(1), result.states, now_holds(True, 6.0), START + MINUTE)
    assert result.states[LABELS] == Alert(LABELS, {"text": "6.0"}, "firing", 6.0, START, START + MINUTE)
    assert [str(change) for change in result.changes] == ['{alertname="A", node="pi"}: pending -> firing']
    again = step(rule(1), result.states, now_holds(True, 7.0), START + 2 * MINUTE)
    assert again.changes == (), "a new value is no change"
    assert again.states[LABELS].value == 7.0
    over = step(rule(1), again.states, [], START + 3 * MINUTE)
    assert over.states[LABELS] == Alert(
        LABELS, {"text": "7.0"}, "resolved", 7.0, START, START + MINUTE, START + 3 * MINUTE
    )


def test_while_learning_nothing_fires_and_nothing_resolves() -> None:
    firing = step(rule(), {}, now_holds(True), START).states
    assert step(rule(), firing, [], START + 1, learning=True).states == firing
    fresh = step(rule(), {}, now_holds(True), START, learning=True).states
    assert fresh[LABELS].state == "pending"
    assert step(rule(), fresh, now_holds(True), START + 1).states[LABELS].state == "firing"


def test_breaking_the_limit_is_an_error() -> None:
    both = [Candidate(Labels.of({"n": str(n)}), {}, 1.0) for n in range(2)]
    assert len(step(rule(), {}, both, START, limit=2).states) == 2
    with pytest.raises(EvaluationError, match="exceeded limit of 1 with 2 alerts"):
        step(rule(), {}, both, START, limit=1)


def make(vector: list[tuple[Labels, float]], **labels: str) -> list[Candidate]:
    texts = {name: Template(text) for name, text in labels.items()}
    given_rule = AlertingRule("A", "x", parse("x"), labels=texts, annotations={"t": Template("{{ $value }}")})
    return candidates(given_rule, vector, external_labels={}, external_url="", query=lambda _: [])


def test_candidates_carry_rendered_labels_without_the_metrics_name() -> None:
    (found,) = make([(Labels.of({"__name__": "x", "node": "pi", "a": "1"}), 3.0)], a="", who="{{ $labels.node }}!")
    assert found == Candidate(Labels.of({"alertname": "A", "node": "pi", "who": "pi!"}), {"t": "3"}, 3.0)


def test_two_results_that_would_be_one_alert_are_an_error() -> None:
    vector = [(Labels.of({"n": "1"}), 1.0), (Labels.of({"n": "2"}), 1.0)]
    assert len(make(vector)) == 2
    with pytest.raises(EvaluationError, match="same labelset after applying alert labels"):
        make(vector, n="x")


# What must be true of every history: a list of (minutes since the step before, whether the expression holds).
HISTORIES = st.lists(st.tuples(st.integers(1, 7), st.booleans()), max_size=40)
WAITS = st.integers(0, 12)


@given(HISTORIES, WAITS, WAITS)
def test_never_firing_before_for_and_resolved_only_after_firing(
    events: list[tuple[int, bool]], for_min: int, keep_min: int
) -> None:
    given_rule = rule(for_min, keep_min)
    states: dict[Labels, Alert] = {}
    now, held_since = START, None
    for wait, holds in events:
        now += wait * MINUTE
        before = states.get(LABELS)
        result = step(given_rule, states, now_holds(holds), now)
        states = result.states
        alert = states.get(LABELS)
        fresh = before is None or before.state == "resolved"
        held_since = now if holds and (held_since is None or fresh) else held_since
        if alert is None or alert.state == "resolved":
            held_since = None
        if alert is not None and alert.state == "firing":
            assert held_since is not None
            assert alert.fired_ms is not None
            assert alert.fired_ms - alert.active_ms >= for_min * MINUTE
            assert alert.active_ms == held_since
        if alert is not None and alert.state == "resolved":
            assert before is not None
            assert before.state in ("firing", "resolved")
            assert alert.resolved_ms is not None
            assert alert.fired_ms is not None
            assert alert.resolved_ms > alert.fired_ms
        if holds:
            assert alert is not None
            assert alert.state != "resolved"
        assert (result.changes == ()) == (_kinds(before) == _kinds(alert))


def _kinds(alert: Alert | None) -> object:
    if alert is None:
        return None
    return alert.state, alert.active_ms, alert.fired_ms, alert.resolved_ms, alert.keep_firing_since_ms


@given(HISTORIES, WAITS, WAITS, st.data())
def test_stopping_and_going_on_at_any_point_gives_the_same_history(
    events: list[tuple[int, bool]], for_min: int, keep_min: int, data: st.DataObject
) -> None:
    given_rule = rule(for_min, keep_min)
    stops = data.draw(st.sets(st.integers(0, max(0, len(events) - 1))))

    def run(interrupted: bool) -> list[Step]:
        states: dict[Labels, Alert] = {}
        now, steps = START, []
        for position, (wait, holds) in enumerate(events):
            seen, now = now, now + wait * MINUTE
            if interrupted and position in stops:
                # As stored, read back within the time that counts as no outage at all.
                back = restored(list(states.values()), max(seen, now - SHORT_OUTAGE_MS), now)
                states = {alert.labels: alert for alert in back}
            steps.append(step(given_rule, states, now_holds(holds), now))
            states = steps[-1].states
        return steps

    plain, broken = run(False), run(True)
    assert [_alive(one, now) for one, now in zip(broken, _times(events), strict=True)] == [
        _alive(one, now) for one, now in zip(plain, _times(events), strict=True)
    ]


def _times(events: list[tuple[int, bool]]) -> list[int]:
    times, now = [], START
    for wait, _ in events:
        now += wait * MINUTE
        times.append(now)
    return times


def _alive(one: Step, now: int) -> object:
    """The states, without resolved ones whose 15 minutes are over (a restart forgets them a step earlier)."""
    return {
        labels: alert
        for labels, alert in one.states.items()
        if alert.resolved_ms is None or now - alert.resolved_ms <= RESOLVED_RETENTION_MS
    }


def test_after_an_outage() -> None:
    pending = Alert(LABELS, {}, "pending", 1.0, START)
    firing = Alert(LABELS, {}, "firing", math.nan, START, START + 1)
    ended = Alert(LABELS, {}, "resolved", 1.0, START, START + 1, START + 2)
    hour = 60 * MINUTE
    seen = START + 10
    assert restored([pending, firing], seen, seen + MINUTE) == [pending, firing]
    shifted = restored([pending], seen, seen + 10 * MINUTE)
    assert shifted[0].active_ms == START + 10 * MINUTE, "nobody looked for ten minutes: they do not count for `for`"
    assert restored([pending, firing], seen, seen + hour) == [firing], "whoever was told must be told the end"
    assert restored([ended], seen, START + 2 + RESOLVED_RETENTION_MS) == [ended]
    assert restored([ended], seen, START + 3 + RESOLVED_RETENTION_MS) == []
    earlier = restored([pending], seen, seen - hour)
    assert earlier[0].active_ms == START - hour, "a clock that went back is no outage, and the age is kept"
    assert restored([pending], seen, seen + 90 * MINUTE, tolerance_ms=2 * hour) != []
