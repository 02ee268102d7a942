"""Renders families as the Prometheus text format 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/. Names are written as they are: a counter is not given a
``_total`` it does not have. The text before a sample's value is remembered, since it is the same at every scrape; that
of series which came and went (containers, jobs) is forgotten.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from config.daemon.log import event
from exporters.catalog.metric import Metric
from exporters.collector import Family

_log = logging.getLogger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Texts that are remembered beyond those of the last page, a family: there are hundreds of families.
SPARE = 4
MAX_FAULTS = 1000

_SPECIAL = {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}


@dataclass(slots=True)
class _Remembered:
    metric: Metric
    head: str
    prefixes: dict[tuple[str, ...], str]


class Renderer:
    """Keeps the remembered prefixes; one for each exporter, used by one thread at a time."""

    def __init__(self) -> None:
        self._known: dict[str, _Remembered] = {}
        self._faults: set[str] = set()

    def render(self, families: Iterable[Family]) -> bytes:
        """A page. Families of one name are told together; of two equal series the first one stands.

        A family of a name that already stands there with another type or other labels is left out: the page of a
        whole node must not become invalid because two sources disagree.
        """
        out: list[str] = []
        told = merge(families, self._complain)
        for metric, rows in told:
            known = self._known.get(metric.name)
            if known is None or (known.metric is not metric and known.metric != metric):
                known = self._known[metric.name] = _Remembered(metric, head(metric), {})
            out.append(known.head)
            prefixes = known.prefixes
            for labels, value in rows:
                prefix = prefixes.get(labels)
                try:
                    if prefix is None:
                        prefix = prefixes[labels] = series(metric, labels)
                    text = repr(value)
                    out.append(f"{prefix}{text if text[-1].isdigit() else _SPECIAL[text]}\n")
                except (ValueError, KeyError) as error:
                    self._complain(metric.name, f"{error}")
            if len(prefixes) > len(rows) + SPARE:
                known.prefixes = {labels: prefixes[labels] for labels, _ in rows if labels in prefixes}
        if len(self._known) > len(told) + SPARE:
            self._known = {metric.name: self._known[metric.name] for metric, _ in told}
        return "".join(out).encode("utf-8", "replace")

    def _complain(self, name: str, fault: str) -> None:
        """A sample that cannot be written is a fault of its collector's or of a textfile's; the page goes on without
        it."""
        if name not in self._faults and len(self._faults) < MAX_FAULTS:
            self._faults.add(name)
            event(_log, logging.ERROR, "sample left out", metric=name, error=fault)


def head(metric: Metric) -> str:
    """The HELP and TYPE lines."""
    text = metric.help.replace("\\", "\\\\").replace("\n", "\\n")
    return f"# HELP {metric.name} {text}\n# TYPE {metric.name} {metric.kind}\n"


def merge(
    families: Iterable[Family], complain: Callable[[str, str], None]
) -> list[tuple[Metric, Sequence[tuple[tuple[str, ...], float]]]]:
    """Rows by metric in the order of first appearance, without empty families and without equal series. ``complain``
    is given the name of a metric and why some of it is left out."""
    found: dict[str, tuple[Metric, Sequence[tuple[tuple[str, ...], float]]]] = {}
    for family in families:
        metric, rows = family.metric, family.rows
        if not rows:
            continue
        known = found.get(metric.name)
        if known is not None:
            if known[0].labels != metric.labels or known[0].kind != metric.kind:
                complain(metric.name, "told twice, with other labels or another type; the first stands")
                continue
            metric, rows = known[0], [*known[1], *rows]
        if len(rows) > 1 and len({labels for labels, _ in rows}) != len(rows):
            first: dict[tuple[str, ...], float] = {}
            for labels, value in rows:
                first.setdefault(labels, value)
            complain(metric.name, "a series is told twice; the first stands")
            rows = list(first.items())
        found[metric.name] = (metric, rows)
    return list(found.values())


def series(metric: Metric, labels: tuple[str, ...]) -> str:
    """The series and the space before the value. Raises ValueError when the labels do not fit the metric."""
    if len(labels) != len(metric.labels):
        raise ValueError(f"{metric.name} has labels {metric.labels}, got {len(labels)} values")
    if not labels:
        return f"{metric.name} "
    inner = ",".join(f'{name}="{escape(value)}"' for name, value in zip(metric.labels, labels, strict=True))
    return f"{metric.name}{{{inner}}} "


def escape(value: str) -> str:
    """A label value between double quotes."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def compress(page: bytes) -> bytes:
    """gzip (RFC 1952) at the fastest level: pages shrink to a tenth, higher levels cost more than they save."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return packer.compress(page) + packer.flush()
