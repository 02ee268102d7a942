"""Samples as OpenMetrics text with timestamps.

https://prometheus.io/docs/specs/om/open_metrics_spec/. The store knows no types, so they are those that a name tells:
``_total`` is a counter, what the aggregator makes itself are gauges, anything else is unknown. That a series ended is
said in a HELP line, for which OpenMetrics has no word: ``tierwatch import`` reads it, others pass over it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from alerting.model.labels import Labels, metric_text
from alerting.model.series import FloatArray, IntArray, SeriesData, is_stale
from alerting.promql.value import format_value
from alerting.transfer.lines import ENDED

_GAUGES = frozenset(
    {
        "ALERTS",
        "ALERTS_FOR_STATE",
        "up",
        "scrape_duration_seconds",
        "scrape_samples_scraped",
        "scrape_samples_post_metric_relabeling",
        "scrape_series_added",
    }
)
_ENDED = ENDED.decode()


class OpenMetricsWriter:
    """Series must come by metric name. ``names`` are all that will come, ``endings``: also tell where series end."""

    def __init__(self, write: Callable[[str], object], names: Collection[str], *, endings: bool) -> None:
        self.samples = 0
        self.series = 0
        self.endings_left_out = 0
        self._write = write
        self._names = frozenset(names)
        self._endings = endings
        self._name = ""
        self._family = ""
        self._times: tuple[IntArray | None, list[str]] = (None, [])

    def put(self, data: SeriesData) -> None:
        name = data.labels.metric_name
        if name != self._name:
            self._name = name
            found, kind = family(name, self._names)
            self._family = metric_text(found)
            self._write(f"# TYPE {self._family} {kind}\n")
        head = series_text(data.labels)
        if self._times[0] is not data.times:
            self._times = (data.times, time_texts(data.times))
        stamps = self._times[1]
        values = value_texts(data.values)
        stale = is_stale(data.values)
        self.series += 1
        if not stale.any():
            self.samples += len(values)
            self._write("".join([f"{head} {value} {at}\n" for value, at in zip(values, stamps, strict=True)]))
            return
        mark = f"# HELP {self._family} {_ENDED}{head} "
        lines = []
        for value, at, ended in zip(values, stamps, stale.tolist(), strict=True):
            if not ended:
                lines.append(f"{head} {value} {at}\n")
                self.samples += 1
            elif self._endings:
                lines.append(f"{mark}{at}\n")
            else:
                self.endings_left_out += 1
        self._write("".join(lines))

    def end(self) -> None:
        self._write("# EOF\n")


def family(name: str, names: Collection[str]) -> tuple[str, str]:
    """The metric family of a series and its type."""
    base = name.removesuffix("_total")
    if base != name and base and base not in names:
        return base, "counter"
    return name, "gauge" if name in _GAUGES else "unknown"


def series_text(labels: Labels) -> str:
    return labels.written(",")


def time_texts(times: IntArray) -> list[str]:
    """Seconds. Prometheus reads a double, multiplies by 1000 and cuts off the rest (model/textparse): where that would
    lose a millisecond, half a microsecond more stands there."""
    lossy = (times / 1000.0 * 1000.0).astype(np.int64) != times
    texts = []
    for time_ms, more in zip(times.tolist(), lossy.tolist(), strict=True):
        whole, rest = divmod(time_ms, 1000)
        texts.append(f"{whole}.{rest:03d}0005" if more else f"{whole}.{rest:03d}" if rest else f"{whole}")
    return texts


def value_texts(values: FloatArray) -> list[str]:
    """The shortest text that reads back as the same number; most are plain decimals."""
    texts = []
    for value in values.tolist():
        text = repr(value)
        if text.endswith(".0"):
            text = text[:-2]
        elif "e" in text or "n" in text:
            text = format_value(value)
        texts.append(text)
    return texts
