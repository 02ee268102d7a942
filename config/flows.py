"""What a failure means for the people who use the cluster: the state of each request flow.

Pure: whether a service is up is asked through a function, so the same code serves the page, the messages and tests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from config.cluster import Cluster, Flow, Step

State = Literal["ok", "degraded", "broken", "unknown"]
# ``NODE/service`` -> up, down, or None when nobody knows.
Up = Callable[[str], bool | None]


@dataclass(frozen=True, slots=True)
class FlowState:
    """``failed``: what is down on the path. ``lost_percent``: the share of requests whose way is cut.
    ``moved_percent``: the part of those that fails over to a way that is not cut; the rest of them fails."""

    state: State
    failed: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    lost_percent: int = 0
    moved_percent: int = 0

    @property
    def failing_percent(self) -> int:
        """The share of requests that get no answer."""
        return self.lost_percent - self.moved_percent


def flow_state(flow: Flow, cluster: Cluster, up: Up) -> FlowState:
    """The state of a flow: the worst of its steps; a split is broken only when every branch is."""
    states = [_step(step, cluster, up) for step in flow.steps]
    # Losses of several steps are not added up: the same request may be hit by both.
    worst = max(states, key=lambda state: (state.failing_percent, state.lost_percent), default=FlowState("ok"))
    failed = tuple(dict.fromkeys(name for state in states for name in state.failed))
    unknown = tuple(dict.fromkeys(name for state in states for name in state.unknown))
    return FlowState(
        state=_worst([state.state for state in states]),
        failed=failed,
        unknown=unknown,
        lost_percent=worst.lost_percent,
        moved_percent=worst.moved_percent,
    )


def flows_hit(cluster: Cluster, node: str) -> dict[str, FlowState]:
    """Which flows suffer, and how, when one node is gone and everything else runs."""
    hit = {}
    for name, flow in cluster.flows.items():
        state = flow_state(flow, cluster, lambda reference: reference.partition("/")[0] != node)
        if state.state != "ok":
            hit[name] = state
    return hit


def _step(step: str | Step, cluster: Cluster, up: Up) -> FlowState:
    if isinstance(step, str):
        return _chain((step,), up)
    if step.every == "node":
        return _every(tuple(cluster.nodes), up)
    branches = [_chain(branch.steps, up) for branch in step.split]
    lost = sum(branch.percent for branch, state in zip(step.split, branches, strict=True) if state.state == "broken")
    broken = [state for state in branches if state.state == "broken"]
    if broken:
        state: State = "broken" if len(broken) == len(branches) else "degraded"
    else:
        state = _worst([branch.state for branch in branches])
    return FlowState(
        state=state,
        failed=tuple(name for branch in branches for name in branch.failed),
        unknown=tuple(name for branch in branches for name in branch.unknown),
        lost_percent=lost,
        moved_percent=lost if step.failover and state == "degraded" else 0,
    )


def _chain(steps: tuple[str, ...], up: Up) -> FlowState:
    answers = {reference: up(reference) for reference in steps}
    failed = tuple(name for name, answer in answers.items() if answer is False)
    unknown = tuple(name for name, answer in answers.items() if answer is None)
    if failed:
        return FlowState("broken", failed, unknown, 100)
    return FlowState("unknown" if unknown else "ok", (), unknown)


def _every(nodes: tuple[str, ...], up: Up) -> FlowState:
    """Every node feeds this step: one missing takes its own part away, not the whole."""
    state = _chain(nodes, up)
    if state.failed and len(state.failed) < len(nodes):
        return FlowState("degraded", state.failed, state.unknown, round(100 * len(state.failed) / len(nodes)))
    return state


def _worst(states: list[State]) -> State:
    order: tuple[State, ...] = ("broken", "degraded", "unknown", "ok")
    return next((state for state in order if state in states), "ok")
