"""Series put together whose samples have the same times: what a block is made of.

Series that come without their source (a file of samples) are sorted into rectangles of times x series. Those of one
scrape share all times, or nearly all: a series that began late or missed some fits in with holes, which cost next to
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alerting.model.series import ABSENT, FloatArray, IntArray, SeriesData

COMPARED = 16  # rectangles tried for each set of times, the longest first
MOST_ROWS = 16_384
MOST_CELLS = 1 << 21  # 16 MiB


@dataclass(slots=True)
class Rectangle:
    """``members`` are places in the list of series; ``times`` ascend and hold all of theirs."""

    times: IntArray
    members: list[int]
    room: int
    """So many rows more may come in."""


def rectangles(runs: Sequence[SeriesData]) -> list[Rectangle]:
    """All of ``runs``, each in one rectangle."""
    same: dict[bytes, list[int]] = {}
    for place, run in enumerate(runs):
        same.setdefault(run.times.tobytes(), []).append(place)
    groups = [(runs[members[0]].times, members) for members in same.values()]
    groups.sort(key=lambda group: (-len(group[0]), -len(group[1])))
    found: list[Rectangle] = []
    for times, members in groups:
        for rectangle in found[:COMPARED]:
            if _take(rectangle, times, members):
                break
        else:
            found.append(Rectangle(times, list(members), len(times) // 4))
    return found


def _take(rectangle: Rectangle, times: IntArray, members: list[int]) -> bool:
    extra = times[~np.isin(times, rectangle.times, assume_unique=True)]
    if len(extra) > rectangle.room or len(extra) * 4 > len(times):
        return False
    if len(extra):
        rectangle.times = np.union1d(rectangle.times, extra)
        rectangle.room -= len(extra)
    rectangle.members += members
    return True


def tables(rectangle: Rectangle, runs: Sequence[SeriesData]) -> list[tuple[list[int], IntArray, FloatArray]]:
    """(members, times, members x times with ``ABSENT`` for no sample), in pieces of a bounded size."""
    pieces = []
    for low in range(0, len(rectangle.times), MOST_ROWS):
        times = rectangle.times[low : low + MOST_ROWS]
        width = max(MOST_CELLS // len(times), 1)
        for first in range(0, len(rectangle.members), width):
            members = rectangle.members[first : first + width]
            values = np.full((len(members), len(times)), ABSENT)
            for row, place in enumerate(members):
                run = runs[place]
                inside = slice(int(run.times.searchsorted(times[0])), int(run.times.searchsorted(times[-1], "right")))
                values[row, times.searchsorted(run.times[inside])] = run.values[inside]
            pieces.append((members, times, values))
    return pieces
