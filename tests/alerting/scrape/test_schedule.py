"""Planned times: even, repeatable, safe against a clock that is set."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alerting.scrape.schedule import aligned_ms, first_delay_ms, next_ms, offset_ms

INTERVALS = st.integers(1, 3_600_000)
TIMES = st.integers(0, 4_000_000_000_000)


@given(st.text(max_size=20), INTERVALS, TIMES)
def test_the_next_time_is_soon_and_at_the_targets_place(name: str, interval: int, now: int) -> None:
    planned = next_ms(name, interval, now)
    assert now < planned <= now + interval
    assert planned % interval == offset_ms(name, interval)


@given(st.text(max_size=20), INTERVALS, TIMES)
def test_a_time_is_used_once_even_when_woken_a_little_early(name: str, interval: int, now: int) -> None:
    planned = next_ms(name, interval, now)
    assert next_ms(name, interval, planned - 1, planned) == planned + interval
    assert next_ms(name, interval, planned, planned) == planned + interval


@given(st.text(max_size=20), INTERVALS, TIMES, TIMES)
def test_a_clock_set_back_or_forward_never_stops_the_scraping(name: str, interval: int, now: int, last: int) -> None:
    assert next_ms(name, interval, now, last) - now <= 2 * interval


def test_places_are_spread_and_stay() -> None:
    offsets = sorted(offset_ms(f"node/192.168.1.{n}:9191", 5000) for n in range(200))
    assert [sum(1000 * k <= offset < 1000 * (k + 1) for offset in offsets) > 20 for k in range(5)] == [True] * 5
    assert offset_ms("node/192.168.1.154:9191", 5000) == offset_ms("node/192.168.1.154:9191", 5000)


@given(st.text(max_size=20), INTERVALS)
def test_the_first_scrape_is_within_a_second(name: str, interval: int) -> None:
    assert 0 <= first_delay_ms(name, interval) <= 1000


def test_a_small_delay_is_no_delay() -> None:
    assert aligned_ms(10_000, 10_009, 5000) == 10_000
    assert aligned_ms(10_000, 9_999, 5000) == 10_000
    assert aligned_ms(10_000, 10_011, 5000) == 10_011
    assert aligned_ms(10_000, 10_002, 100) == 10_002
