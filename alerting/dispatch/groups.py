"""One group of alerts and what its receiver was last told: a pure state machine, (group, alerts, now) -> step.

    nothing told --fresh alert--> waiting (group_wait) --> told --change--> waiting (group_interval) --> told ...

The contract:
- what was told to be firing is told to be resolved, whatever inhibits or silences it since;
- what ends before it was told is never told;
- a change is told once, all changes of one waiting time in one notice;
- unchanged, the group is told again after repeat_interval.

As in Alertmanager, group_wait lets alerts of one cause gather before the first notice, and group_interval is the
shortest time between notices of a group. Unlike there, that interval is no free-running tick: a group that has been
quiet for longer tells a change after group_wait instead of at the next tick.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from alerting.dispatch.route import Waits
from alerting.model.alert import Alert
from alerting.model.labels import Labels
from alerting.notify.notice import Notice, Reason


@dataclass(frozen=True, slots=True)
class Told:
    """An alert that the receiver believes to be firing. ``ended_ms``: when it ended, not told yet."""

    alert: Alert
    ended_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """``told`` by fingerprint is the notification log. ``last_ms``: the last notice; ``due_ms``: the next, if any."""

    key: str
    receiver: str
    labels: Labels
    told: Mapping[str, Told] = field(default_factory=dict)
    last_ms: int | None = None
    due_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Members:
    """The alerts of a group now, by fingerprint. ``muted``: whom nobody shall hear of, and which alerts explain it
    (none for a silence). ``ended``: alerts that resolved since the last step."""

    active: Mapping[str, Alert]
    muted: Mapping[str, frozenset[str]] = field(default_factory=dict)
    ended: Mapping[str, Alert] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """What follows: the group (None: nothing left to know), a notice to queue, when to look again."""

    group: Group | None
    notice: Notice | None
    wake_ms: int | None


def step(group: Group, members: Members, waits: Waits, now_ms: int, *, send_resolved: bool = True) -> Step:
    """Advance a group. Must be called when an alert of the group changes, and at ``wake_ms``."""
    group = _with_endings(_sane_clock(group, waits, now_ms), members, now_ms)
    if not send_resolved:
        group = replace(group, told={key: told for key, told in group.told.items() if told.ended_ms is None})
    firing = {key: alert for key, alert in members.active.items() if key not in members.muted}
    fresh = firing.keys() - group.told.keys()
    ended = {key for key, told in group.told.items() if told.ended_ms is not None}
    if not fresh and not ended:
        return _unchanged(replace(group, due_ms=None), firing, waits, now_ms)
    due = group.due_ms
    if due is None:
        due = _due(group, [firing[key] for key in fresh], waits, now_ms)
    if now_ms < due:
        return Step(replace(group, due_ms=due), None, due)
    return _tell(group, firing, frozenset(fresh), waits, now_ms)


def _sane_clock(group: Group, waits: Waits, now_ms: int) -> Group:
    """A clock that was set back must not make anybody wait for the old future."""
    last, due = group.last_ms, group.due_ms
    if last is not None and last > now_ms:
        group = replace(group, last_ms=now_ms)
    if due is not None and due > now_ms + max(waits.group_wait_ms, waits.group_interval_ms):
        group = replace(group, due_ms=None)
    return group


def _with_endings(group: Group, members: Members, now_ms: int) -> Group:
    told = {}
    for key, entry in group.told.items():
        if key in members.active:
            told[key] = Told(entry.alert)
        elif entry.ended_ms is None:
            end = members.ended[key].resolved_ms if key in members.ended else None
            told[key] = Told(entry.alert, now_ms if end is None else end)
        else:
            told[key] = entry
    return replace(group, told=told)


def _due(group: Group, fresh: list[Alert], waits: Waits, now_ms: int) -> int:
    since = min((now_ms if alert.fired_ms is None else alert.fired_ms for alert in fresh), default=now_ms)
    earliest = min(since, now_ms) + waits.group_wait_ms
    return earliest if group.last_ms is None else max(earliest, group.last_ms + waits.group_interval_ms)


def _unchanged(group: Group, firing: Mapping[str, Alert], waits: Waits, now_ms: int) -> Step:
    if not group.told:
        return Step(None, None, None)
    if group.last_ms is None or not firing:
        return Step(group, None, None)
    repeat = group.last_ms + waits.repeat_interval_ms
    if now_ms < repeat:
        return Step(group, None, repeat)
    return _tell(group, firing, frozenset(), waits, now_ms)


def _tell(group: Group, firing: Mapping[str, Alert], fresh: frozenset[str], waits: Waits, now_ms: int) -> Step:
    resolved = tuple(
        replace(entry.alert, state="resolved", resolved_ms=entry.ended_ms)
        for entry in group.told.values()
        if entry.ended_ms is not None
    )
    reason: Reason = "firing" if fresh else "resolved" if resolved else "repeat"
    notice = Notice(
        group_key=group.key,
        receiver=group.receiver,
        group_labels=group.labels,
        reason=reason,
        firing=tuple(sorted(firing.values(), key=_order)),
        fresh=fresh,
        resolved=tuple(sorted(resolved, key=_order)),
    )
    told = {key: entry for key, entry in group.told.items() if entry.ended_ms is None}
    told |= {key: Told(firing[key]) for key in fresh}
    if not told:
        return Step(None, notice, None)
    wake = now_ms + waits.repeat_interval_ms if firing else None
    return Step(replace(group, told=told, last_ms=now_ms, due_ms=None), notice, wake)


def _order(alert: Alert) -> tuple[int, Labels]:
    return (alert.active_ms, alert.labels)
