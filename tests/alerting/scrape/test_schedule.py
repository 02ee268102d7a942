"""Planned times: even, repeatable, safe against a clock that is set."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.scrape.schedule import TOGETHER, aligned_ms, first_delay_ms, next_ms, offset_ms, places

INTERVALS = st.integers(1, 3_600_000)
PLACES = st.integers(0, 10).map(lambda doublings: 2**doublings)
OFFSETS = INTERVALS.flatmap(lambda interval: st.tuples(st.integers(0, interval - 1), st.just(interval)))
TIMES = st.integers(0, 4_000_000_000_000)


@given(st.text(max_size=20), INTERVALS, PLACES, TIMES)
def test_the_next_time_is_soon_and_at_the_targets_place(name: str, interval: int, places: int, now: int) -> None:
    offset = offset_ms(name, interval, places)
    planned = next_ms(offset, interval, now)
    assert now < planned <= now + interval
    assert planned % interval == offset


@given(OFFSETS, TIMES)
def test_a_time_is_used_once_even_when_woken_a_little_early(place: tuple[int, int], now: int) -> None:
    planned = next_ms(*place, now)
    assert next_ms(*place, planned - 1, planned) == planned + place[1]
    assert next_ms(*place, planned, planned) == planned + place[1]


@given(OFFSETS, TIMES, TIMES)
def test_a_clock_set_back_or_forward_never_stops_the_scraping(place: tuple[int, int], now: int, last: int) -> None:
    assert next_ms(*place, now, last) - now <= 2 * place[1]


NAMES = [f"node/192.168.{n // 250}.{n % 250}:9191" for n in range(1000)]


@pytest.mark.parametrize(("targets", "expected"), [(0, 1), (1, 1), (8, 1), (9, 2), (16, 2), (17, 4), (700, 128)])
def test_a_few_targets_share_a_place(targets: int, expected: int) -> None:
    assert places(targets) == expected


@pytest.mark.parametrize("targets", [7, 70, 200, 700, 1000])
def test_no_place_has_many_targets_and_they_are_all_over_the_interval(targets: int) -> None:
    found = Counter(offset_ms(name, 15_000, places(targets)) for name in NAMES[:targets])
    assert max(found.values()) <= 2.5 * TOGETHER
    assert len(found) >= 0.9 * places(targets)
    assert min(found) > 0
    for third in range(3):
        there = sum(count for offset, count in found.items() if 5000 * third <= offset < 5000 * (third + 1))
        assert targets < 50 or there > targets / 5


@given(st.text(max_size=20), st.integers(0, 10))
def test_twice_as_many_places_move_a_target_by_a_quarter_of_one(name: str, doublings: int) -> None:
    before, after = offset_ms(name, 2**20, 2**doublings), offset_ms(name, 2**20, 2 ** (doublings + 1))
    assert abs(after - before) == 2**20 >> (doublings + 2)


@given(OFFSETS)
def test_the_first_scrape_is_within_a_second(place: tuple[int, int]) -> None:
    assert 0 <= first_delay_ms(*place) <= 1000


def test_a_small_delay_is_no_delay() -> None:
    assert aligned_ms(10_000, 10_009, 5000) == 10_000
    assert aligned_ms(10_000, 9_999, 5000) == 10_000
    assert aligned_ms(10_000, 10_011, 5000) == 10_011
    assert aligned_ms(10_000, 10_002, 100) == 10_002
