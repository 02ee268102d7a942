"""The flow keeps its promises for any tiles."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.layout import COLUMNS, flow


@dataclass(frozen=True, slots=True)
class Box:
    width: int
    height: int


boxes = st.lists(st.builds(Box, st.integers(1, COLUMNS), st.integers(1, 12)), max_size=30)


@given(boxes, st.integers(0, 50))
def test_whole_lines_without_overlap_in_order(tiles: list[Box], top: int) -> None:
    places, bottom = flow(tiles, top)
    assert [place.tile for place in places] == tiles
    lines: dict[int, int] = {}
    for place in places:
        assert place.width >= place.tile.width
        assert place.height >= place.tile.height
        assert top <= place.y < place.y + place.height <= bottom
        lines[place.y] = lines.get(place.y, 0) + place.width
    assert set(lines.values()) <= {COLUMNS}
    for one, other in combinations(places, 2):
        assert one.x + one.width <= other.x or other.x + other.width <= one.x or one.y != other.y
        assert (one.y, one.x) < (other.y, other.x)
    assert bottom == max((place.y + place.height for place in places), default=top)


def test_leftover_goes_to_each_by_its_width() -> None:
    places, _ = flow([Box(6, 4), Box(6, 4), Box(4, 3)])
    assert [(place.x, place.width, place.height) for place in places] == [(0, 9, 4), (9, 9, 4), (18, 6, 4)]


def test_too_wide_is_refused() -> None:
    with pytest.raises(ValueError, match="1 to 24"):
        flow([Box(25, 4)])
