"""What every ``Querier`` must do, as functions over one small set of samples; each implementation runs all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from alerting.model.labels import Labels
from alerting.model.matcher import Matcher
from alerting.model.series import STALE, SeriesData, is_stale
from alerting.storage.ports import Querier

START_MS = 1_700_000_000_000
END_MS = START_MS + 900_000
STEP_MS = 15_000
ODD = 'quote " backslash \\ newline \n and é'


def series(labels: dict[str, str], *rows: tuple[int, float]) -> SeriesData:
    times = np.array([START_MS + at for at, _ in rows], np.int64)
    return SeriesData(Labels.of(labels), times, np.array([value for _, value in rows]))


def steady(first: int, count: int, scale: float) -> list[tuple[int, float]]:
    return [(first + STEP_MS * number, number * scale) for number in range(count)]


DATA = [
    series({"__name__": "temp", "node": "a", "job": "x"}, *steady(0, 60, 1.25)),
    series({"__name__": "temp", "node": "b", "job": "x"}, *steady(1, 60, -0.5)),
    # It ended, and began again later.
    series(
        {"__name__": "temp", "node": "c", "job": "y"},
        *(*steady(0, 10, 1.0), (150_000, STALE), *steady(600_000, 5, 2.0)),
    ),
    series({"__name__": "c_total", "node": "a"}, *steady(500, 60, 7.0)),
    series({"__name__": "odd", "text": ODD}, (0, math.inf), (STEP_MS, -math.inf), (2 * STEP_MS, 1e-300)),
    # Ends for good.
    series({"__name__": "gone", "node": "a"}, *steady(0, 4, 1.0), (60_000, STALE)),
]
TEMP = (Matcher("__name__", "=", "temp"),)


def names(found: Sequence[SeriesData]) -> list[str]:
    return [f"{one.labels.metric_name}/{one.labels.get('node')}" for one in found]


def samples(found: Sequence[SeriesData]) -> list[list[tuple[int, float]]]:
    """Without staleness markers, which not every protocol carries."""
    found_rows = []
    for one in found:
        kept = ~is_stale(one.values)
        found_rows.append(list(zip((one.times[kept] - START_MS).tolist(), one.values[kept].tolist(), strict=True)))
    return found_rows


def both_ends_are_included(querier: Querier) -> None:
    found = querier.select(TEMP, START_MS + STEP_MS, START_MS + 2 * STEP_MS)
    assert names(found) == ["temp/a", "temp/b", "temp/c"]
    assert samples(found) == [
        [(15_000, 1.25), (30_000, 2.5)],
        [(15_001, -0.5)],
        [(15_000, 1.0), (30_000, 2.0)],
    ]


def one_millisecond_is_a_window(querier: Querier) -> None:
    assert samples(querier.select(TEMP, START_MS + 1, START_MS + 1)) == [[(1, 0.0)]]
    assert querier.select(TEMP, START_MS + 2, START_MS + 2) == []


def nothing_is_nothing(querier: Querier) -> None:
    assert querier.select(TEMP, START_MS + 10, START_MS) == []
    assert querier.select(TEMP, START_MS - 100_000, START_MS - 1) == []
    assert querier.select([Matcher("__name__", "=", "no_such_metric")], START_MS, END_MS) == []


def everything_in_its_window(querier: Querier) -> None:
    """Any time, even before there were computers: it ends, and finds all."""
    found = querier.select(TEMP, 0, END_MS)
    assert [len(rows) for rows in samples(found)] == [60, 60, 15]
    for one in found:
        assert (np.diff(one.times) > 0).all()
    assert [one.labels for one in found] == sorted(one.labels for one in found)


def every_kind_of_matcher(querier: Querier) -> None:
    cases: list[tuple[tuple[Matcher, ...], list[str]]] = [
        ((*TEMP, Matcher("node", "!=", "a")), ["temp/b", "temp/c"]),
        ((*TEMP, Matcher("node", "=~", "a|c")), ["temp/a", "temp/c"]),
        ((*TEMP, Matcher("node", "=~", "")), []),
        ((*TEMP, Matcher("node", "!~", "a|b")), ["temp/c"]),
        ((Matcher("__name__", "=~", "c_.+|temp"), Matcher("node", "=", "a")), ["c_total/a", "temp/a"]),
        ((Matcher("job", "=", ""), Matcher("__name__", "!=", "gone"), Matcher("node", "=", "a")), ["c_total/a"]),
        ((Matcher("text", "=", ODD),), ["odd/"]),
        ((Matcher("absent", "=", ""), Matcher("node", "=~", ".*b")), ["temp/b"]),
    ]
    for matchers, expected in cases:
        assert names(querier.select(matchers, START_MS, END_MS)) == expected, matchers


def strange_values_survive(querier: Querier) -> None:
    found = samples(querier.select([Matcher("__name__", "=", "odd")], START_MS, END_MS))
    assert found == [[(0, math.inf), (STEP_MS, -math.inf), (2 * STEP_MS, 1e-300)]]


def series_are_told(querier: Querier) -> None:
    found = querier.series([TEMP, [Matcher("__name__", "=", "odd")]], START_MS, END_MS)
    assert [labels.metric_name for labels in found] == ["odd", "temp", "temp", "temp"]
    assert found == sorted(found)
    assert len(querier.series([], START_MS, END_MS)) == len(DATA)
    assert querier.series([TEMP], START_MS - 86_400_000 * 30, START_MS - 86_400_000 * 29) == []


CHECKS: list[Callable[[Querier], None]] = [
    both_ends_are_included,
    one_millisecond_is_a_window,
    nothing_is_nothing,
    everything_in_its_window,
    every_kind_of_matcher,
    strange_values_survive,
    series_are_told,
]
