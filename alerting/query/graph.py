"""A range of values drawn in the terminal.

What is drawn is there: a line only joins a value with the one a step later, so a gap stays a gap, as does NaN; a value
without neighbours is a dot; infinity is a mark at the edge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from alerting.query.answer import Line
from alerting.query.axes import ValueAxis, round_step, short, time_ticks
from alerting.query.canvas import Canvas
from alerting.query.table import local_time, shared, title
from alerting.query.terminal import Terminal, cells, cut, padded
from config.units import format_duration

MOST_SERIES = 20
MARKS = "*+xo#@%&=~abcdefghij"
_LABEL_ROOM = 12  # what the value axis takes at most, about
_SMALLEST, _HIGHEST = 20, 20


@dataclass(frozen=True, slots=True)
class Signs:
    """The letters of axes and single points."""

    tick: str
    side: str
    corner: str
    floor: str
    mark: str
    point: str
    up: str
    down: str
    dash: str


_UNICODE = Signs("┤", "│", "└", "─", "┬", "•", "▲", "▼", "–")
_ASCII = Signs("+", "|", "+", "-", "+", "o", "^", "v", "-")


def natural_step(start_ms: int, end_ms: int, terminal: Terminal) -> int:
    """A round step, in milliseconds, that gives a graph of this width about a value a dot."""
    dots = max(terminal.width - _LABEL_ROOM, _SMALLEST) * 2
    return round_step(max((end_ms - start_ms) / dots, 1000))


def graph(lines: Sequence[Line], start_ms: int, end_ms: int, step_ms: int | None, terminal: Terminal) -> str:
    """Lines of text. ``step_ms`` None: raw samples, joined up to twice their usual distance."""
    drawn = lines[:MOST_SERIES]
    plot = _Plot(drawn, (start_ms, end_ms), step_ms, terminal)
    for number, line in reversed(list(enumerate(drawn))):  # the first is seen best
        plot.draw(number, line)
    rows = [*plot.rows(), *plot.floor(), *_legend(lines, drawn, terminal, braille=plot.braille)]
    text = "\n".join(row.rstrip() for row in rows) + "\n"
    return text if terminal.unicode else text.replace("µ", "u")


class _Plot:
    """The canvas between its axes."""

    def __init__(self, lines: Sequence[Line], window: tuple[int, int], step_ms: int | None, terminal: Terminal) -> None:
        self._start_ms, self._end_ms = window
        self._step_ms = step_ms
        self._terminal = terminal
        self._signs = _UNICODE if terminal.unicode else _ASCII
        # Without colours, lines of dots cannot be told apart: then each series has a letter.
        self.braille = terminal.unicode and (terminal.colour or len(lines) == 1)
        height = max(min(_HIGHEST, terminal.height - 6 - min(len(lines), 8)), 6)
        finite = [value for line in lines for value in line.values if math.isfinite(value)]
        ticks = max(height // 3, 2)
        self._axis = ValueAxis.around(min(finite), max(finite), ticks) if finite else ValueAxis(0.0, 1.0, 1)
        self._labels = self._axis.labels()
        self._margin = max(map(cells, self._labels))
        self._canvas = Canvas(max(terminal.width - self._margin - 2, _SMALLEST), height, braille=self.braille)

    def draw(self, number: int, line: Line) -> None:
        reach = self._step_ms * 1.5 if self._step_ms is not None else _usual_distance(line.times) * 2
        points = [(at, value) for at, value in zip(line.times, line.values, strict=True) if not math.isnan(value)]
        for index, (at, value) in enumerate(points):
            if math.isinf(value):
                edge, sign = (self._axis.high, self._signs.up) if value > 0 else (self._axis.low, self._signs.down)
                self._canvas.put(*self._place(at, edge), number, sign)
                continue
            alone = True
            for other_at, other in points[max(index - 1, 0) : index] + points[index + 1 : index + 2]:
                if math.isfinite(other) and abs(at - other_at) <= reach:
                    alone = False
                    if other_at < at:
                        self._canvas.line(self._place(other_at, other), self._place(at, value), number)
            if alone:
                self._canvas.put(*self._place(at, value), number, self._signs.point if self.braille else MARKS[number])

    def rows(self) -> list[str]:
        """The canvas behind the value axis."""
        count = len(self._labels) - 1
        at_row = {}
        for number, label in enumerate(self._labels):
            share = number / count if count else 0.0
            at_row[round((1 - share) * (self._canvas.dots_high - 1)) // self._canvas.down] = label
        rows = []
        for row, letters in enumerate(self._canvas.rows(MARKS)):
            label = at_row.get(row, "")
            side = self._terminal.dim(self._signs.tick if label else self._signs.side)
            rows.append(f"{padded(label, self._margin, right=True)} {side}{_painted(letters, self._terminal)}")
        return rows

    def floor(self) -> list[str]:
        """The time axis, its texts, and what time it is all about."""
        width, indent = self._canvas.width, self._margin + 2
        line = [self._signs.floor] * width
        texts = [" "] * (width + indent)
        free_from = 0
        for at, text in time_ticks(self._start_ms, self._end_ms, max(width // 10, 1)):
            column = self._place(at, self._axis.low)[0] // self._canvas.across
            line[column] = self._signs.mark
            low = min(max(column + indent - len(text) // 2, 0), len(texts) - len(text))
            if low >= free_from:
                texts[low : low + len(text)] = text
                free_from = low + len(text) + 2
        span = f"{local_time(self._start_ms)} {self._signs.dash} {local_time(self._end_ms)}"
        step = "" if self._step_ms is None else f", a value each {format_duration(self._step_ms / 1000)}"
        dim = self._terminal.dim
        return [
            " " * (self._margin + 1) + dim(self._signs.corner + "".join(line)),
            "".join(texts),
            " " * indent + dim(span + step),
        ]

    def _place(self, at: int, value: float) -> tuple[int, int]:
        """The dot of a value; halves, because the distance of the bounds may be beyond a float."""
        low, high = self._axis.low / 2, self._axis.high / 2
        share = (value / 2 - low) / ((high - low) or 1.0)
        wide = self._canvas.dots_wide - 1
        span = self._end_ms - self._start_ms
        across = (at - self._start_ms) / span * wide if span else wide / 2
        return round(across), round((1 - share) * (self._canvas.dots_high - 1))


def _usual_distance(times: Sequence[int]) -> int:
    steps = sorted(after - before for before, after in pairwise(times))
    return steps[len(steps) // 2] if steps else 0


def _painted(letters: Sequence[tuple[str, int | None]], terminal: Terminal) -> str:
    """Neighbours of one series in one colour sequence."""
    parts = []
    for owner, run in groupby(letters, key=lambda letter: letter[1]):
        text = "".join(letter for letter, _ in run)
        parts.append(text if owner is None else terminal.paint(text, owner))
    return "".join(parts)


def _legend(lines: Sequence[Line], drawn: Sequence[Line], terminal: Terminal, *, braille: bool) -> list[str]:
    common = shared(lines)
    rows = [""]
    if common:
        rows += [cut(title(common), terminal.width, unicode=terminal.unicode)]
    names = []
    for line in drawn:
        own = {name: value for name, value in line.labels.items() if name not in common}
        names.append(title(own) if own or not common else "{}")
    figures = [_figures(line) for line in drawn]
    widths = [max((len(row[column]) for row in figures), default=0) for column in range(3)]
    values = [
        "  ".join(
            f"{terminal.dim(word)} {text:>{width}}"
            for word, text, width in zip(("min", "max", "last"), row, widths, strict=True)
        )
        for row in figures
    ]
    marks = [terminal.paint("━━", number) if braille else MARKS[number] for number in range(len(drawn))]
    wide = max(map(cells, names), default=0)
    beside = wide + sum(widths) + len("━━     min   max   last ") <= terminal.width
    indent = " " * (3 if braille else 2)
    for mark, name, text in zip(marks, names, values, strict=True):
        if beside:
            rows.append(f"{mark} {padded(name, wide)}  {text}")
        else:
            rows += [f"{mark} {cut(name, terminal.width - 3, unicode=terminal.unicode)}", f"{indent}{text}"]
    if len(lines) > len(drawn):
        rows.append(
            f"and {len(lines) - len(drawn)} more series, not drawn: narrow the query, topk(5, ...) for instance"
        )
    return rows


def _figures(line: Line) -> tuple[str, str, str]:
    known = [value for value in line.values if not math.isnan(value)]
    if not known:
        return "NaN", "NaN", "NaN"
    return short(min(known)), short(max(known)), short(line.values[-1])
