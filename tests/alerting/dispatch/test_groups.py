from __future__ import annotations

from collections.abc import Iterable

import pytest

from alerting.dispatch.groups import Group, Members, Step, step
from alerting.dispatch.route import Waits
from alerting.model.alert import Alert
from alerting.model.labels import Labels
from tests.alerting.dispatch.support import MINUTE, NOW, SECOND, alert

WAITS = Waits(group_wait_ms=10 * SECOND, group_interval_ms=MINUTE, repeat_interval_ms=60 * MINUTE)
EMPTY = Group("key", "phone", Labels.of({"node": "a"}))
HOT, FULL = alert("Hot", node="a"), alert("Full", node="a")


class Life:
    """One group over time. Times are seconds after the start."""

    def __init__(self, *, send_resolved: bool = True) -> None:
        self.group: Group | None = EMPTY
        self.send_resolved = send_resolved

    def at(self, second: int, alerts: Iterable[Alert] = (), muted: Iterable[Alert] = ()) -> Step:
        active = {one.fingerprint: one for one in alerts}
        members = Members(active, {one.fingerprint: frozenset({"source"}) for one in muted})
        found = step(self.group or EMPTY, members, WAITS, NOW + second * SECOND, send_resolved=self.send_resolved)
        self.group = found.group
        return found


def words(found: Step) -> str:
    """What was told: ``+new =known -over``."""
    if found.notice is None:
        return ""
    firing = [("+" if one.fingerprint in found.notice.fresh else "=") + one.name for one in found.notice.firing]
    return " ".join(sorted([*firing, *(f"-{one.name}" for one in found.notice.resolved)]))


def wake(found: Step) -> int | None:
    return None if found.wake_ms is None else (found.wake_ms - NOW) // SECOND


def test_alerts_of_one_cause_gather_before_the_first_notice() -> None:
    life = Life()
    assert (words(first := life.at(0, [HOT])), wake(first)) == ("", 10)
    assert wake(life.at(9, [HOT, FULL])) == 10
    told = life.at(10, [HOT, FULL])
    assert (words(told), wake(told)) == ("+Full +Hot", 3610)
    assert words(life.at(11, [HOT, FULL])) == ""


def test_an_alert_older_than_group_wait_is_told_at_once() -> None:
    assert words(Life().at(10, [HOT])) == "+Hot"


def test_changes_are_at_least_group_interval_apart_and_gather_too() -> None:
    life = Life()
    life.at(10, [HOT])
    assert wake(life.at(20, [HOT, FULL])) == 70
    assert words(life.at(69, [FULL])) == ""
    told = life.at(70, [FULL])
    assert words(told) == "+Full -Hot"
    assert told.notice is not None
    assert told.notice.resolved[0].resolved_ms == NOW + 69 * SECOND


def test_a_group_that_was_quiet_tells_a_change_after_group_wait() -> None:
    life = Life()
    life.at(10, [HOT])
    late = alert("Full", NOW + 200 * SECOND, node="a")
    assert wake(life.at(200, [HOT, late])) == 210
    assert words(life.at(210, [HOT, late])) == "+Full =Hot"


def test_what_ends_before_it_was_told_is_never_told() -> None:
    life = Life()
    life.at(0, [HOT])
    gone = life.at(5)
    assert (words(gone), gone.group, gone.wake_ms) == ("", None, None)
    assert words(life.at(20)) == ""


def test_what_comes_back_before_its_end_was_told_is_no_news() -> None:
    life = Life()
    life.at(10, [HOT])
    life.at(20)
    assert words(life.at(30, [HOT])) == ""
    assert words(life.at(75, [HOT])) == ""
    life.at(80)
    over = life.at(90)
    assert (words(over), over.group) == ("-Hot", None)


def test_inhibition_delays_no_end_and_hides_only_news() -> None:
    life = Life()
    life.at(10, [HOT])
    assert words(life.at(80, [HOT, FULL], muted=[HOT, FULL])) == ""
    life.at(81, [FULL], muted=[FULL])
    assert words(life.at(91, [FULL], muted=[FULL])) == "-Hot"
    assert words(life.at(200, [FULL])) == "+Full"


def test_unchanged_it_is_told_again_after_repeat_interval() -> None:
    life = Life()
    life.at(10, [HOT])
    assert words(life.at(3609, [HOT])) == ""
    again = life.at(3610, [HOT])
    assert (words(again), wake(again)) == ("=Hot", 7210)
    assert again.notice is not None
    assert again.notice.reason == "repeat"
    assert words(life.at(7210, [HOT], muted=[HOT])) == ""


def test_a_receiver_that_wants_no_endings() -> None:
    life = Life(send_resolved=False)
    life.at(10, [HOT, FULL])
    assert words(life.at(100, [HOT])) == ""
    over = life.at(200)
    assert (words(over), over.group) == ("", None)


@pytest.mark.parametrize("back", [5, 3600, 10 * 365 * 86400])
def test_a_clock_that_is_set_back_delays_by_one_interval_at_most(back: int) -> None:
    life = Life()
    life.at(200, [HOT])
    due = wake(life.at(200 - back, [HOT, FULL]))
    assert due == 200 - back + 60
    assert words(life.at(due, [HOT, FULL])) == "+Full =Hot"


def test_a_clock_that_is_set_back_while_a_change_waits() -> None:
    life = Life()
    life.at(0, [HOT])
    due = wake(life.at(-86400, [HOT]))
    assert due == -86400 + 10
    assert words(life.at(due, [HOT])) == "+Hot"
