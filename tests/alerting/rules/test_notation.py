"""Series and samples as rule tests write them."""

from __future__ import annotations

import math

import pytest

from alerting.model.labels import Labels
from alerting.model.series import STALE
from alerting.rules.notation import MAX_SAMPLES, NotationError, samples, series_labels


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("1 2.5 -3 1e3 .5 2.", [1.0, 2.5, -3.0, 1000.0, 0.5, 2.0]),
        ("1+1x3", [1.0, 2.0, 3.0, 4.0]),
        ("10-5x2", [10.0, 5.0, 0.0]),
        ("-1+0.5x2", [-1.0, -0.5, 0.0]),
        ("7x2 _ 1", [7.0, 7.0, 7.0, None, 1.0]),
        ("_x3 0x1", [None, None, None, 0.0, 0.0]),
        ("inf +Inf -INF", [math.inf, math.inf, -math.inf]),
        ("0x10", [0.0] * 11),
    ],
)
def test_samples(text: str, expected: list[float | None]) -> None:
    assert samples(text) == expected


def test_nan_and_the_staleness_marker_are_two_things() -> None:
    nan, stale = samples("NaN stale")
    assert nan is not STALE
    assert stale is STALE


@pytest.mark.parametrize("text", ["a", "1+x3", "1 2,3", "1x", "stalex2", "1+1xA", "--1"])
def test_what_is_no_sample(text: str) -> None:
    with pytest.raises(NotationError, match="expected samples such as"):
        samples(text)


def test_samples_are_bounded() -> None:
    with pytest.raises(NotationError, match="more than"):
        samples(f"1x{MAX_SAMPLES}")
    with pytest.raises(NotationError, match="more than"):
        samples("_x99999999999999")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("up", {"__name__": "up"}),
        ("up{}", {"__name__": "up"}),
        ('up {a="b", c="d",}', {"__name__": "up", "a": "b", "c": "d"}),
        ('{a="b"}', {"a": "b"}),
        ('{__name__="sum", a="\\"x\\""}', {"__name__": "sum", "a": '"x"'}),
        ('sum{by="x"}', {"__name__": "sum", "by": "x"}),
        ("{}", {}),
        ('up{a=""}', {"__name__": "up"}),
    ],
)
def test_series(text: str, expected: dict[str, str]) -> None:
    assert series_labels(text) == Labels.of(expected)


@pytest.mark.parametrize("text", ["up{", "up[5m]", 'up{a=~"b"}', "up offset 5m", "1", "up + up", 'up{a="b"} x'])
def test_what_is_no_series(text: str) -> None:
    with pytest.raises(NotationError):
        series_labels(text)
