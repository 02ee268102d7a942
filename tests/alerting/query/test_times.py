"""Moments and steps as people type them."""

from __future__ import annotations

import pytest

from alerting.query.times import parse_moment, parse_step, rfc3339

NOW = 1_700_000_000_000


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("now", NOW),
        ("now-1h", NOW - 3_600_000),
        ("now-1h30m", NOW - 5_400_000),
        ("now+5s", NOW + 5000),
        ("now-0", NOW),
        ("1700000000", NOW),
        ("1700000000.123", NOW + 123),
        ("0", 0),
        ("2023-11-14T22:13:20Z", NOW),
        ("2023-11-14T23:13:20+01:00", NOW),
        ("2023-11-14T22:13:20.5Z", NOW + 500),
        ("2023-11-14T22:13:20", NOW),
        ("2023-11-14", NOW - (22 * 3600 + 13 * 60 + 20) * 1000),
    ],
)
def test_a_moment(text: str, wanted: int) -> None:
    assert parse_moment(text, NOW) == wanted


@pytest.mark.parametrize("text", ["", "yesterday", "now-", "now-1x", "now 1h", "1h", "1e300", "2023-13-01"])
def test_no_moment_is_told_with_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match="expected a time such as now, now-1h30m"):
        parse_moment(text, NOW)


def test_steps() -> None:
    assert [parse_step(text) for text in ("15s", "1m30s", "0.5", "60")] == [15_000, 90_000, 500, 60_000]
    for text in ("0", "0s", "-5", "often", ""):
        with pytest.raises(ValueError, match="expected"):
            parse_step(text)


def test_times_are_written_in_utc() -> None:
    assert rfc3339(NOW) == "2023-11-14T22:13:20Z"
    assert rfc3339(NOW + 5) == "2023-11-14T22:13:20.005Z"
    assert rfc3339(-1) == "1969-12-31T23:59:59.999Z"
