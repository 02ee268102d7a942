"""The routing tree: which receivers hear of an alert, and together with which others. Pure.

Keys and meaning are Alertmanager's (https://prometheus.io/docs/alerting/latest/configuration/#route): children are
asked in order, the first that matches takes the alert unless it says ``continue``, the deepest match counts, and what
a route does not say it inherits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from alerting.model.labels import Labels
from alerting.model.matcher import Matcher, all_match
from config.alerting import Route
from config.matchers import parse_matcher

ALL_LABELS = "..."
DEFAULT_GROUP_WAIT_MS = 30_000
DEFAULT_GROUP_INTERVAL_MS = 5 * 60_000
DEFAULT_REPEAT_INTERVAL_MS = 4 * 3_600_000


@dataclass(frozen=True, slots=True)
class Waits:
    """How long a group waits, in milliseconds."""

    group_wait_ms: int = DEFAULT_GROUP_WAIT_MS
    group_interval_ms: int = DEFAULT_GROUP_INTERVAL_MS
    repeat_interval_ms: int = DEFAULT_REPEAT_INTERVAL_MS


@dataclass(frozen=True, slots=True)
class RouteNode:
    """One route with everything inherited filled in. ``key`` stays the same while its matchers and parents do."""

    key: str
    receiver: str
    matchers: tuple[Matcher, ...]
    group_by: frozenset[str]
    waits: Waits
    continues: bool
    routes: tuple[RouteNode, ...]

    def group_labels(self, labels: Labels) -> Labels:
        """The labels that alerts of one group share."""
        return labels if ALL_LABELS in self.group_by else labels.only(self.group_by)

    def group_key(self, labels: Labels) -> str:
        """The name of the alert's group: the same alerts to the same receiver, also after a restart."""
        return f"{self.receiver}:{self.key}:{self.group_labels(labels)}"

    def walk(self) -> Iterator[RouteNode]:
        yield self
        for child in self.routes:
            yield from child.walk()


def build(root: Route) -> RouteNode:
    """The tree of a checked configuration. Raises ValueError for a matcher or a tree that the check would refuse."""
    if root.receiver is None:
        raise ValueError("the root route names no receiver")
    top = RouteNode("{}", root.receiver, (), frozenset(), Waits(), continues=False, routes=())
    return _node(root, top, "{}")


def matching(node: RouteNode, labels: Labels) -> list[RouteNode]:
    """The routes that take an alert, in order; never empty for the root."""
    return _matching(node, labels.as_dict())


def _matching(node: RouteNode, labels: dict[str, str]) -> list[RouteNode]:
    if not all_match(node.matchers, labels):
        return []
    found: list[RouteNode] = []
    for child in node.routes:
        taken = _matching(child, labels)
        found.extend(taken)
        if taken and not child.continues:
            break
    return found or [node]


def _node(route: Route, parent: RouteNode, key: str) -> RouteNode:
    own = RouteNode(
        key=key,
        receiver=route.receiver or parent.receiver,
        matchers=compile_matchers(route.matchers),
        group_by=parent.group_by if route.group_by is None else frozenset(route.group_by),
        waits=Waits(
            _milliseconds(route.group_wait, parent.waits.group_wait_ms),
            _milliseconds(route.group_interval, parent.waits.group_interval_ms),
            _milliseconds(route.repeat_interval, parent.waits.repeat_interval_ms),
        ),
        continues=route.continue_,
        routes=(),
    )
    children: list[RouteNode] = []
    seen: dict[str, int] = {}
    for child in route.routes:
        text = "{" + ",".join(sorted(child.matchers)) + "}"
        seen[text] = seen.get(text, 0) + 1
        twin = f"#{seen[text]}" if seen[text] > 1 else ""
        children.append(_node(child, own, f"{key}/{text}{twin}"))
    return RouteNode(
        own.key, own.receiver, own.matchers, own.group_by, own.waits, continues=own.continues, routes=tuple(children)
    )


def compile_matchers(texts: tuple[str, ...]) -> tuple[Matcher, ...]:
    """Matchers of their written form. Raises ValueError."""
    return tuple(Matcher(*parse_matcher(text)) for text in texts)


def _milliseconds(seconds: float | None, inherited: int) -> int:
    return inherited if seconds is None else round(seconds * 1000)
