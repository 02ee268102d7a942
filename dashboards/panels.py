"""The house panels. The only file that knows grafanalib; ``modern`` makes today's JSON of what it gives.

Every panel has a title of its own on its dashboard (its id comes from it), a unit or value mappings, and a description.
"""

from __future__ import annotations

import json
import string
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from grafanalib import _gen
from grafanalib import core as grafana

from dashboards import columns as tables
from dashboards import look
from dashboards.board import NODE_UID, OVERVIEW_UID, Board, Section, Tile, Variable
from dashboards.columns import Column
from dashboards.layout import HEADER, Place, flow
from dashboards.limits import Limit
from dashboards.look import Json, State
from dashboards.marks import annotation_queries
from dashboards.modern import modernise
from dashboards.queries import Query

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
NODE_LINK = f"/d/{NODE_UID}?${{datasource:queryparam}}&var-node=%s&${{__url_time_range}}"
NO_LIMIT = Limit()
# An axis reaches at least so far: a line at 0 is no reason for a scale up to 10000 %.
SOFT_HIGH = {"percentunit": 0.1, "short": 5, "ops": 1, "reqps": 1, "Bps": 1000, "s": 0.1, "suffix: pages/s": 10}
# More lines than this, and the legend is a table beside the graph.
FEW = 4


class House:
    """Panels in the look of one cluster. ``colours``: node -> colour."""

    def __init__(self, colours: Mapping[str, str]) -> None:
        self._colours = colours

    def stat(
        self,
        title: str,
        description: str,
        queries: Sequence[Query],
        unit: str = "short",
        *,
        limit: Limit = NO_LIMIT,
        states: Sequence[State] = (),
        steps: Sequence[tuple[str, float | None]] = (),
        width: int = 4,
        height: int = 4,
        spark: bool = True,
        decimals: int | None = None,
        link: str = "",
        words: Mapping[str, str] | None = None,
    ) -> Tile:
        """The newest value, large. ``steps`` where colours do not follow a limit. ``words``: series name -> shown."""
        spark = spark and not states
        several = any(query.legend for query in queries)
        panel = grafana.Stat(
            **self._common(title, description, queries, now=not spark),
            format=unit,
            decimals=decimals,
            reduceCalc="lastNotNull",
            colorMode="background" if states else "value",
            graphMode="area" if spark else "none",
            textMode="value_and_name" if several else "value",
            orientation="auto",
            thresholds=_thresholds(steps or look.steps(limit)),
            mappings=look.mappings(states),
            overrides=[look.rename(name, text) for name, text in (words or {}).items()],
            extraJson={
                "fieldConfig": {"defaults": _defaults(states, _links(link))},
                "options": {
                    "wideLayout": False,
                    # Fields side by side share the width; alone, a number has room.
                    "text": {"titleSize": 12, "valueSize": 22} if several else {"valueSize": 34},
                },
            },
        )
        return Tile(title, width, height, panel)

    def graph(
        self,
        title: str,
        description: str,
        queries: Sequence[Query],
        unit: str,
        *,
        lines: int = 1,
        limit: Limit = NO_LIMIT,
        low: float | None = 0,
        high: float | None = None,
        stack: bool = False,
        mirrored: str = "",
        by_node: bool = True,
        colours: Mapping[str, str] | None = None,
        width: int = 12,
        height: int = 8,
        decimals: int | None = None,
    ) -> Tile:
        """Values over time. ``lines``: how many to expect. ``mirrored``: a regular expression of names that are drawn
        downwards. A limit is a dashed line. Colours are the nodes', or those of ``colours`` by the series' names."""
        overrides = look.colour_overrides(colours or (self._colours if by_node else {}))
        if mirrored:
            overrides = [*overrides, look.override(mirrored, "custom.transform", "negative-Y")]
            if lines > FEW:  # half a legend says it all
                hidden = {"legend": True, "tooltip": False, "viz": False}
                overrides.append(look.override(mirrored, "custom.hideFrom", hidden))
        limited = limit.warning is not None or limit.critical is not None
        table = lines > FEW
        panel = grafana.TimeSeries(
            **self._common(title, description, queries),
            unit=unit,
            lineWidth=2,
            fillOpacity=30 if stack else 10 if lines <= FEW else 0,
            gradientMode="opacity",
            showPoints="never",
            spanNulls=False,
            stacking={"mode": "normal" if stack else "none", "group": "A"},
            legendDisplayMode="table" if table else "list",
            legendPlacement="right" if table else "bottom",
            legendCalcs=["lastNotNull", "max"],
            tooltipMode="multi",
            tooltipSort="desc",
            thresholds=_thresholds(look.steps(limit, "transparent")),
            thresholdsStyleMode="dashed" if limited else "off",
            overrides=overrides,
            extraJson={
                "fieldConfig": {
                    "defaults": {
                        "min": None if mirrored else low,
                        "max": high,
                        "decimals": decimals,
                        "links": _links(_label_link(queries)),
                        "custom": {"axisSoftMin": 0, "axisSoftMax": limit.warning or SOFT_HIGH.get(unit)},
                    }
                },
                "options": {"legend": {"showLegend": lines > 1 or "{{" not in queries[0].legend}},
            },
        )
        shown = lines // 2 if mirrored else lines
        if table:
            height = max(height, min(12, round(2 + 0.72 * shown)))
        return Tile(title, width, height, panel)

    def bars(
        self,
        title: str,
        description: str,
        queries: Sequence[Query],
        unit: str,
        *,
        limits: Mapping[str, Limit] | Limit = NO_LIMIT,
        bars: int = 1,
        high: float = 1,
        width: int = 6,
        decimals: int | None = None,
    ) -> Tile:
        """One bar a series, the newest value. ``limits``: one for all, or one for each series by its name."""
        own = limits if isinstance(limits, Mapping) else {}
        overrides = [
            look.override(look.starts(name), "thresholds", look.threshold_json(limit)) for name, limit in own.items()
        ]
        panel = grafana.BarGauge(
            **self._common(title, description, queries, now=True),
            format=unit,
            decimals=decimals,
            min=0,
            max=high,
            calc="lastNotNull",
            displayMode="gradient",
            orientation="horizontal",
            thresholds=_thresholds(look.steps(limits if isinstance(limits, Limit) else NO_LIMIT)),
            dataLinks=_links(_label_link(queries)),
            extraJson={"fieldConfig": {"overrides": overrides}, "options": {"valueMode": "color"}},
        )
        # A bar needs 28 pixels and its gap; a panel's head and edges take 56.
        return Tile(title, width, max(4, round(1.6 + 0.9 * bars)), panel)

    def timeline(
        self,
        title: str,
        description: str,
        queries: Sequence[Query],
        states: Sequence[State],
        *,
        rows: int = 1,
        width: int = 12,
        height: int = 0,
    ) -> Tile:
        """States over time, one row a series. Gaps stay gaps."""
        panel = grafana.StateTimeline(
            **self._common(title, description, queries),
            mappings=look.mappings(states),
            mergeValues=True,
            showValue="auto" if rows <= FEW else "never",
            rowHeight=0.8,
            fillOpacity=80,
            lineWidth=0,
            legendDisplayMode="list",
            legendPlacement="bottom",
            tooltipMode="single",
            thresholds=_thresholds([(look.GREY, None)]),
            extraJson={
                "fieldConfig": {"defaults": {**_defaults(states, _links(_label_link(queries)))}},
                # As many rows as there are, on one page.
                "options": {"legend": {"showLegend": True}, "perPage": max(20, rows)},
            },
        )
        return Tile(title, width, height or max(5, round(3.2 + 0.85 * rows)), panel)

    def table(
        self,
        title: str,
        description: str,
        queries: Sequence[Query],
        columns: Sequence[Column],
        *,
        rows: int = 1,
        width: int = 24,
        sort: str = "",
        descending: bool = True,
        empty: str = "",
    ) -> Tile:
        """The newest values as a table. ``columns``: which, in order, under which names; all others are hidden."""
        panel = grafana.Table(
            **self._common(title, description, queries),
            align="auto",
            overrides=[tables.override(column) for column in columns],
            thresholds=_thresholds([(look.GREEN, None)]),
            sortBy=[grafana.TableSortByField(displayName=sort, desc=descending)] if sort else [],
            transformations=tables.transformations(columns, merged=len(queries) > 1),
            extraJson={
                "fieldConfig": {"defaults": {"noValue": empty or None}},
                "options": {"cellHeight": "sm"},
            },
        )
        return Tile(title, width, max(4, round(2.8 + 0.95 * rows)), panel)

    def text(self, title: str, description: str, markdown: str, *, width: int = 24, height: int = 6) -> Tile:
        panel = grafana.Text(
            title=title, description=description, content=markdown, mode="markdown", id=panel_id(title)
        )
        return Tile(title, width, height, panel)

    def alert_list(self, title: str, description: str, *, width: int = 12, height: int = 8) -> Tile:
        """Grafana's own list of alerts: with summaries and links, from every data source that has alerts."""
        panel = grafana.AlertList(
            title=title, description=description, id=panel_id(title), limit=30, onlyAlertsOnDashboard=False, sortOrder=3
        )
        return Tile(title, width, height, panel)

    def _common(self, title: str, description: str, queries: Sequence[Query], *, now: bool = False) -> Json:
        """``now``: only the newest values are asked for; of a series that has ended, nothing is shown."""
        return {
            "title": title,
            "description": description,
            "id": panel_id(title),
            "dataSource": DATASOURCE,
            "targets": [
                grafana.Target(
                    expr=query.expr,
                    legendFormat=query.legend,
                    refId=letter,
                    instant=query.table or now,
                    format="table" if query.table else "time_series",
                    datasource=DATASOURCE,
                )
                for letter, query in zip(string.ascii_uppercase, queries, strict=False)
            ],
        }


def panel_id(title: str) -> int:
    """The same for a title on every day: links to a panel stay good when others come and go."""
    return zlib.crc32(title.encode()) % 900_000 + 100_000


def dashboard(board: Board) -> Json:
    """Today's JSON of a dashboard, ready to be provisioned. Raises ValueError when two panels have one title."""
    links = [
        grafana.DashboardLink(
            title="Dashboards", tags=["tierwatch"], asDropdown=True, keepTime=True, includeVars=False, type="dashboards"
        )
    ]
    if board.uid != OVERVIEW_UID:
        home = f"/d/{OVERVIEW_UID}"
        links.insert(0, grafana.DashboardLink(title="Overview", type="link", uri=home, icon="dashboard", keepTime=True))
    made = grafana.Dashboard(
        title=board.title,
        uid=board.uid,
        description=board.description,
        tags=list(board.tags),
        editable=False,
        graphTooltip=1,
        refresh="30s",
        timezone="browser",
        time=grafana.Time(board.since, "now"),
        timePicker=grafana.TimePicker(["10s", "30s", "1m", "5m", "15m"], []),
        links=links,
        templating=grafana.Templating(list=_variables(board.variable)),
        annotations=grafana.Annotations(list=annotation_queries(board.scope, DATASOURCE)),
        panels=_panels(board.sections),
    )
    raw: Json = json.loads(json.dumps(made.to_json_data(), cls=_gen.DashboardEncoder))
    titles = _titles(board.sections)
    if len({panel_id(title) for title in titles}) != len(titles):
        double = sorted({title for title in titles if titles.count(title) > 1}) or titles
        raise ValueError(f"{board.title}: panels need titles of their own (their ids come from them): {double}")
    return modernise(raw)


def node_link(value: str) -> str:
    """The address of a node's dashboard; ``value`` is what Grafana fills in for the node."""
    return NODE_LINK % value


def _panels(sections: Sequence[Section]) -> list[Any]:
    panels: list[Any] = []
    top = 0
    for section in sections:
        inside = top
        if section.title:
            row = grafana.RowPanel(
                title=section.title,
                id=panel_id(_row(section)),
                gridPos=grafana.GridPos(HEADER, 24, 0, top),
                collapsed=section.collapsed,
            )
            panels.append(row)
            inside = top + HEADER
        places, top = flow(section.tiles, inside)
        placed = [_placed(place) for place in places]
        if section.collapsed:
            row.panels = placed
            top = inside
        else:
            panels += placed
    return panels


def _placed(place: Place[Tile]) -> Any:
    panel = place.tile.panel
    panel.gridPos = grafana.GridPos(place.height, place.width, place.x, place.y)
    return panel


def _row(section: Section) -> str:
    return f"row {section.title}"


def _titles(sections: Sequence[Section]) -> list[str]:
    titles = [_row(section) for section in sections if section.title]
    return titles + [tile.title for section in sections for tile in section.tiles]


def _variables(variable: Variable | None) -> list[Any]:
    found = [grafana.Template(name="datasource", query="prometheus", type="datasource", label="Data source")]
    if variable is not None:
        node = grafana.Template(
            name="node",
            label="Node",
            query=variable.query,
            dataSource=DATASOURCE,
            multi=variable.many,
            includeAll=variable.many,
            allValue=".+" if variable.many else None,
            default="$__all" if variable.many else variable.first or None,
            refresh=2,
            sort=1,
        )
        found.append(node)
    return found


def _thresholds(steps: Sequence[tuple[str, float | None]]) -> list[Any]:
    return [
        grafana.Threshold(color=colour, index=index, value=0.0 if value is None else float(value))
        for index, (colour, value) in enumerate(steps)
    ]


def _defaults(states: Sequence[State], links: list[Json]) -> Json:
    mode = "thresholds"
    return {"color": {"mode": mode}, "links": links, "noValue": "no data" if states else None}


def _links(url: str) -> list[Json]:
    return [{"title": "Details", "url": url, "targetBlank": False}] if url else []


def _label_link(queries: Sequence[Query]) -> str:
    """Where series are told apart by node, each leads to its node."""
    return node_link("${__field.labels.node}") if all("{{node}}" in query.legend for query in queries) else ""
