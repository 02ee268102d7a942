"""What every generated dashboard keeps to, for the shipped cluster and for others."""

from __future__ import annotations

import re
from collections import Counter
from itertools import combinations
from typing import Any

import pytest

from alerting.promql.inspect import metric_names
from alerting.promql.parse import parse
from config.cluster import Cluster
from config.load import load_cluster
from config.thresholds import (
    AGGREGATOR_MEMORY,
    FILESYSTEM_USED,
    JETSON_GPU_TEMPERATURE,
    JETSON_TEMPERATURE,
    MEMORY_USED,
    PI_TEMPERATURE,
    SCRAPE_DURATION,
    Levels,
    every,
)
from dashboards import look, names
from tests.config.support import SHIPPED
from tests.contract.test_rule_metrics import KNOWN, LABELS, RECORDED
from tests.dashboards.clusters import OTHERS
from tests.dashboards.reading import (
    Json,
    dashboards,
    expressions,
    filled,
    label_values,
    legend_labels,
    panels,
    rows,
    targets,
)

CLUSTERS: dict[str, Cluster] = {"shipped": load_cluster(SHIPPED), **OTHERS}
ALL = {
    f"{cluster}/{uid}": dashboard
    for cluster, inventory in CLUSTERS.items()
    for uid, dashboard in dashboards(inventory).items()
}
UNITS = {
    *("short", "percentunit", "bytes", "Bps", "s", "dtdurations", "celsius", "watt", "hertz", "iops", "ops", "reqps"),
    *("rotrpm", "suffix: pages/s", "suffix: days"),
}
TYPES = {"stat", "timeseries", "bargauge", "state-timeline", "table", "text", "alertlist"}
REDUCERS = {"lastNotNull", "max"}
TRANSFORMATIONS = {"merge", "filterFieldsByName", "organize"}
MATCHERS = {"byName", "byRegexp"}
# Only Linux, the network and the kernel name these; the catalogue makes them by a function.
FIELDS = re.compile(r"node_(netstat|vmstat|sockstat|memory)_\w+")
every_dashboard = pytest.mark.parametrize("dashboard", ALL.values(), ids=ALL.keys())


def variables(dashboard: Json) -> dict[str, str]:
    """A value for each variable of a dashboard."""
    return {"node": ".+" if variable(dashboard, "node").get("multi") else "SOLO"} if has_node(dashboard) else {}


def has_node(dashboard: Json) -> bool:
    return any(one["name"] == "node" for one in dashboard["templating"]["list"])


def variable(dashboard: Json, name: str) -> Json:
    found: Json = next(one for one in dashboard["templating"]["list"] if one["name"] == name)
    return found


def test_the_shipped_cluster_has_seven() -> None:
    shipped = {name.removeprefix("shipped/") for name in ALL if name.startswith("shipped/")}
    tiers = {f"tierwatch-tier-{tier}" for tier in range(1, 6)}
    assert shipped == {"tierwatch-overview", "tierwatch-node", *tiers}


def test_titles_and_uids_are_unique() -> None:
    shipped = [dashboard for name, dashboard in ALL.items() if name.startswith("shipped/")]
    assert max(Counter(dashboard["title"] for dashboard in shipped).values()) == 1


@every_dashboard
def test_head(dashboard: Json) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", dashboard["uid"])
    assert dashboard["id"] is None
    assert dashboard["editable"] is False
    assert dashboard["schemaVersion"] >= 39
    assert dashboard["graphTooltip"] == 1
    assert dashboard["refresh"] == "30s"
    assert "tierwatch" in dashboard["tags"]
    assert len(dashboard["description"]) > 30
    assert any(link["type"] == "dashboards" and link["tags"] == ["tierwatch"] for link in dashboard["links"])
    assert all(link["keepTime"] for link in dashboard["links"])


@every_dashboard
def test_ids_and_titles_are_unique(dashboard: Json) -> None:
    every_panel = [*panels(dashboard), *rows(dashboard)]
    assert max(Counter(panel["id"] for panel in every_panel).values()) == 1
    assert max(Counter(panel["title"] for panel in panels(dashboard)).values()) == 1
    for panel in panels(dashboard):
        assert 0 < len(panel["title"]) <= 35
        references = [target["refId"] for target in targets(panel)]
        assert len(set(references)) == len(references)


@every_dashboard
def test_grid_is_whole(dashboard: Json) -> None:
    """No overlap, nothing outside, and every line is full."""
    assert_whole(dashboard["panels"])
    for row in rows(dashboard):
        assert row["collapsed"] == bool(row["panels"])
        assert_whole(row["panels"])
        assert all(panel["gridPos"]["y"] > row["gridPos"]["y"] for panel in row["panels"])


def assert_whole(group: list[Json]) -> None:
    places = [panel["gridPos"] for panel in group]
    for one, other in combinations(places, 2):
        apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert apart or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"], (one, other)
    lines: dict[int, list[Json]] = {}
    for place in places:
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= 24
        lines.setdefault(place["y"], []).append(place)
    for line in lines.values():
        assert sum(place["w"] for place in line) == 24
        assert len({place["h"] for place in line}) == 1


@every_dashboard
def test_first_line_answers_without_scrolling(dashboard: Json) -> None:
    first = [panel for panel in dashboard["panels"] if panel["gridPos"]["y"] == 0]
    assert 3 <= len(first) <= 8
    assert {panel["type"] for panel in first} == {"stat"}


@every_dashboard
def test_not_too_much_at_once(dashboard: Json) -> None:
    visible = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert len(visible) <= 32
    assert sum(len(targets(panel)) for panel in visible) <= 35


@every_dashboard
def test_panels_are_complete(dashboard: Json) -> None:
    for panel in panels(dashboard):
        where = panel["title"]
        assert panel["type"] in TYPES, where
        assert re.search(r"^.{15,}\n\n\*\*Why:\*\* .{15,}\n\n\*\*What to do:\*\* .{10,}$", panel["description"]), where
        if panel["type"] in ("text", "alertlist"):
            continue
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, where
        assert targets(panel), where
        assert all(target["datasource"] == panel["datasource"] for target in targets(panel)), where
        if panel["type"] == "table":
            assert_table(panel)
        else:
            assert defaults.get("unit") in UNITS or defaults["mappings"], where
        assert_thresholds(defaults["thresholds"], where)
        for override in panel["fieldConfig"]["overrides"]:
            assert_override(override, where)


def assert_thresholds(thresholds: Json, where: str) -> None:
    values = [step["value"] for step in thresholds["steps"]]
    assert values, where
    assert values[0] is None, where
    assert all(isinstance(value, int | float) for value in values[1:]), where
    assert values[1:] == sorted(values[1:]), where


def assert_override(override: Json, where: str) -> None:
    assert override["matcher"]["id"] in MATCHERS, where
    if override["matcher"]["id"] == "byRegexp":
        pattern = override["matcher"]["options"]
        assert re.fullmatch(r"/.+/", pattern), where
        re.compile(pattern[1:-1])
    for item in override["properties"]:
        if item["id"] == "thresholds":
            assert_thresholds(item["value"], where)
        if item["id"] == "unit":
            assert item["value"] in UNITS, where


def assert_table(panel: Json) -> None:
    steps = panel["transformations"]
    assert {step["id"] for step in steps} <= TRANSFORMATIONS
    organize = steps[-1]["options"]
    shown = set(organize["renameByName"].values())
    assert {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]} <= shown
    assert all(target["instant"] and not target["range"] and target["format"] == "table" for target in targets(panel))


@every_dashboard
def test_ratios_have_their_scale_and_lines_do_not_hide_gaps(dashboard: Json) -> None:
    for panel in panels(dashboard):
        if panel["type"] == "timeseries":
            defaults = panel["fieldConfig"]["defaults"]
            assert defaults["custom"]["spanNulls"] is False
            assert panel["options"]["tooltip"]["mode"] == "multi"
            assert set(panel["options"]["legend"]["calcs"]) <= REDUCERS
            if defaults["unit"] == "percentunit":
                assert defaults["min"] == 0, panel["title"]


@every_dashboard
def test_what_is_shown_as_now_is_asked_as_now(dashboard: Json) -> None:
    """A range would keep the last value of a node that is gone."""
    for panel in panels(dashboard):
        if panel["type"] in ("bargauge", "table") or panel.get("options", {}).get("graphMode") == "none":
            assert all(target["instant"] and not target["range"] for target in targets(panel)), panel["title"]
        else:
            assert all(target["range"] and not target["instant"] for target in targets(panel)), panel["title"]


@every_dashboard
def test_queries_parse_and_read_only_what_exists(dashboard: Json) -> None:
    for where, text in expressions(dashboard):
        read = metric_names(parse(filled(text, variables(dashboard))))
        assert read, where
        assert {name for name in read - KNOWN if not FIELDS.fullmatch(name)} == set(), where


@every_dashboard
def test_rates_are_of_counters_and_follow_the_picture(dashboard: Json) -> None:
    for where, text in expressions(dashboard):
        for window in re.findall(r"\b(?:rate|increase|irate)\([^\[]*\[([^\]]+)\]", text):
            assert window == "$__rate_interval", where


@every_dashboard
def test_variables(dashboard: Json) -> None:
    source, *others = dashboard["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    for one in others:
        assert one["refresh"] == 2
        assert one["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert label_values(one)[1] == "node"
        if one["multi"]:
            assert (one["includeAll"], one["allValue"]) == (True, ".+")
    written = " ".join(text for _, text in expressions(dashboard))
    used = set(re.findall(r"\$\{?([a-z]\w*)", written))
    assert used <= {one["name"] for one in dashboard["templating"]["list"]}
    if others and others[0]["multi"]:
        assert 'node="$node"' not in written


@every_dashboard
def test_alerts_and_boots_are_marked(dashboard: Json) -> None:
    marked = {one["name"]: one for one in dashboard["annotations"]["list"] if not one.get("builtIn")}
    assert set(marked) == {"Alerts: critical", "Alerts: warning", "Boots"}
    assert all(one["datasource"]["uid"] == "${datasource}" for one in marked.values())


@pytest.mark.parametrize("cluster", CLUSTERS.values(), ids=CLUSTERS.keys())
def test_links_lead_somewhere(cluster: Cluster) -> None:
    made = dashboards(cluster)
    text = str(made)
    for uid in set(re.findall(r"/d/([A-Za-z0-9_-]+)", text)):
        assert uid in made or uid == "tierwatch-tier-", uid
    linked = [panel for panel in panels(made["tierwatch-overview"]) if "var-node=" in str(panel)]
    assert len(linked) >= 6


@pytest.mark.parametrize("cluster", CLUSTERS.values(), ids=CLUSTERS.keys())
def test_a_name_has_one_colour_everywhere(cluster: Cluster) -> None:
    """Nodes have colours of their own; modes and severities have theirs."""
    colours: dict[str, set[str]] = {}
    for dashboard in dashboards(cluster).values():
        for panel in panels(dashboard):
            for override in panel.get("fieldConfig", {}).get("overrides", []):
                for item in override["properties"]:
                    if item["id"] == "color":
                        colours.setdefault(override["matcher"]["options"], set()).add(item["value"]["fixedColor"])
    assert all(len(found) == 1 for found in colours.values())
    others = {f"/{look.starts(name)}/" for name in (*look.MODES, *look.SEVERITY)}
    nodes = {f"/{look.starts(name)}/" for name in cluster.nodes}
    assert nodes <= set(colours) <= nodes | others
    assert len({colour for name in nodes for colour in colours[name]}) == len(nodes)


@every_dashboard
def test_limits_are_those_of_the_rules(dashboard: Json) -> None:
    """Every yellow or red step above a reading with a unit is a number of the thresholds' table; the rest say no more
    than 0 and 1."""
    known = {
        level.value for levels in every().values() for level in (levels.warning, levels.critical) if level is not None
    }
    known |= {1.0}
    for panel in panels(dashboard):
        if panel["type"] in ("timeseries", "bargauge"):
            assert set(limits_in(panel)) <= known, panel["title"]


@every_dashboard
def test_an_alert_that_is_named_has_its_limit_drawn(dashboard: Json) -> None:
    values = {
        level.alert: level.value for levels in every().values() for level in (levels.warning, levels.critical) if level
    }
    for panel in panels(dashboard):
        if panel["type"] != "timeseries":
            continue
        told = re.findall(r"Dashed: (\w+)(?: and (\w+))?", panel["description"])
        for alert in {name for pair in told for name in pair if name}:
            assert values[alert] in limits_in(panel), (panel["title"], alert)


@pytest.mark.parametrize(
    ("title", "levels"),
    [
        ("Memory now", MEMORY_USED),
        ("Memory", MEMORY_USED),
        ("Fullest disk now", FILESYSTEM_USED),
        ("Space used", FILESYSTEM_USED),
        ("Scrape duration", SCRAPE_DURATION),
        ("Raspberry Pi temperature", PI_TEMPERATURE),
        ("GPU temperature now", JETSON_GPU_TEMPERATURE),
        ("Aggregator memory", AGGREGATOR_MEMORY),
    ],
)
def test_limits_belong_to_their_reading(title: str, levels: Levels) -> None:
    wanted = [level.value for level in levels if level is not None]
    found = [panel for dashboard in ALL.values() for panel in panels(dashboard) if panel["title"] == title]
    assert found
    assert all(limits_in(panel) == wanted for panel in found)


def test_temperature_bars_go_by_the_board() -> None:
    bars = next(panel for panel in panels(ALL["shipped/tierwatch-tier-5"]) if panel["title"] == "Hottest sensor now")
    steps = {
        override["matcher"]["options"]: [step["value"] for step in override["properties"][0]["value"]["steps"]]
        for override in bars["fieldConfig"]["overrides"]
    }
    assert steps["/^PI31( |$)/"] == [None, *(level.value for level in PI_TEMPERATURE if level)]
    assert steps["/^NANO( |$)/"] == [None, *(level.value for level in JETSON_TEMPERATURE if level)]


def meanings(title: str) -> dict[str, tuple[str, str]]:
    """Value -> (text, colour) of a panel of the shipped overview."""
    panel = next(panel for panel in panels(ALL["shipped/tierwatch-overview"]) if panel["title"] == title)
    found: dict[str, tuple[str, str]] = {}
    for mapping in panel["fieldConfig"]["defaults"]["mappings"]:
        options = mapping["options"]
        if mapping["type"] == "value":
            found |= {value: (result["text"], result["color"]) for value, result in options.items()}
        else:
            key = options["match"] if mapping["type"] == "special" else f"{options['from']} to {options['to']}"
            found[key] = (options["result"]["text"], options["result"]["color"])
    return found


def test_values_mean_what_they_say() -> None:
    unknown = ("no data", "#808080")
    assert meanings("Node state") == {"0": ("DOWN", "red"), "1": ("UP", "green"), "null+nan": unknown}
    for title in ("Request flows", "Request flows over time"):
        assert meanings(title) == {
            "0": ("BROKEN", "red"),
            "0.0001 to 0.9915": ("degraded", look.YELLOW),
            "0.992 to 0.999997": ("UNKNOWN", "#808080"),
            "0.999999 to 1.000001": ("works", "green"),
            "null+nan": unknown,
        }


def limits_in(panel: Json) -> list[float]:
    found: list[Any] = list(panel["fieldConfig"]["defaults"]["thresholds"]["steps"])
    for override in panel["fieldConfig"]["overrides"]:
        found += [
            step for item in override["properties"] if item["id"] == "thresholds" for step in item["value"]["steps"]
        ]
    return [step["value"] for step in found if step["value"] is not None]


def test_names_beside_the_catalogue_are_real() -> None:
    assert {metric.name for metric in names.RECORDED} <= RECORDED
    assert {metric.name for metric in (*names.AGGREGATOR, *names.SYNTHETIC)} - {"ALERTS"} <= KNOWN
    for metric in names.HARDWARE_MONITORS:
        assert set(metric.labels) <= LABELS[metric.name]


def test_legends_name_labels_that_the_series_keep() -> None:
    """A label that an aggregation drops would show as an empty name."""
    for name, dashboard in ALL.items():
        for panel in panels(dashboard):
            for target in targets(panel):
                kept = re.match(r"(?:sum|max|min|avg|count) by \(([^)]*)\)", target["expr"])
                if kept and target["expr"].count(" by (") == 1:
                    assert legend_labels(target) <= set(kept[1].split(", ")), (name, panel["title"])
