"""Axes have round numbers, and everything fits between them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.query.axes import ValueAxis, round_step, short, time_ticks

HOUR = 3_600_000
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@given(NUMBERS, NUMBERS, st.integers(2, 8))
@settings(deadline=None)
def test_an_axis_holds_its_values(one: float, other: float, ticks: int) -> None:
    least, most = min(one, other), max(one, other)
    axis = ValueAxis.around(least, most, ticks)
    slack = 1e-6 * max(axis.step, abs(most), abs(least), 1e-300)
    assert axis.low <= least + slack
    assert most <= axis.high + slack
    assert axis.low < axis.high
    assert all(math.isfinite(tick) for tick in axis.ticks())
    assert 2 <= len(axis.labels()) <= max(ticks, 3) + 1


@pytest.mark.parametrize(
    ("least", "most", "labels"),
    [
        (0.0, 1.0, ["0", "0.5", "1.0"]),
        (1.0, 1.0, ["0", "1", "2"]),
        (0.0, 0.0, ["-1", "0", "1"]),
        (-4e-6, -1e-6, ["-4µ", "-2µ", "0"]),
        (97.0, 99.0, ["97", "98", "99"]),
        (0.2, 0.9, ["0", "0.5", "1.0"]),
        (24.0e9, 24.3e9, ["24.0G", "24.1G", "24.2G", "24.3G"]),
        (-0.004, -0.001, ["-0.004", "-0.002", "0"]),
        (1_700_000_000.0, 1_700_000_002.0, ["1.700000000G", "1.700000001G", "1.700000002G"]),
    ],
)
def test_labels_are_short_and_tell_ticks_apart(least: float, most: float, labels: list[str]) -> None:
    assert ValueAxis.around(least, most, 4).labels() == labels


def test_values_in_six_digits() -> None:
    texts = [short(value) for value in (0.0, 1.5, 9999.0, 12_345_678.0, 1e-5, -2e9, 1e300, math.inf, math.nan)]
    assert texts == ["0", "1.5", "9999", "12.3457M", "10µ", "-2G", "1e+300", "+Inf", "NaN"]


def test_steps_are_round() -> None:
    assert [round_step(ms) for ms in (1, 1001, 14_000, 61_000, 5 * HOUR)] == [1000, 2000, 15_000, 120_000, 6 * HOUR]
    assert round_step(800.0 * 24 * HOUR) == 800 * 24 * HOUR


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> object:
    import time

    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
def test_times_are_round_in_the_local_zone_also_when_summer_time_begins() -> None:
    start = 1_711_839_600_000  # 2024-03-31 00:00 in Berlin; at 02:00 it is 03:00
    assert time_ticks(start, start + 12 * HOUR, 5) == [
        (start, "31 Mar"),
        (start + 2 * HOUR, "03:00"),
        (start + 5 * HOUR, "06:00"),
        (start + 8 * HOUR, "09:00"),
        (start + 11 * HOUR, "12:00"),
    ]
    assert time_ticks(start + 1, start + 20_000, 4) == [
        (start + at * 1000, f"00:00:{at:02d}") for at in (5, 10, 15, 20)
    ]


@given(st.integers(0, 2**41), st.integers(0, 2**38), st.integers(1, 20))
@settings(deadline=None)
def test_times_lie_inside_and_are_not_too_many(start: int, length: int, most: int) -> None:
    ticks = time_ticks(start, start + length, most)
    assert len(ticks) <= most + 1
    assert all(start <= at <= start + length for at, _ in ticks)
