"""Columns of table panels: which field, under which name, drawn how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dashboards import look
from dashboards.limits import Limit
from dashboards.look import Json, State

# What stands in a cell without a value.
NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Column:
    """``source``: the field, a label's name or ``Value #A`` for the first query's value.

    ``bar``: drawn as a bar from 0 to ``high``. ``words``: text -> colour, for labels. ``link``: a URL.
    """

    source: str
    name: str
    unit: str = ""
    width: int = 0
    bar: bool = False
    high: float = 1
    decimals: int | None = None
    limit: Limit | None = None
    states: Sequence[State] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    link: str = ""


def transformations(columns: Sequence[Column], *, merged: bool) -> list[Json]:
    """Several queries become one table, then columns get names and an order; every other field is hidden."""
    steps: list[Json] = [{"id": "merge", "options": {}}] if merged else []
    steps.append(
        {
            "id": "filterFieldsByName",
            "options": {"include": {"names": [column.source for column in columns]}},
        }
    )
    steps.append(
        {
            "id": "organize",
            "options": {
                "excludeByName": {},
                "indexByName": {column.source: index for index, column in enumerate(columns)},
                "renameByName": {column.source: column.name for column in columns},
            },
        }
    )
    return steps


def override(column: Column) -> Json:
    """How the column is drawn."""
    # The panel's own word for nothing is about the whole table.
    properties: list[Json] = [{"id": "noValue", "value": NOTHING}]
    if column.unit:
        properties.append({"id": "unit", "value": column.unit})
    if column.decimals is not None:
        properties.append({"id": "decimals", "value": column.decimals})
    if column.width:
        properties.append({"id": "custom.width", "value": column.width})
    if column.limit is not None:
        properties.append({"id": "thresholds", "value": look.threshold_json(column.limit)})
    if column.states or column.words:
        found = look.mappings(column.states) if column.states else look.text_mappings(column.words)
        properties.append({"id": "mappings", "value": found})
        properties.append({"id": "custom.cellOptions", "value": {"type": "color-text"}})
    elif column.bar:
        properties += [{"id": "min", "value": 0}, {"id": "max", "value": column.high}]
        properties.append({"id": "custom.cellOptions", "value": {"type": "gauge", "mode": "basic"}})
    elif column.limit is not None:
        properties.append({"id": "custom.cellOptions", "value": {"type": "color-text"}})
    if column.link:
        properties.append({"id": "links", "value": [{"title": "Details", "url": column.link, "targetBlank": False}]})
    return {"matcher": {"id": "byName", "options": column.name}, "properties": properties}
