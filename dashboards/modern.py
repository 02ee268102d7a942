"""From grafanalib's JSON, which follows Grafana 6 to 9, to what Grafana 11 to 13 writes itself (schema version 41).

What is kept is named; everything else grafanalib adds (old keys, nulls, junk) goes. Differences are described at
https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/ and in the panels'
option types of the npm package @grafana/schema.
"""

from __future__ import annotations

from typing import Any

from dashboards.look import Json

SCHEMA_VERSION = 41

_DASHBOARD = ("uid", "title", "description", "tags", "graphTooltip", "refresh", "time", "timezone", "links")
_PANEL = ("id", "type", "title", "description", "gridPos", "datasource", "transformations")
_TARGET = ("refId", "datasource", "expr", "legendFormat", "format", "instant")
_VARIABLE = ("name", "label", "type", "datasource", "multi", "includeAll", "allValue", "refresh", "sort")
_STATES = {"firing": True, "pending": True, "noData": False, "normal": False, "error": True}


def modernise(dashboard: Json) -> Json:
    """A dashboard as Grafana's provisioning reads it."""
    return {
        **_keep(dashboard, _DASHBOARD),
        "id": None,
        "editable": False,
        "fiscalYearStartMonth": 0,
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "timepicker": {"refresh_intervals": dashboard["timepicker"]["refresh_intervals"]},
        "templating": {"list": [_variable(one) for one in dashboard["templating"]["list"]]},
        "annotations": {"list": [_without_none(one) for one in dashboard["annotations"]["list"]]},
        "panels": [_panel(panel) for panel in dashboard["panels"]],
    }


def _panel(panel: Json) -> Json:
    made = _keep(panel, _PANEL)
    kind = panel["type"]
    if kind == "row":
        made = _keep(panel, ("id", "type", "title", "gridPos"))
        made["collapsed"] = panel["collapsed"]
        made["panels"] = [_panel(one) for one in panel["panels"]]
        return made
    if not made.get("transformations"):
        made.pop("transformations", None)
    if kind == "alertlist":
        made["options"] = _alert_list(panel)
        return made
    made["options"] = _without_none(panel.get("options", {}))
    if kind == "text":
        return made
    if kind == "bargauge":
        _bar_gauge(panel, made)
    made["fieldConfig"] = _field_config(panel, kind)
    made["targets"] = [_target(target) for target in panel.get("targets", [])]
    return made


def _target(target: Json) -> Json:
    made = _keep(target, _TARGET)
    made["range"] = not target["instant"]
    made["editorMode"] = "code"
    return made


def _field_config(panel: Json, kind: str) -> Json:
    old = panel.get("fieldConfig", {})
    defaults = _without_none(old.get("defaults", {}))
    if kind == "bargauge":
        fields = panel["options"]["fieldOptions"]
        defaults |= _without_none({key: fields["defaults"][key] for key in ("decimals", "max", "min", "unit", "links")})
        defaults |= {"mappings": fields["mappings"], "color": {"mode": "thresholds"}}
        defaults["thresholds"] = {"mode": "absolute", "steps": fields["thresholds"]}
    if kind == "table":
        defaults["custom"] = {"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False}
    if kind == "timeseries":
        defaults["custom"]["insertNulls"] = False
    defaults["thresholds"] = _thresholds(defaults.get("thresholds", {}))
    for key in ("links", "mappings", "unit", "custom"):
        if defaults.get(key) in ([], "", {}):
            defaults.pop(key)
    if defaults.get("noValue") == "none":
        defaults.pop("noValue")
    return {"defaults": defaults, "overrides": old.get("overrides", [])}


def _thresholds(thresholds: Json) -> Json:
    """The lowest step holds from the bottom: no value, where grafanalib writes the word null."""
    steps: list[Any] = thresholds.get("steps") or []
    made = [
        {"color": step["color"], "value": None if index == 0 else step["value"]} for index, step in enumerate(steps)
    ]
    return {"mode": "absolute", "steps": made}


def _bar_gauge(panel: Json, made: Json) -> None:
    old = panel["options"]
    made["options"] = {
        "displayMode": old["displayMode"],
        "orientation": old["orientation"],
        "valueMode": old["valueMode"],
        "showUnfilled": True,
        "minVizHeight": 10,
        "minVizWidth": 8,
        "namePlacement": "left",
        "sizing": "auto",
        "legend": {"showLegend": False, "displayMode": "list", "placement": "bottom", "calcs": []},
        "reduceOptions": {"calcs": old["fieldOptions"]["calcs"], "fields": "", "values": False},
    }


def _alert_list(panel: Json) -> Json:
    return {
        "viewMode": "list",
        "groupMode": "default",
        "groupBy": [],
        "maxItems": panel["limit"],
        "sortOrder": panel["sortOrder"],
        "dashboardAlerts": panel["onlyAlertsOnDashboard"],
        "alertName": panel["nameFilter"],
        "alertInstanceLabelFilter": "",
        "stateFilter": _STATES,
    }


def _variable(variable: Json) -> Json:
    made = _keep(variable, _VARIABLE)
    made |= {"hide": 0, "skipUrlSync": False, "options": [], "regex": "", "current": {}}
    if variable["type"] == "datasource":
        made |= {"query": variable["query"], "refresh": 1}
        made.pop("sort")
        return made
    made["query"] = {"query": variable["query"], "refId": "node", "qryType": 1}
    made["definition"] = variable["query"]
    if variable["includeAll"]:
        made["current"] = {"selected": True, "text": ["All"], "value": ["$__all"]}
    elif variable["current"].get("value"):
        value = variable["current"]["value"]
        made["current"] = {"selected": True, "text": value, "value": value}
    return made


def _keep(old: Json, keys: tuple[str, ...]) -> Json:
    return {key: old[key] for key in keys if old.get(key) is not None}


def _without_none(value: Any) -> Any:
    """The same without keys that hold nothing, all the way down; the base step of thresholds is made later."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_none(item) for item in value]
    return value
