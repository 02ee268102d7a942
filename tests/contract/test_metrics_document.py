"""exporters/METRICS.md lists every metric that is Tierwatch's own, as the catalogue has it."""

from __future__ import annotations

import importlib
import os
import pkgutil
from pathlib import Path

import exporters.catalog
from exporters.catalog.metric import Metric

DOCUMENT = Path(exporters.catalog.__file__).parents[1] / "METRICS.md"
HEAD = """\
# Metrics of the exporter

Host metrics carry node_exporter's names, types and labels; its documentation holds. These are the others. What this
board does not have is not there: a missing sensor is no series, never a zero.

| name | type | labels | meaning |
|---|---|---|---|
"""


def declared() -> dict[str, Metric]:
    found = {}
    for module in pkgutil.iter_modules(exporters.catalog.__path__):
        for value in vars(importlib.import_module(f"exporters.catalog.{module.name}")).values():
            if isinstance(value, Metric):
                found[value.name] = value
    return found


def document() -> str:
    rows = [
        f"| `{metric.name}` | {metric.kind} | {', '.join(f'`{label}`' for label in metric.labels)} | {metric.help} |\n"
        for name, metric in sorted(declared().items())
        if name.startswith("tierwatch_")
    ]
    return HEAD + "".join(rows)


def test_the_document_is_what_the_catalogue_says() -> None:
    if os.environ.get("UPDATE_GOLDEN"):
        DOCUMENT.write_text(document())
    assert DOCUMENT.read_text() == document(), "write it again with UPDATE_GOLDEN=1"


def test_every_name_follows_the_conventions() -> None:
    for metric in declared().values():
        assert metric.help, metric.name
        if metric.name.startswith("tierwatch_"):
            assert (metric.kind == "counter") == metric.name.endswith("_total"), metric.name
            assert metric.name == metric.name.lower(), metric.name
