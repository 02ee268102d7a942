"""A notice in words: one title and a short plain text, the important first. Pure and deterministic.

A push shows the title and perhaps two lines; services cut at about 1000 characters (Pushover 1024, ntfy 4096). So the
text is bounded, and the link has its place whatever is left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Literal

from alerting.model.alert import Alert
from alerting.notify import impact
from alerting.notify.notice import Notice
from config.cluster import Cluster

TITLE_CHARACTERS = 120
BODY_CHARACTERS = 1000
_LINE_CHARACTERS = 240
_ALERTS_SHOWN = 6
# What the failure means comes after these; the other alerts after that.
_ALERTS_FIRST = 2
_LATE_MS = 60_000
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

# Apprise's notification types: they choose colour and icon at the receiver.
Kind = Literal["failure", "warning", "info", "success"]


@dataclass(frozen=True, slots=True)
class Message:
    title: str
    body: str
    kind: Kind


def compose(
    notice: Notice,
    cluster: Cluster,
    now_ms: int,
    *,
    external_url: str = "",
    external_labels: Mapping[str, str] | None = None,
    zone: tzinfo | None = None,
) -> Message:
    """Put a notice into words. ``zone``: of the times shown; None is the machine's own."""
    footer = [_cut(_from(external_labels), _LINE_CHARACTERS)] if external_labels else []
    footer += [external_url] if external_url else []
    lines = _Lines(BODY_CHARACTERS - sum(len(line) + 1 for line in footer))
    alerts = [_firing_line(alert, cluster, now_ms, zone) for alert in _by_weight(notice)[:_ALERTS_SHOWN]]
    for line in alerts[:_ALERTS_FIRST]:
        lines.add(line)
    # What a cause hides is part of what it does.
    own = impact.gone([*notice.firing, *notice.hidden])
    everything = impact.gone([*notice.firing, *notice.around.values()])
    over = tuple(alert for alert in notice.resolved if not _lasts(alert, everything))
    for sentence in impact.sentences(cluster, own, everything) if own else []:
        lines.add(sentence)
    if notice.hidden:
        known = {"", *(impact.node_of(alert) for alert in notice.firing)}
        where = "" if {impact.node_of(alert) for alert in notice.hidden} <= known else _places(notice.hidden)
        lines.add(f"Hides {_count(notice.hidden)}{where}: {_tally(notice.hidden)}.")
    for line in alerts[_ALERTS_FIRST:]:
        lines.add(line)
    if len(notice.firing) > _ALERTS_SHOWN:
        lines.add(f"…and {len(notice.firing) - _ALERTS_SHOWN} more")
    for text in _actions(_by_weight(notice)):
        lines.add(text)
    for alert in notice.resolved[:_ALERTS_SHOWN]:
        lines.add(_resolved_line(alert, cluster, zone, lasts=_lasts(alert, everything)))
    if len(notice.resolved) > _ALERTS_SHOWN:
        lines.add(f"…and {len(notice.resolved) - _ALERTS_SHOWN} more are over")
    back = impact.gone(over if notice.firing else notice.resolved)
    for sentence in impact.recovered(cluster, back, everything) if back else []:
        lines.add(sentence)
    body = "\n".join([*lines.kept, *footer])
    return Message(_cut(_title(notice, over, cluster, now_ms), TITLE_CHARACTERS), body, _kind(notice, over))


def late(body: str, queued_ms: int, now_ms: int) -> str:
    """The text as it is sent: it says so when it is delivered more than a minute after it was written."""
    delay = now_ms - queued_ms
    return f"(delayed {duration(delay)})\n{body}" if delay >= _LATE_MS else body


def duration(milliseconds: int) -> str:
    """Two units at most, as a person says it: ``20s``, ``3m20s``, ``14m``, ``2d5h``."""
    seconds = max(0, milliseconds) // 1000
    for unit, size, lower, lower_size in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if seconds >= size:
            count, rest = divmod(seconds, size)
            part = rest // lower_size
            # Seconds matter below ten minutes only.
            return f"{count}{unit}{part}{lower}" if part and (unit != "m" or count < 10) else f"{count}{unit}"
    return f"{seconds}s"


def _from(external_labels: Mapping[str, str]) -> str:
    """Which of several clusters says this."""
    return f"From {', '.join(f'{name}={value}' for name, value in sorted(external_labels.items()))}"


def _title(notice: Notice, over: Sequence[Alert], cluster: Cluster, now_ms: int) -> str:
    """``over``: what is resolved and not gone for another reason."""
    if not notice.firing:
        return _title_of_endings(notice, over, cluster, now_ms)
    # What the receiver hears of for the first time is the news; the rest is known.
    news = [alert for alert in _by_weight(notice) if alert.fingerprint in notice.fresh] or _by_weight(notice)
    down = [alert for alert in news if impact.takes_node(alert)]
    # The one service that is gone is what the rest of the news is about, more often than not.
    chief = down or [alert for alert in news if impact.takes_service(alert)] or news
    since = [alert.active_ms for alert in notice.firing] if notice.reason == "repeat" else []
    if len(news) == 1 or len(chief) == 1:
        # It was told to be gone for another reason, which is over.
        known = [alert for alert in notice.resolved if _lasts(alert, impact.gone(chief[:1]))]
        since = since or [alert.active_ms for alert in (*known, chief[0]) if known]
        text = f"{'STILL ' if since else ''}{_headline(chief[0], cluster)}"
        others = len(notice.firing) - 1
        text += f" +{others}" if others else ""
    elif down:
        text = f"{'STILL ' if since else ''}DOWN {', '.join(sorted(impact.node_of(alert) for alert in down))}"
    else:
        text = f"{'STILL ' if since else ''}{_count(notice.firing)}{_places(notice.firing)}"
    if since:
        text += f", for {duration(now_ms - min(since))}"
    return f"{text}, {len(over)} resolved" if over else text


def _title_of_endings(notice: Notice, over: Sequence[Alert], cluster: Cluster, now_ms: int) -> str:
    if not over:
        first = min(notice.resolved, key=lambda alert: alert.active_ms)
        return f"STILL DOWN {_subject(first, cluster)}, for {duration(now_ms - first.active_ms)}"
    if len(over) == 1:
        return f"RESOLVED {_subject(over[0], cluster)}, after {duration(_lasted(over[0]))}"
    return f"RESOLVED {_count(over)}{_places(over)}"


def _headline(alert: Alert, cluster: Cluster) -> str:
    if impact.takes_node(alert) or impact.takes_service(alert):
        return f"DOWN {_subject(alert, cluster)}"
    severity = alert.labels.get("severity")
    prefix = f"{severity.upper()} " if severity in ("critical", "warning", "info") else ""
    return f"{prefix}{_subject(alert, cluster)}"


def _subject(alert: Alert, cluster: Cluster) -> str:
    """What the alert is about, as short as it stays clear."""
    name = impact.node_of(alert)
    if impact.takes_node(alert):
        node = cluster.nodes.get(name)
        return f"{name} (tier {node.tier}, {cluster.tiers.get(node.tier, '?')})" if node else name
    if impact.takes_service(alert):
        reference = impact.service_of(alert)
        service = cluster.service(reference)
        return f"{service.title} on {name}" if service is not None and service.title else reference
    where = impact.service_of(alert) or name
    return f"{alert.name} on {where}" if where else alert.name


def _firing_line(alert: Alert, cluster: Cluster, now_ms: int, zone: tzinfo | None) -> str:
    since = f"since {_clock(alert.active_ms, now_ms, zone)} ({duration(now_ms - alert.active_ms)})"
    text = alert.annotations.get("summary") or alert.annotations.get("description")
    if not text:
        text = f"{_subject(alert, cluster)} {'is down' if _is_down(alert) else 'is firing'}"
    return f"{_cut(_plain(text), _LINE_CHARACTERS).rstrip('.')}, {since}."


def _resolved_line(alert: Alert, cluster: Cluster, zone: tzinfo | None, *, lasts: bool) -> str:
    """``lasts``: what it took is gone for another reason."""
    end = alert.active_ms if alert.resolved_ms is None else alert.resolved_ms
    when = f"{_clock(alert.active_ms, end, zone)} to {_clock(end, end, zone)}, {duration(_lasted(alert))}."
    if lasts:
        text = alert.annotations.get("summary") or alert.name
        return f"Before: {_cut(_plain(text), _LINE_CHARACTERS).rstrip('.')}, {when}"
    return f"Over: {_subject(alert, cluster)}, {when}"


def _actions(alerts: Iterable[Alert]) -> list[str]:
    """What to do about each alert and what else is known of it, the worst first, each text once; what stands in the
    alert's line is not said again."""
    texts: dict[str, None] = {}
    for alert in alerts:
        action = alert.annotations.get("action", "")
        description = alert.annotations.get("description", "") if alert.annotations.get("summary") else ""
        for text in (f"Do: {_plain(action)}" if action else "", _plain(description)):
            if text:
                texts.setdefault(_cut(text, _LINE_CHARACTERS * 2))
    return list(texts)


def _by_weight(notice: Notice) -> list[Alert]:
    """News first; gone nodes before gone services before the rest."""

    def weight(alert: Alert) -> tuple[bool, int, int]:
        rank = 0 if impact.takes_node(alert) else 1 if impact.takes_service(alert) else 2
        severity = {"critical": 0, "warning": 1}.get(alert.labels.get("severity"), 2)
        return (alert.fingerprint not in notice.fresh, rank, severity)

    return sorted(notice.firing, key=weight)


def _kind(notice: Notice, over: Sequence[Alert]) -> Kind:
    if not notice.firing:
        return "success" if over else "failure"
    severities = {alert.labels.get("severity") for alert in notice.firing}
    if "critical" in severities or any(map(_is_down, notice.firing)):
        return "failure"
    return "info" if severities == {"info"} else "warning"


def _is_down(alert: Alert) -> bool:
    return impact.takes_node(alert) or impact.takes_service(alert)


def _lasts(alert: Alert, everything: impact.Gone) -> bool:
    """Whether the node or service that an alert took is gone all the same."""
    if impact.takes_node(alert):
        return impact.node_of(alert) in everything.nodes
    return impact.takes_service(alert) and impact.service_of(alert) in everything.services


def _lasted(alert: Alert) -> int:
    return 0 if alert.resolved_ms is None else alert.resolved_ms - alert.active_ms


def _clock(time_ms: int, now_ms: int, zone: tzinfo | None) -> str:
    """Time of day; with the date when it was not today."""
    time, now = (datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone) for ms in (time_ms, now_ms))
    return time.strftime("%H:%M:%S" if time.date() == now.date() else "%Y-%m-%d %H:%M")


def _count(alerts: Sequence[Alert]) -> str:
    return f"{len(alerts)} alert{'s' if len(alerts) != 1 else ''}"


def _places(alerts: Iterable[Alert]) -> str:
    nodes = sorted({node for alert in alerts if (node := impact.node_of(alert))})
    if not nodes:
        return ""
    return f" on {', '.join(nodes)}" if len(nodes) <= 3 else f" on {len(nodes)} nodes"


def _tally(alerts: Iterable[Alert]) -> str:
    counts = Counter(alert.name for alert in alerts)
    shown = [name if count == 1 else f"{name} ×{count}" for name, count in sorted(counts.items())]
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")


def _plain(text: str) -> str:
    return _CONTROL.sub(" ", text).strip()


def _cut(text: str, characters: int) -> str:
    text = _plain(text)
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


class _Lines:
    """Lines up to a number of characters; what does not fit is cut, what comes after is left out."""

    def __init__(self, characters: int) -> None:
        self.kept: list[str] = []
        self._left = max(characters, 0)

    def add(self, line: str) -> None:
        if self._left < 20:
            self._left = 0
            return
        line = _cut(line, self._left - 1)
        self.kept.append(line)
        self._left -= len(line) + 1
