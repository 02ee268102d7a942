from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.dispatch.route import Waits, build, matching
from alerting.model.labels import Labels
from config.alerting import Route
from tests.support.peers import need

CRITICAL = Route(matchers=('severity="critical"',), receiver="pager")
TREE = Route(
    receiver="phone",
    group_by=("node",),
    group_wait=1,
    group_interval=60,
    repeat_interval=3600,
    routes=(
        Route(matchers=('team=~"db|web"',), receiver="team", continue_=True, routes=(CRITICAL,)),
        Route(matchers=('node="pi"', "tier!=2"), group_by=("...",), group_wait=0, routes=(CRITICAL,)),
        Route(matchers=('severity="info"',), receiver="page", repeat_interval=60),
    ),
)


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ({}, ["phone"]),
        ({"severity": "info"}, ["page"]),
        ({"severity": "critical"}, ["phone"]),
        ({"team": "web"}, ["team"]),
        ({"team": "webb"}, ["phone"]),
        ({"team": "web", "severity": "critical"}, ["pager"]),
        ({"team": "db", "node": "pi"}, ["team", "phone"]),
        ({"team": "db", "severity": "info"}, ["team", "page"]),
        ({"node": "pi", "tier": "2"}, ["phone"]),
        ({"node": "pi", "severity": "critical"}, ["pager"]),
    ],
)
def test_first_match_unless_continue_and_the_deepest_counts(labels: dict[str, str], receivers: list[str]) -> None:
    assert [node.receiver for node in matching(build(TREE), Labels.of(labels))] == receivers


def test_what_a_route_does_not_say_it_inherits() -> None:
    root = build(TREE)
    (pi,) = matching(root, Labels.of({"node": "pi"}))
    assert (pi.receiver, pi.waits) == ("phone", Waits(0, 60_000, 3_600_000))
    (info,) = matching(root, Labels.of({"severity": "info"}))
    assert (info.group_by, info.waits) == (frozenset({"node"}), Waits(1000, 60_000, 60_000))
    assert build(Route(receiver="phone")).waits == Waits(30_000, 300_000, 14_400_000)


def test_groups_share_their_labels() -> None:
    root = build(TREE)
    one = Labels.of({"alertname": "A", "node": "x"})
    other = Labels.of({"alertname": "B", "node": "x", "team": ""})
    assert root.group_labels(one) == Labels.of({"node": "x"})
    assert root.group_key(one) == root.group_key(other)
    assert root.group_key(one) != root.group_key(Labels.of({"alertname": "A"}))
    pi = root.routes[1]
    assert pi.group_labels(Labels.of({"node": "pi", "b": "1"})) == Labels.of({"node": "pi", "b": "1"})
    assert build(Route(receiver="phone")).group_labels(one) == Labels.of()


def test_keys_tell_routes_apart_and_survive_a_new_order() -> None:
    twins = Route(receiver="a", routes=(CRITICAL, Route(matchers=CRITICAL.matchers, receiver="b")))
    keys = [node.key for node in build(twins).walk()]
    assert len(set(keys)) == 3
    turned = msgspec.structs.replace(TREE, routes=TREE.routes[::-1])
    assert {node.key for node in build(turned).walk()} == {node.key for node in build(TREE).walk()}


_NAMES = st.sampled_from(["a", "b"])
_VALUES = st.sampled_from(["x", "y", ""])
_MATCHERS = st.builds(
    lambda name, op, value: f'{name}{op}"{value}"', _NAMES, st.sampled_from(["=", "!=", "=~", "!~"]), _VALUES
)


def _routes(depth: int) -> st.SearchStrategy[Route]:
    children = st.lists(_routes(depth - 1), max_size=3).map(tuple) if depth else st.just(())
    return st.builds(
        Route,
        receiver=st.sampled_from([None, "r1", "r2", "r3"]),
        matchers=st.lists(_MATCHERS, min_size=1, max_size=2).map(tuple),
        continue_=st.booleans(),
        routes=children,
    )


def _as_alertmanager_writes(route: Route) -> dict[str, object]:
    written: dict[str, object] = {"matchers": list(route.matchers), "continue": route.continue_}
    if route.receiver:
        written["receiver"] = route.receiver
    written["routes"] = [_as_alertmanager_writes(child) for child in route.routes]
    return written


@settings(max_examples=25, deadline=None)
@given(
    children=st.lists(_routes(2), min_size=1, max_size=3),
    labels=st.fixed_dictionaries({"a": _VALUES, "b": _VALUES}),
)
def test_amtool_agrees(children: list[Route], labels: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> None:
    amtool = need("amtool")
    root = Route(receiver="r0", routes=tuple(children))
    written = _as_alertmanager_writes(root)
    del written["matchers"], written["continue"]
    path: Path = tmp_path_factory.mktemp("amtool") / "alertmanager.yml"
    path.write_text(yaml.safe_dump({"route": written, "receivers": [{"name": f"r{number}"} for number in range(4)]}))
    done = subprocess.run(
        [amtool, "config", "routes", "test", f"--config.file={path}", *(f"{k}={v}" for k, v in labels.items() if v)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    ours = [node.receiver for node in matching(build(root), Labels.of(labels))]
    assert done.stdout.strip().split(",") == ours
