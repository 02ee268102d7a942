"""Where panels stand: a flow from left to right on Grafana's grid of 24 columns. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

COLUMNS = 24
HEADER = 1  # the height of a row's title


class Sized(Protocol):
    """Wanted size in grid units; a unit of height is 38 pixels."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...


T = TypeVar("T", bound=Sized)


@dataclass(frozen=True, slots=True)
class Place(Generic[T]):
    """A tile and its rectangle."""

    tile: T
    x: int
    y: int
    width: int
    height: int


def flow(tiles: Sequence[T], top: int = 0) -> tuple[list[Place[T]], int]:
    """Places in order, and the first free line below. A line is full when the next tile does not fit; then its tiles
    take the columns left over between them, and all the height of the highest, so that lines are whole."""
    places: list[Place[T]] = []
    y = top
    for line in _lines(tiles):
        height = max(tile.height for tile in line)
        x = 0
        for tile, width in zip(line, _widths([tile.width for tile in line]), strict=True):
            places.append(Place(tile, x, y, width, height))
            x += width
        y += height
    return places, y


def _lines(tiles: Sequence[T]) -> Iterator[list[T]]:
    line: list[T] = []
    used = 0
    for tile in tiles:
        if not 1 <= tile.width <= COLUMNS:
            raise ValueError(f"a tile is 1 to {COLUMNS} columns wide, not {tile.width}")
        if line and used + tile.width > COLUMNS:
            yield line
            line, used = [], 0
        line.append(tile)
        used += tile.width
    if line:
        yield line


def _widths(wanted: Sequence[int]) -> list[int]:
    """The leftover columns go to each in proportion to its width; the last ones to the first tiles."""
    spare = COLUMNS - sum(wanted)
    used = sum(wanted)
    widths = [width + spare * width // used for width in wanted]
    for index in range(COLUMNS - sum(widths)):
        widths[index % len(widths)] += 1
    return widths
