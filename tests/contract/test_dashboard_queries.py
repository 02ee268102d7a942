"""Every query of every dashboard, asked of the real engine over ten minutes of the simulated cluster."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from alerting.promql.engine import Engine
from alerting.promql.parse import parse
from alerting.promql.value import Matrix, Vector
from alerting.storage.store import Store
from config.load import Config, load
from tests.config.support import SHIPPED
from tests.dashboards.reading import Json, dashboards, filled, label_values, legend_labels, panels, targets
from tests.dashboards.simulated import END_S, START_S, STEP_S, fill

CONFIG: Config = load(SHIPPED, {})
BOARDS = dashboards(CONFIG.cluster)
SILENT = "NANO"
# Empty when all is well, or where the recordings hold nothing: no drive of a Jetson, no video engine.
MAY_BE_EMPTY = {"Collectors that failed", "Engine load", "Drive and chip temperatures"}
# A Nano 2GB has no power monitor, no fan signal, and says little of its engines: its tier has these collapsed.
NANO_LACKS = {"Jetson power, heat, memory bandwidth", "Jetson engines and sources"}
# Panels of one family, empty for a node of the other.
BY_FAMILY = {
    "jetson": {"Jetson: GPU and memory", "Jetson: power, heat, fan", "Jetson: engines and sources"},
    "raspberry-pi": {"Raspberry Pi: supply and throttling"},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = fill(CONFIG, tmp_path_factory.mktemp("store"))
    yield store
    store.close()


@pytest.fixture(scope="module")
def wounded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One node has stopped answering five minutes ago."""
    store = fill(CONFIG, tmp_path_factory.mktemp("wounded"), silent=SILENT)
    yield store
    store.close()


def ask(store: Store, target: Json, node: str) -> Matrix | Vector:
    """What the data source would answer; times in seconds."""
    expr = parse(filled(target["expr"], {"node": node}))
    engine = Engine(store)
    if target["instant"]:
        value = engine.instant(expr, END_S * 1000).value
        assert isinstance(value, Vector)
        return value
    value = engine.range(expr, START_S * 1000, END_S * 1000, STEP_S * 1000).value
    assert isinstance(value, Matrix)
    return value


def rows_of(answer: Matrix | Vector) -> list[tuple[dict[str, str], list[float]]]:
    if isinstance(answer, Vector):
        return [(labels.as_dict(), [value]) for labels, value in answer]
    return [(series.labels.as_dict(), [value for _, value in series]) for series in answer]


def nodes_for(uid: str, panel_row: str, title: str = "") -> str:
    """The node to look at: for the node dashboard one whose hardware fills the row, and for the power of the whole
    module a board that measures it."""
    if uid != "tierwatch-node":
        return ".+"
    if title == "Power of the module":
        return "ORIN0"
    return "AGX0" if panel_row in BY_FAMILY["jetson"] else "PI52"


def placed_panels(dashboard: Json) -> Iterator[tuple[str, Json]]:
    """(title of the row a panel stands in, panel)"""
    row = ""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            row = panel["title"]
            yield from ((row, inner) for inner in panel["panels"])
        else:
            yield row, panel


@pytest.mark.parametrize("uid", BOARDS)
def test_every_query_has_an_answer_with_its_labels(uid: str, store: Store) -> None:
    silent, nameless = [], []
    for row, panel in placed_panels(BOARDS[uid]):
        for target in targets(panel):
            where = f"{panel['title']}: {target['expr']}"
            found = rows_of(ask(store, target, nodes_for(uid, row, panel["title"])))
            if uid == "tierwatch-tier-5" and row in NANO_LACKS:
                continue
            if not any(not math.isnan(value) for _, values in found for value in values):
                silent.append(where)
            if any(not labels.get(label) for labels, _ in found for label in legend_labels(target)):
                nameless.append(where)
    silent = [where for where in silent if where.partition(":")[0] not in MAY_BE_EMPTY]
    assert not silent, "\n".join(silent)
    assert nameless == []


@pytest.mark.parametrize("uid", BOARDS)
def test_lines_of_a_graph_have_names_of_their_own(uid: str, store: Store) -> None:
    """Two series with one name cannot be told apart."""
    for row, panel in placed_panels(BOARDS[uid]):
        seen: list[str] = []
        for target in targets(panel):
            if target["format"] == "table" or panel["title"] == "Zone temperatures":
                continue
            for labels, _ in rows_of(ask(store, target, nodes_for(uid, row))):
                name = target["legendFormat"]
                for label, value in labels.items():
                    name = name.replace(f"{{{{{label}}}}}", value)
                seen.append(name)
        assert len(set(seen)) == len(seen), (panel["title"], seen)


@pytest.mark.parametrize("uid", BOARDS)
def test_values_fit_their_unit(uid: str, store: Store) -> None:
    low_high = {"percentunit": (0.0, 1.2), "celsius": (-20.0, 120.0), "watt": (0.0, 100.0), "hertz": (0.0, 6e9)}
    for row, panel in placed_panels(BOARDS[uid]):
        unit = panel.get("fieldConfig", {}).get("defaults", {}).get("unit")
        if unit not in low_high:
            continue
        low, high = low_high[unit]
        for target in targets(panel):
            for _, values in rows_of(ask(store, target, nodes_for(uid, row))):
                assert all(low <= value <= high for value in values if not math.isnan(value)), panel["title"]


@pytest.mark.parametrize("uid", BOARDS)
def test_columns_of_tables_are_there(uid: str, store: Store) -> None:
    """Labels of the answers, and the values under the names that Grafana gives them: by query when there are several,
    which then are merged."""
    for row, panel in placed_panels(BOARDS[uid]):
        if panel["type"] != "table" or (uid == "tierwatch-tier-5" and row in NANO_LACKS):
            continue
        references = [target["refId"] for target in targets(panel)]
        several = len(references) > 1
        there = {f"Value #{reference}" for reference in references} if several else {"Value"}
        for target in targets(panel):
            # A Raspberry Pi has no L4T: what one board lacks, another must have.
            for node in ("AGX0", "PI52") if uid == "tierwatch-node" else (".+",):
                for labels, _ in rows_of(ask(store, target, node)):
                    there |= set(labels)
        steps = panel["transformations"]
        assert [step["id"] for step in steps] == ["merge"] * several + ["filterFieldsByName", "organize"]
        asked = steps[-2]["options"]["include"]["names"]
        assert set(asked) <= there, (panel["title"], set(asked) - there)
        assert set(asked) == set(steps[-1]["options"]["renameByName"])
        assert [steps[-1]["options"]["indexByName"][name] for name in asked] == list(range(len(asked)))


@pytest.mark.parametrize("uid", BOARDS)
def test_variables_find_their_nodes(uid: str, store: Store) -> None:
    for variable in BOARDS[uid]["templating"]["list"]:
        if variable["type"] == "query":
            selector, label = label_values(variable)
            value = Engine(store).instant(parse(selector), END_S * 1000).value
            assert isinstance(value, Vector)
            found = {labels.get(label) for labels in value.labels}
            tier = uid.removeprefix("tierwatch-tier-")
            wanted = CONFIG.cluster.in_tier(int(tier)) if tier.isdigit() else CONFIG.cluster.nodes
            assert found == set(wanted)


@pytest.mark.parametrize("node", CONFIG.cluster.nodes)
def test_node_detail_suits_every_board(node: str, store: Store) -> None:
    """All that is not of the other family's hardware has data."""
    board = CONFIG.cluster.nodes[node].board
    strange = set().union(*(rows for family, rows in BY_FAMILY.items() if not board.startswith(family)))
    strange |= BY_FAMILY["jetson"] if board == "jetson-nano-2gb" else set()
    differing = {"Drive and chip temperatures", "Raspberry Pi fan", "Services not simply up"}
    unasked = {"Services", "Time to answer", "Changes of state"}
    differing |= set() if any(one.asked() for one in CONFIG.cluster.nodes[node].services.values()) else unasked
    for row, panel in placed_panels(BOARDS["tierwatch-node"]):
        if row in strange or panel["title"] in MAY_BE_EMPTY | differing or not targets(panel):
            continue
        if row in BY_FAMILY["jetson"]:
            continue  # which rails, fans and engines there are differs from board to board
        assert any(rows_of(ask(store, target, node)) for target in targets(panel)), panel["title"]


def by_title(uid: str, title: str) -> Json:
    found: Json = next(panel for panel in panels(BOARDS[uid]) if panel["title"] == title)
    return found


def test_a_lost_node_shows(wounded: Store) -> None:
    """It stays in the table and in the timeline as down; its other readings end instead of standing still."""
    table = by_title("tierwatch-overview", "Nodes")
    state, uptime, *_, seen = (
        {labels["node"]: values[-1] for labels, values in rows_of(ask(wounded, target, ""))}
        for target in targets(table)
    )
    assert state == {name: float(name != SILENT) for name in CONFIG.cluster.nodes}
    assert SILENT not in uptime
    assert seen["PI51"] == 0
    assert 240 <= seen[SILENT] <= 360
    answering = rows_of(ask(wounded, targets(by_title("tierwatch-overview", "Nodes answering"))[0], ""))
    assert answering[0][1][-1] == len(CONFIG.cluster.nodes) - 1
    critical = rows_of(ask(wounded, targets(by_title("tierwatch-overview", "Critical alerts"))[0], ""))
    assert critical[0][1][-1] == 1
    alerts = rows_of(ask(wounded, targets(by_title("tierwatch-overview", "Alerts now"))[0], ""))
    assert ("NodeDown", SILENT, 3.0) in {(labels["alertname"], labels["node"], values[0]) for labels, values in alerts}
    tiers = {labels["tier"]: values[-1] for labels, values in rows_of(ask(wounded, tier_target(), ""))}
    assert tiers == {"1": 1, "2": 1, "3": 1, "4": 1, "5": 0.5}


def test_the_services_of_a_lost_node_are_unknown_and_its_flows_cut(tmp_path: Path) -> None:
    """Everywhere on the dashboards: it was watched, and now nobody knows."""
    store = fill(CONFIG, tmp_path, silent="AGX0")
    try:
        (services,) = targets(by_title("tierwatch-tier-2", "Services"))
        levels = {(labels["node"], labels["service"]): values for labels, values in rows_of(ask(store, services, ".+"))}
        assert levels["AGX0", "ollama"][0] == 2.0
        assert set(levels["AGX0", "ollama"][-10:]) == {1.0}, "not a gap, not down, not fine"
        assert set(levels["ORIN0", "ollama"]) == {3.0}
        (flows,) = targets(by_title("tierwatch-overview", "Request flows over time"))
        now = {labels["flow"]: values[-1] for labels, values in rows_of(ask(store, flows, ""))}
        assert now == {"Chat": 0.2, "Image generation": 1.0, "Code analysis": 0.0, "Monitoring": 1 - 1 / 7}
    finally:
        store.close()


def test_a_lost_node_is_marked(wounded: Store) -> None:
    """From the moment it stopped answering, on the overview and on its own dashboard, and on no other's."""
    for uid, node, marked in (("overview", "", True), ("node", SILENT, True), ("node", "PI51", False)):
        expr = next(
            one["expr"]
            for one in BOARDS[f"tierwatch-{uid}"]["annotations"]["list"]
            if one["name"] == "Alerts: critical"
        )
        value = Engine(wounded).range(parse(filled(expr, {"node": node})), START_S * 1000, END_S * 1000, 15_000).value
        assert isinstance(value, Matrix)
        named = [(series.labels.get("alertname"), series.labels.get("node")) for series in value]
        assert named == ([("NodeDown", SILENT)] if marked else [])


def test_a_lost_node_has_no_bars(wounded: Store) -> None:
    """Of what is read at once; the processor's share is over two minutes, so five are enough for it too."""
    for title in ("Processor now", "Memory now", "Fullest disk now", "Hottest sensor now"):
        (target,) = targets(by_title("tierwatch-tier-5", title))
        assert {labels["node"] for labels, _ in rows_of(ask(wounded, target, ".+"))} == {"PI31"}


def tier_target() -> Json:
    return targets(by_title("tierwatch-overview", "Tiers"))[0]


def test_no_alerts_is_zero_only_while_rules_are_evaluated(store: Store, tmp_path: Path) -> None:
    target = targets(by_title("tierwatch-overview", "Critical alerts"))[0]
    assert rows_of(ask(store, target, ""))[0][1][-1] == 0
    from alerting.storage.store import StoreOptions

    nothing = Store.open(tmp_path / "empty.db", StoreOptions(), END_S * 1000)
    try:
        assert rows_of(ask(nothing, target, "")) == []
    finally:
        nothing.close()
