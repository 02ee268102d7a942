"""Times and durations as Prometheus reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.api.params import MAX_MS, MIN_MS, parse_duration, parse_time
from alerting.api.values import moment, seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4", 4000),
        ("1700000000.123", 1_700_000_000_123),
        ("-1.5", -1500),
        ("1.7e9", 1_700_000_000_000),
        ("1795411953387", 1_795_411_953_387_000),
        ("1e300", MAX_MS),
        ("-1e300", MIN_MS),
        ("2023-11-14T22:13:20Z", 1_700_000_000_000),
        ("2023-11-14T22:13:20.781Z", 1_700_000_000_781),
        ("2023-11-14T23:13:20.5+01:00", 1_700_000_000_500),
        ("2023-11-14T22:13:20,25Z", 1_700_000_000_250),
        ("2023-11-14T20:43:20-01:30", 1_700_000_000_000),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000),
        ("0001-01-01T00:00:00+14:00", -62_135_596_800_000 - 14 * 3_600_000),
        ("-292273086-05-16T16:47:06Z", MIN_MS),
        ("292277025-08-18T07:12:54.999999999Z", MAX_MS),
    ],
)
def test_times(text: str, expected: int) -> None:
    assert parse_time(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "NaN",
        "Inf",
        "0x10",
        "1_0",
        "2023-11-14",
        "2023-11-14T22:13:20",
        "2023-13-14T22:13:20Z",
        "٤",
        "2023-11-14t22:13:20z",
    ],
)
def test_bad_times(text: str) -> None:
    with pytest.raises(ValueError, match=f'cannot parse "{text}" to a valid timestamp'):
        parse_time(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("15", 15),
        ("0.5", 0.5),
        ("1m0s", 60),
        ("1h0m15s", 3615),
        ("500ms", 0.5),
        ("1d", 86400),
        ("1w2d", 777600),
        ("1y", 31536000),
        ("-5", -5),
        ("0s", 0),
        ("1e-10", 0),
    ],
)
def test_durations(text: str, expected: float) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "abc", "5x", "1s1m", "NaN", "1h-5m", "٤s", " 5s"])
def test_bad_durations(text: str) -> None:
    with pytest.raises(ValueError, match=f'cannot parse "{text}" to a valid duration'):
        parse_duration(text)


@pytest.mark.parametrize("text", ["1e11", "-1e300", "Inf", "-inf"])
def test_durations_too_long(text: str) -> None:
    with pytest.raises(ValueError, match="It overflows int64"):
        parse_duration(text)


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_times_survive_writing_and_reading(time_ms: int) -> None:
    assert parse_time(moment(time_ms)) == time_ms
    assert parse_time(seconds(time_ms)) == time_ms
