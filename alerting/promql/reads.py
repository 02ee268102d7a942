"""What the selectors of one query have read: two that say the same (``x and topk(8, avg_over_time(x[1d:] @ end()))``)
read it once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from alerting.model.matcher import Matcher
from alerting.model.series import SeriesData
from alerting.promql import nodes
from alerting.storage.ports import Querier

Matchers = Sequence[Matcher]


class Reads:
    """Of one query, or of a piece of a long one. What is asked for once only is not kept."""

    def __init__(self, expr: nodes.Expr, querier: Querier) -> None:
        self._querier = querier
        asked = Counter(node.matchers for node in nodes.walk(expr) if isinstance(node, nodes.VectorSelector))
        self._repeated = {matchers for matchers, times in asked.items() if times > 1}
        self._kept: dict[Matchers, tuple[int, int, list[SeriesData]]] = {}

    def select(self, matchers: Matchers, start_ms: int, end_ms: int) -> list[SeriesData]:
        """See ``Querier``."""
        if matchers not in self._repeated:
            return self._querier.select(matchers, start_ms, end_ms)
        kept = self._kept.get(matchers)
        if kept is not None and kept[0] <= start_ms and end_ms <= kept[1]:
            return _cut(kept[2], start_ms, end_ms)
        found = self._querier.select(matchers, start_ms, end_ms)
        self._kept[matchers] = (start_ms, end_ms, found)
        return found


def _cut(found: list[SeriesData], start_ms: int, end_ms: int) -> list[SeriesData]:
    """Those with a sample in the window, and these samples."""
    cut = []
    shared = times = np.empty(0, np.int64)
    part = slice(0)
    for series in found:
        if series.times is not shared:  # the series of a target mostly share their times
            shared = series.times
            part = slice(int(shared.searchsorted(start_ms)), int(shared.searchsorted(end_ms, side="right")))
            times = shared[part]
        if len(times):
            cut.append(SeriesData(series.labels, times, series.values[part]))
    return cut
