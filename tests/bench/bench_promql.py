"""How long queries take: ``python -m tests.bench.bench_promql``.

The data is that of a small cluster: seven nodes, a sample each 5 s for a day.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from alerting.model.labels import Labels
from alerting.model.matcher import Matcher, all_match
from alerting.model.series import SeriesData
from alerting.promql.engine import Engine
from alerting.promql.parse import parse

DAY_MS = 86_400_000
SCRAPE_MS = 5_000
END_MS = 1_700_000_000_000
NODES = [f"192.168.0.{index}:9191" for index in range(1, 8)]

# (name, query)
RULES = [
    ("comparison", "up == 0"),
    ("arithmetic", "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes > 0.9"),
    ("rate", "sum by (instance) (rate(node_cpu_seconds_total{mode!='idle'}[5m])) > 3.5"),
    ("average", "avg_over_time(node_hwmon_temp_celsius[5m]) > 80"),
    ("prediction", "predict_linear(node_filesystem_avail_bytes[1h], 4 * 3600) < 0"),
    ("join", "up * on (instance) group_left (board) node_info == 0"),
    ("absent", 'absent(up{instance="192.168.0.1:9191"})'),
]
PANELS = [
    ("selector, 7 series", "node_memory_MemAvailable_bytes"),
    ("rate, 56 series", "rate(node_cpu_seconds_total[5m])"),
    ("sum of rates", "sum by (instance) (rate(node_cpu_seconds_total[5m]))"),
    ("average", "avg_over_time(node_hwmon_temp_celsius[5m])"),
    ("maximum", "max_over_time(node_hwmon_temp_celsius[1h])"),
    ("quantile", "quantile_over_time(0.9, node_hwmon_temp_celsius[5m])"),
    ("ratio", "100 * (1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes)"),
    ("topk", "topk(5, rate(node_cpu_seconds_total[5m]))"),
]


class DayQuerier:
    """One day of samples, cut by time the way the store does it."""

    def __init__(self) -> None:
        random = np.random.default_rng(1)
        times = np.arange(END_MS - DAY_MS, END_MS + 1, SCRAPE_MS, dtype=np.int64)
        self._times = times
        self._series: list[SeriesData] = []
        self._chosen: dict[object, list[SeriesData]] = {}
        walk = 50 + np.cumsum(random.normal(0, 0.1, len(times)))
        for node in NODES:
            for name, values in (
                ("up", np.ones(len(times))),
                ("node_info", np.ones(len(times))),
                ("node_memory_MemAvailable_bytes", np.rint(4e9 + walk * 1e6)),
                ("node_memory_MemTotal_bytes", np.full(len(times), 8e9)),
                ("node_hwmon_temp_celsius", walk),
                ("node_filesystem_avail_bytes", np.rint(1e11 - walk * 1e7)),
            ):
                labels = {"__name__": name, "instance": node, "job": "node", "tier": "edge"}
                if name == "node_info":
                    labels["board"] = "pi5"
                self._series.append(SeriesData(Labels.of(labels), times, values))
            for cpu in range(4):
                for mode in ("idle", "user"):
                    labels = {"__name__": "node_cpu_seconds_total", "instance": node, "job": "node"}
                    counter = np.cumsum(random.random(len(times)))
                    self._series.append(
                        SeriesData(Labels.of({**labels, "cpu": str(cpu), "mode": mode}), times, counter)
                    )
        self._series.sort(key=lambda series: series.labels)

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[SeriesData]:
        key = tuple(matchers)
        if key not in self._chosen:
            self._chosen[key] = [s for s in self._series if all_match(matchers, s.labels.as_dict())]
        low, high = np.searchsorted(self._times, (start_ms, end_ms + 1)).tolist()
        return [SeriesData(s.labels, s.times[low:high], s.values[low:high]) for s in self._chosen[key]]

    def series(self, matcher_sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[Labels]:
        return [series.labels for matchers in matcher_sets for series in self.select(matchers, start_ms, end_ms)]


def seconds(run: Callable[[], object], repeat: int) -> float:
    """The best of several runs, in seconds."""
    run()
    best = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best


def measure() -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of each rule (instant) and panel (24 h, step 60 s)."""
    engine = Engine(DayQuerier())
    start = END_MS - DAY_MS

    def instant(query: str) -> Callable[[], object]:
        expr = parse(query)
        return lambda: engine.instant(expr, END_MS)

    def day(query: str) -> Callable[[], object]:
        expr = parse(query)
        return lambda: engine.range(expr, start, END_MS, 60_000)

    rules = {name: seconds(instant(query), 50) for name, query in RULES}
    panels = {name: seconds(day(query), 3) for name, query in PANELS}
    return rules, panels


def main() -> None:
    rules, panels = measure()
    for title, table in (("instant (rule)", rules), ("range 24 h / 60 s (panel)", panels)):
        print(title)
        for name, taken in table.items():
            print(f"  {name:<22}{taken * 1000:9.3f} ms")


if __name__ == "__main__":
    main()
