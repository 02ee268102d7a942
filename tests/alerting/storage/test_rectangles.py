"""Series are put together by their times, and nothing of them is lost."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.model.labels import Labels
from alerting.model.series import ABSENT_BITS, SeriesData
from alerting.storage import rectangles as module
from alerting.storage.rectangles import rectangles, tables


def run(times: list[int]) -> SeriesData:
    return SeriesData(Labels(), np.array(times, np.int64), np.array(times, np.float64))


def test_series_of_one_scrape_share_a_rectangle_and_those_of_another_do_not() -> None:
    one, other = list(range(0, 1000, 10)), list(range(5, 1000, 10))
    found = rectangles([run(one), run(other), run(one), run(one[:40]), run(other[60:])])
    assert [sorted(rectangle.members) for rectangle in found] == [[0, 2, 3], [1, 4]]


def test_a_few_times_of_its_own_do_not_part_a_series_from_the_others() -> None:
    one = list(range(0, 1000, 10))
    (found,) = rectangles([run(one), run([*one[:50], 1001])])
    assert found.members == [0, 1]
    assert len(found.times) == len(one) + 1


TIMES = st.sets(st.integers(0, 60), min_size=1).map(sorted)


@given(st.lists(TIMES, min_size=1, max_size=8), st.sampled_from([3, 16_384]), st.sampled_from([8, 1 << 21]))
@settings(deadline=None)
def test_every_sample_is_in_exactly_one_table(times: list[list[int]], most_rows: int, most_cells: int) -> None:
    runs = [run(one) for one in times]
    seen: list[list[int]] = [[] for _ in runs]
    before = module.MOST_ROWS, module.MOST_CELLS
    module.MOST_ROWS, module.MOST_CELLS = most_rows, most_cells
    try:
        for rectangle in rectangles(runs):
            for members, rows, values in tables(rectangle, runs):
                assert len(rows) <= most_rows
                for member, column in zip(members, values, strict=True):
                    here = column.view(np.int64) != ABSENT_BITS
                    assert column[here].tolist() == rows[here].tolist()
                    seen[member] += rows[here].tolist()
    finally:
        module.MOST_ROWS, module.MOST_CELLS = before
    assert seen == times
