"""Where series come from: the numbers of /api/v1/status/tsdb, counted over the series of the last hour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from alerting.model.labels import METRIC_NAME, Labels

WINDOW_MS = 3_600_000


def head_status(series: Sequence[Labels], now_ms: int, most: int) -> dict[str, Any]:
    """The answer; every list has its ``most`` largest. A series has one open chunk."""
    pairs = Counter(pair for labels in series for pair in labels)
    values: Counter[str] = Counter()
    characters: Counter[str] = Counter()
    for (name, value), count in pairs.items():
        values[name] += 1
        characters[name] += len(value.encode()) * count
    metrics = Counter({value: count for (name, value), count in pairs.items() if name == METRIC_NAME})
    return {
        "headStats": {
            "numSeries": len(series),
            "numLabelPairs": len(pairs),
            "chunkCount": len(series),
            "minTime": now_ms - WINDOW_MS,
            "maxTime": now_ms,
        },
        "seriesCountByMetricName": _largest(metrics, most),
        "labelValueCountByLabelName": _largest(values, most),
        "memoryInBytesByLabelName": _largest(characters, most),
        "seriesCountByLabelValuePair": _largest(
            Counter({f"{name}={value}": count for (name, value), count in pairs.items()}), most
        ),
    }


def _largest(counts: Counter[str], most: int) -> list[dict[str, Any]]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [{"name": name, "value": count} for name, count in ordered[:most]]
