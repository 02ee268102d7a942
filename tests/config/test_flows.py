"""What a failure means for people: the state of a flow from the states of its services."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.cluster import Branch, Cluster, Flow, Step
from config.flows import FlowState, State, flow_state, flows_hit
from config.load import load_cluster
from tests.config.support import SHIPPED

CLUSTER: Cluster = load_cluster(SHIPPED)
LEFT, RIGHT, DOOR = "AGX0/ollama", "ORIN0/ollama", "PI51/kong"


def split(*, failover: bool) -> Flow:
    branches = (Branch(percent=80, steps=(LEFT,)), Branch(percent=20, steps=(RIGHT,)))
    return Flow(title="Chat", steps=(DOOR, Step(split=branches, failover=failover)))


def state_with(flow: Flow, **states: bool | None) -> FlowState:
    """The state of a flow when the services named are down (False) or unknown (None) and all others are up."""
    names = {"left": LEFT, "right": RIGHT, "door": DOOR}
    answers = {names[name]: state for name, state in states.items()}
    return flow_state(flow, CLUSTER, lambda reference: answers.get(reference, True))


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({}, FlowState("ok", (), (), 0, 0)),
        ({"left": False}, FlowState("degraded", (LEFT,), (), 80, 80)),
        ({"right": False}, FlowState("degraded", (RIGHT,), (), 20, 20)),
        ({"left": False, "right": False}, FlowState("broken", (LEFT, RIGHT), (), 100, 0)),
        ({"door": False}, FlowState("broken", (DOOR,), (), 100, 0)),
        ({"door": False, "left": False}, FlowState("broken", (DOOR, LEFT), (), 100, 0)),
        ({"left": None}, FlowState("unknown", (), (LEFT,), 0, 0)),
        ({"door": None}, FlowState("unknown", (), (DOOR,), 0, 0)),
        ({"left": False, "right": None}, FlowState("degraded", (LEFT,), (RIGHT,), 80, 80)),
        ({"door": None, "left": False}, FlowState("degraded", (LEFT,), (DOOR,), 80, 80)),
        ({"door": None, "left": False, "right": False}, FlowState("broken", (LEFT, RIGHT), (DOOR,), 100, 0)),
    ],
)
def test_split_with_failover(states: dict[str, bool | None], expected: FlowState) -> None:
    assert state_with(split(failover=True), **states) == expected


def test_split_without_failover_fails_for_its_share() -> None:
    found = state_with(split(failover=False), left=False)
    assert (found.state, found.lost_percent, found.moved_percent, found.failing_percent) == ("degraded", 80, 0, 80)
    assert state_with(split(failover=True), left=False).failing_percent == 0
    assert state_with(split(failover=False), left=False, right=False).state == "broken"


def test_every_node() -> None:
    flow = Flow(title="Monitoring", steps=(Step(every="node"),))
    one = flow_state(flow, CLUSTER, lambda reference: reference != "NANO")
    assert (one.state, one.failed, one.lost_percent) == ("degraded", ("NANO",), 14)
    unknown = flow_state(flow, CLUSTER, lambda reference: None if reference == "NANO" else True)
    assert (unknown.state, unknown.unknown) == ("unknown", ("NANO",))
    assert flow_state(flow, CLUSTER, lambda _: False).state == "broken"


@pytest.mark.parametrize(
    ("node", "hit"),
    [
        ("AGX0", {"chat": "degraded", "code": "broken", "monitoring": "degraded"}),
        ("ORIN0", {"chat": "degraded", "images": "broken", "code": "broken", "monitoring": "degraded"}),
        ("PI51", {"chat": "broken", "images": "broken", "code": "broken", "monitoring": "degraded"}),
        ("PI52", {"chat": "broken", "images": "broken", "monitoring": "degraded"}),
        ("PI41", {"monitoring": "broken"}),
        ("NANO", {"monitoring": "degraded"}),
        ("PI31", {"monitoring": "degraded"}),
    ],
)
def test_what_the_loss_of_a_node_means(node: str, hit: dict[str, State]) -> None:
    assert {name: state.state for name, state in flows_hit(CLUSTER, node).items()} == hit


@given(
    st.dictionaries(
        st.sampled_from([LEFT, RIGHT, DOOR, "PI52/redis", "PI52/postgresql"]), st.sampled_from([False, None])
    )
)
def test_more_failures_never_make_a_flow_better(answers: dict[str, bool | None]) -> None:
    order = ["ok", "unknown", "degraded", "broken"]
    flow = CLUSTER.flows["chat"]
    worse = {**answers, RIGHT: False}
    before = flow_state(flow, CLUSTER, lambda reference: answers.get(reference, True))
    after = flow_state(flow, CLUSTER, lambda reference: worse.get(reference, True))
    assert order.index(after.state) >= order.index(before.state)
    assert after.lost_percent >= before.lost_percent
    assert 0 <= after.moved_percent <= after.lost_percent <= 100
