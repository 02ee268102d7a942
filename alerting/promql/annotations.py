"""What an answer says beside its value. Texts are those of Prometheus (util/annotations/annotations.go)."""

from __future__ import annotations

import math

from alerting.model.labels import quote
from alerting.promql.value import format_value

MAX_ANNOTATIONS = 100

_COUNTER_SUFFIXES = ("_total", "_sum", "_count", "_bucket")
_QUANTILE_HELP = "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile"


class Annotations:
    """Collected while a query runs; each text once, at most ``MAX_ANNOTATIONS`` of a kind."""

    def __init__(self) -> None:
        self._warnings: dict[str, None] = {}
        self._infos: dict[str, None] = {}

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(self._warnings)

    @property
    def infos(self) -> tuple[str, ...]:
        return tuple(self._infos)

    def _warn(self, text: str) -> None:
        if len(self._warnings) < MAX_ANNOTATIONS:
            self._warnings["PromQL warning: " + text] = None

    def _info(self, text: str) -> None:
        if len(self._infos) < MAX_ANNOTATIONS:
            self._infos["PromQL info: " + text] = None

    def of_storage(self, text: str) -> None:
        """What the storage could not do; the text stands for itself."""
        if len(self._warnings) < MAX_ANNOTATIONS:
            self._warnings[text] = None

    def invalid_quantile(self, quantile: float) -> None:
        shown = "NaN" if math.isnan(quantile) else format_value(quantile)
        self._warn(f"quantile value should be between 0 and 1, got {shown}")

    def bad_bucket(self, metric: str, label: str) -> None:
        self._warn(
            f'bucket label "le" is missing or has a malformed value of {quote(label)} for metric name {quote(metric)}'
        )

    def sort_in_range_query(self) -> None:
        self._warn("sort is ineffective for range queries since results are always ordered by labels")

    def forced_monotonic(self, metric: str) -> None:
        self._info(
            f"input to histogram_quantile needed to be fixed for monotonicity (see {_QUANTILE_HELP}) "
            f"for metric name {quote(metric)}"
        )

    def rated(self, metric: str) -> None:
        """A rate or increase was taken of a metric: counters are told by their names."""
        if metric and not metric.endswith(_COUNTER_SUFFIXES):
            self._info(
                "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: " + quote(metric)
            )
