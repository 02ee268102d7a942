from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.units import format_duration, format_size, parse_duration, parse_size, round_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0), ("0s", 0), ("500ms", 0.5), ("5s", 5), ("1m30s", 90), ("2h", 7200), ("1d", 86400), ("1w", 604800),
        ("1y", 31536000), ("1h30m", 5400), ("1m5ms", 60.005), ("1y2w3d4h5m6s7ms", 33019506.007),
    ],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "s", "5 s", "-5s", "1.5h", "5min", "30s1m", "1m1m", "٣s", "5S", "1e3s", "9" * 400 + "s", "101y"]
)
def test_durations_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=100 * 365 * 86_400_000))
def test_durations_come_back_to_the_millisecond(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1), ("1B", 1), ("1K", 1000), ("1KB", 1000), ("1KiB", 1024), ("8GiB", 2**33), ("8 GiB", 2**33),
        ("1TB", 10**12), ("1.5GiB", 3 * 2**29), ("0.1GB", 10**8), (" 2MB ", 2 * 10**6), ("116GB", 116 * 10**9),
        ("0.3MB", 300_000), ("1.1TB", 1_100_000_000_000),
    ],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "B", "-1MB", "1kB", "1PB", "1,5GB", "1e3", "8 Gi B", "9" * 400 + "TB", "9" * 30 + "TB"]
)
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size"):
        parse_size(text)


@given(st.integers(min_value=0, max_value=2**60))
def test_sizes_come_back(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0B"), (2**33, "8GiB"), (10**12, "1TB"), (1500, "1500B"), (2**20, "1MiB")]
)
def test_sizes_read_well(size: int, text: str) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (45_056, "44.0 KiB"),
        (2**20 - 1, "1.0 MiB"),
        (1023.9 * 1024, "1023.9 KiB"),
        (2**20, "1.0 MiB"),
        (130.06 * 2**20, "130.1 MiB"),
        (8 * 2**30, "8.0 GiB"),
        (3.5 * 2**40, "3.5 TiB"),
        (2**60, "1048576.0 TiB"),
    ],
)
def test_sizes_for_people(size: float, text: str) -> None:
    assert round_size(size) == text
