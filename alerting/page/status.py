"""What the page shows, worked out from what is known. Pure: no clock, no queries, no HTTP.

Missing is not zero and silence is not health: a node that was never reached is unknown, a service that nothing
watches says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from alerting.model.alert import Alert
from alerting.page.services import Seen, summed_up
from alerting.page.vitals import FLAGS, VITALS, Figures, Vital
from config.cluster import Cluster, Node, Service
from config.flows import FlowState, flow_state

Health = Literal["up", "down", "unknown"]
_SEVERITIES = ("critical", "warning")
_JOURNAL_ENTRIES = 12


@dataclass(frozen=True, slots=True)
class TargetHealth:
    """One scrape target. ``service`` is empty for a node's exporter. ``since_ms``: in this health since."""

    node: str
    service: str
    health: Health
    error: str = ""
    since_ms: int | None = None


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One message of the outbox as the page tells it."""

    time_ms: int
    receiver: str
    title: str
    state: Literal["delivered", "waiting", "lost"]
    text: str


@dataclass(frozen=True, slots=True)
class Known:
    """Everything the page is made from. ``hidden``: alert fingerprint -> name of the alert that explains it."""

    cluster: Cluster
    targets: Sequence[TargetHealth]
    alerts: Sequence[Alert]
    hidden: Mapping[str, str]
    figures: Figures
    journal: Sequence[JournalEntry]
    notes: Sequence[str]


def build_status(known: Known, now_ms: int) -> dict[str, Any]:
    """The page's data as plain JSON values."""
    by_place = {(target.node, target.service): target for target in known.targets}
    firing = sorted((alert for alert in known.alerts if alert.state == "firing"), key=_importance)
    flows = [_flow(name, known, by_place) for name in known.cluster.flows]
    return {
        "cluster": known.cluster.cluster,
        "time_ms": now_ms,
        "verdict": _verdict(known, by_place, firing, flows),
        "notes": list(known.notes),
        "flows": flows,
        "alerts": [_alert(alert, known.hidden) for alert in firing],
        "tiers": [
            {
                "tier": tier,
                "title": title,
                "nodes": [
                    _node(name, node, known, by_place, firing) for name, node in known.cluster.in_tier(tier).items()
                ],
            }
            for tier, title in known.cluster.tiers.items()
        ],
        "journal": [
            {"time_ms": e.time_ms, "receiver": e.receiver, "title": e.title, "state": e.state, "text": e.text}
            for e in known.journal[:_JOURNAL_ENTRIES]
        ],
    }


def _importance(alert: Alert) -> tuple[int, int]:
    severity = alert.labels.get("severity")
    rank = _SEVERITIES.index(severity) if severity in _SEVERITIES else len(_SEVERITIES)
    return rank, -(alert.fired_ms or alert.active_ms)


_Places = Mapping[tuple[str, str], TargetHealth]


def _verdict(
    known: Known, by_place: _Places, firing: Sequence[Alert], flows: Sequence[Mapping[str, str]]
) -> dict[str, str]:
    """One sentence: is everything fine?"""
    loud = [alert for alert in firing if alert.labels.get("severity") in _SEVERITIES]
    told = [alert for alert in loud if alert.fingerprint not in known.hidden]
    down = [name for name in known.cluster.nodes if _health(by_place, name) == "down"]
    unknown = [name for name in known.cluster.nodes if _health(by_place, name) == "unknown"]
    if told or down:
        worst = "critical" if down or any(a.labels.get("severity") == "critical" for a in told) else "warning"
        parts = [f"{_listed(down)} {'is' if len(down) == 1 else 'are'} down"] if down else []
        others = [alert for alert in told if alert.labels.get("node") not in down]
        if others:
            parts.append(_summary(others[0]) if len(others) == 1 else f"{len(others)} alerts are firing")
        return {"state": worst, "text": "; ".join(parts) or _summary(told[0])}
    # Before an alert says so: it may still wait, or nobody wrote a rule for it.
    for state, verdict in (("broken", "critical"), ("degraded", "warning")):
        hit = [flow["title"] for flow in flows if flow["state"] == state]
        if hit:
            return {"state": verdict, "text": f"{_listed(hit)} {'is' if len(hit) == 1 else 'are'} {state}"}
    if unknown:
        return {"state": "unknown", "text": f"Nothing is known yet about {_listed(unknown)}"}
    unsure = [flow["title"] for flow in flows if flow["state"] == "unknown"]
    if unsure:
        return {"state": "unknown", "text": f"Nobody knows whether {_listed(unsure)} {_works(unsure)}"}
    watching = f"all {len(known.cluster.nodes)} nodes answer"
    return {"state": "ok", "text": f"Everything is fine: {watching}"}


def _works(titles: Sequence[str]) -> str:
    return "works" if len(titles) == 1 else "work"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _summary(alert: Alert) -> str:
    return alert.annotations.get("summary") or alert.name


def _health(by_place: _Places, node: str, service: str = "") -> Health:
    target = by_place.get((node, service))
    return target.health if target else "unknown"


def _flow(name: str, known: Known, by_place: _Places) -> dict[str, str]:
    flow = known.cluster.flows[name]

    def up(reference: str) -> bool | None:
        node, _, service = reference.partition("/")
        # A service that nothing watches is taken to run as long as its node does; the chips say it is not watched.
        state = _service_seen(node, service, known, by_place).state if service else "unwatched"
        health = _health(by_place, node)
        if "down" in (state, health):
            return False
        return None if "unknown" in (state, health) else True

    state = flow_state(flow, known.cluster, up)
    steps = [step.partition("/") for step in flow.services()]
    seen = {_service_seen(node, service, known, by_place).state for node, _, service in steps}
    return {
        "name": name,
        "title": flow.title,
        "question": flow.question,
        "state": state.state,
        "text": _flow_text(state, watched="unwatched" not in seen),
    }


def _flow_text(state: FlowState, *, watched: bool) -> str:
    if state.state == "broken":
        return f"cut at {_listed(state.failed)}"
    if state.state == "degraded":
        parts = [f"{state.moved_percent} % takes another way"] if state.moved_percent else []
        parts += [f"{state.failing_percent} % is lost"] if state.failing_percent else []
        return f"without {_listed(state.failed)}: {', '.join(parts)}"
    if state.state == "unknown":
        return f"not known yet: {_listed(state.unknown)}"
    return "every step answers" if watched else "every step's node answers"


def _alert(alert: Alert, hidden: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": alert.name,
        "state": alert.state,
        "severity": alert.labels.get("severity"),
        "node": alert.labels.get("node"),
        "summary": alert.annotations.get("summary", ""),
        "description": alert.annotations.get("description", ""),
        "action": alert.annotations.get("action", ""),
        "since_ms": alert.active_ms,
        "hidden_by": hidden.get(alert.fingerprint),
    }


def _node(name: str, node: Node, known: Known, by_place: _Places, firing: Sequence[Alert]) -> dict[str, Any]:
    target = by_place.get((name, ""))
    health = target.health if target else "unknown"
    own = {alert.labels.get("severity") for alert in firing if alert.labels.get("node") == name}
    state: str = health
    if health == "up":
        state = "critical" if "critical" in own else "warning" if "warning" in own else "up"
    return {
        "name": name,
        "role": node.role,
        "board": node.board.replace("-", " "),
        "address": node.address,
        "state": state,
        "since_ms": target.since_ms if target else None,
        "reason": target.error if target and health == "down" else "",
        "vitals": [
            _vital(vital, name, node.board, known.figures, health)
            for vital in VITALS
            if node.board.startswith(vital.only)
        ],
        "spark": list(known.figures.sparks.get(name, ())) if health == "up" else [],
        "flags": [{"text": FLAGS[index][1], "help": FLAGS[index][2]} for index in known.figures.flags.get(name, ())],
        "services": [_service(name, label, service, known, by_place) for label, service in node.services.items()],
    }


def _vital(vital: Vital, name: str, board: str, figures: Figures, health: Health) -> dict[str, Any]:
    value = figures.vitals.get(vital.key, {}).get(name)
    # What an exporter says may be any float; JSON knows neither NaN nor infinity, and neither is a figure.
    if value is None or not math.isfinite(value) or health != "up":
        return {"title": vital.title, "help": vital.help, "value": None, "ratio": None, "state": "unknown"}
    return {
        "title": vital.title,
        "help": vital.help,
        "value": vital.show(value),
        "ratio": value / vital.full,
        "state": vital.level(value, board),
    }


def _service(node: str, label: str, service: Service, known: Known, by_place: _Places) -> dict[str, Any]:
    seen = _service_seen(node, label, known, by_place)
    return {
        "name": label,
        "title": service.title or label,
        "port": service.port,
        "state": seen.state,
        "help": seen.words,
    }


def _service_seen(node: str, label: str, known: Known, by_place: _Places) -> Seen:
    target = by_place.get((node, label))
    own = [Seen(target.health, target.error or f"its own metrics endpoint is {target.health}")] if target else []
    if not own and _health(by_place, node) == "down":
        return Seen("unknown", "its node is down")
    return summed_up([*own, *known.figures.services.get((node, label), ())])
