"""What an answer says beside its value. Texts are those of Prometheus (util/annotations/annotations.go)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from alerting.model.labels import quote
from alerting.promql import nodes
from alerting.promql.value import format_general

MAX_ANNOTATIONS = 100

_COUNTER_SUFFIXES = ("_total", "_sum", "_count", "_bucket")
_QUANTILE_HELP = "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile"


@dataclass(slots=True)
class _Forced:
    """What was put right in the buckets of one metric: between which bounds, by how much, how often and when."""

    least_bound: float
    most_bound: float
    most_change: float
    samples: int
    first_s: float
    last_s: float


class Annotations:
    """Collected while a query runs; each text once, at most ``MAX_ANNOTATIONS`` of a kind.

    Every text ends with the position of the expression that it is about.
    """

    def __init__(self) -> None:
        self._warnings: dict[str, None] = {}
        self._infos: dict[str, None] = {}
        self._forced: dict[tuple[str, str], _Forced] = {}

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(self._warnings)

    @property
    def infos(self) -> tuple[str, ...]:
        return (*self._infos, *(_forced_text(metric, place, what) for (metric, place), what in self._forced.items()))

    def _warn(self, text: str, about: nodes.Expr) -> None:
        if len(self._warnings) < MAX_ANNOTATIONS:
            self._warnings[f"PromQL warning: {text}{_place(about)}"] = None

    def of_storage(self, text: str) -> None:
        """What the storage could not do; the text stands for itself."""
        if len(self._warnings) < MAX_ANNOTATIONS:
            self._warnings[text] = None

    def invalid_quantile(self, quantile: float, about: nodes.Expr) -> None:
        self._warn(f"quantile value should be between 0 and 1, got {format_general(quantile)}", about)

    def bad_bucket(self, metric: str, label: str, about: nodes.Expr) -> None:
        self._warn(
            f'bucket label "le" is missing or has a malformed value of {quote(label)} for metric name {quote(metric)}',
            about,
        )

    def sort_in_range_query(self, about: nodes.Expr) -> None:
        self._warn("sort is ineffective for range queries since results are always ordered by labels", about)

    def forced_monotonic(
        self, metric: str, about: nodes.Expr, *, bounds: tuple[float, float], change: float, times_s: Sequence[float]
    ) -> None:
        """Buckets of a metric were put right at some times (at least one), at most by ``change``."""
        key = (metric, _place(about))
        first_s, last_s = min(times_s), max(times_s)
        seen = self._forced.get(key)
        if seen is None:
            if len(self._forced) < MAX_ANNOTATIONS:
                self._forced[key] = _Forced(*bounds, change, len(times_s), first_s, last_s)
            return
        seen.least_bound, seen.most_bound = min(seen.least_bound, bounds[0]), max(seen.most_bound, bounds[1])
        seen.most_change = max(seen.most_change, change)
        seen.samples += len(times_s)
        seen.first_s, seen.last_s = min(seen.first_s, first_s), max(seen.last_s, last_s)

    def rated(self, metric: str, about: nodes.Expr) -> None:
        """A rate or increase was taken of a metric: counters are told by their names."""
        if metric and not metric.endswith(_COUNTER_SUFFIXES) and len(self._infos) < MAX_ANNOTATIONS:
            text = "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: " + quote(metric)
            self._infos[f"PromQL info: {text}{_place(about)}"] = None


def _place(about: nodes.Expr) -> str:
    # Parentheses are taken away before Prometheus evaluates an argument.
    place = nodes.unwrapped(about).position
    return "" if place is None else f" ({place[0]}:{place[1]})"


def _forced_text(metric: str, place: str, what: _Forced) -> str:
    name = f" for metric name {quote(metric)}" if metric else ""
    return (
        f"PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see {_QUANTILE_HELP}){name}, "
        f"from buckets {format_general(what.least_bound)} to {format_general(what.most_bound)}, "
        f"with a max diff of {format_general(what.most_change, 2)}, "
        f"over {what.samples} samples from {_moment(what.first_s)} to {_moment(what.last_s)}{place}"
    )


def _moment(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(math.floor(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"{seconds:.0f}"
