"""Small makers of families, so that a collector reads like a list of what it tells."""

from __future__ import annotations

from collections.abc import Iterable

from exporters.catalog.metric import Metric
from exporters.collector import Family

Row = tuple[tuple[str, ...], float]


def single(metric: Metric, value: float) -> Family:
    """One sample without labels."""
    return Family(metric, (((), value),))


def singles(readings: Iterable[tuple[Metric, float | None]]) -> list[Family]:
    """One sample each; an unknown value is left out."""
    return [Family(metric, (((), value),)) for metric, value in readings if value is not None]


def families(rows: dict[Metric, list[Row]]) -> list[Family]:
    """Families of rows gathered by metric, those without rows left out."""
    return [Family(metric, found) for metric, found in rows.items() if found]
