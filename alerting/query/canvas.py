"""Lines on a grid of letters: braille dots (2 x 4 a letter) where they can be shown, a letter a place elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

# Bits of the dots of a braille letter by column and row: https://www.unicode.org/charts/PDF/U2800.pdf
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_BRAILLE = 0x2800


class Canvas:
    """``width`` x ``height`` letters. Dots are counted from the upper left corner.

    Where two series meet in a letter all dots are seen, in the colour of the one drawn later; single letters (``put``)
    are seen before all dots.
    """

    def __init__(self, width: int, height: int, *, braille: bool) -> None:
        self.width, self.height = width, height
        self.across, self.down = (2, 4) if braille else (1, 1)
        self._braille = braille
        self._masks = [[0] * width for _ in range(height)]
        self._owner: list[list[int | None]] = [[None] * width for _ in range(height)]
        self._letters: dict[tuple[int, int], str] = {}

    @property
    def dots_wide(self) -> int:
        return self.width * self.across

    @property
    def dots_high(self) -> int:
        return self.height * self.down

    def dot(self, x: int, y: int, series: int) -> None:
        column, row = x // self.across, y // self.down
        if not (0 <= column < self.width and 0 <= row < self.height):
            return
        self._owner[row][column] = series
        self._masks[row][column] |= _DOTS[x % self.across][y % self.down] if self._braille else 1

    def line(self, start: tuple[int, int], end: tuple[int, int], series: int) -> None:
        """All dots between, ends included (Bresenham's algorithm)."""
        (x, y), (x_end, y_end) = start, end
        dx, dy = abs(x_end - x), -abs(y_end - y)
        step_x, step_y = (1 if x < x_end else -1), (1 if y < y_end else -1)
        error = dx + dy
        while True:
            self.dot(x, y, series)
            if (x, y) == (x_end, y_end):
                return
            twice = 2 * error
            if twice >= dy:
                error += dy
                x += step_x
            if twice <= dx:
                error += dx
                y += step_y

    def put(self, x: int, y: int, series: int, letter: str) -> None:
        """A letter where that dot is."""
        column, row = x // self.across, y // self.down
        if 0 <= column < self.width and 0 <= row < self.height:
            self._owner[row][column] = series
            self._letters[row, column] = letter

    def rows(self, marks: Sequence[str]) -> list[list[tuple[str, int | None]]]:
        """Each row's letters, and whose they are. ``marks``: a series' letter where there is no braille."""
        found = []
        for row in range(self.height):
            letters = []
            for column in range(self.width):
                owner, mask = self._owner[row][column], self._masks[row][column]
                letter = self._letters.get((row, column))
                if letter is None:
                    letter = (
                        " " if not mask or owner is None else chr(_BRAILLE | mask) if self._braille else marks[owner]
                    )
                letters.append((letter, owner))
            found.append(letters)
        return found
