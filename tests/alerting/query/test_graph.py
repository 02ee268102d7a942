"""What is drawn is there, and what is there is drawn."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.promql.value import format_value
from alerting.query.answer import Line
from alerting.query.canvas import Canvas
from alerting.query.graph import MARKS, MOST_SERIES, graph, natural_step
from alerting.query.terminal import Terminal, cells

START, STEP = 1_700_000_000_000, 15_000
PLAIN = Terminal(width=60, height=24, colour=False, unicode=False)
UNICODE = Terminal(width=60, height=24, colour=False, unicode=True)
COLOUR = Terminal(width=60, height=24, colour=True, unicode=True)


def line(values: list[float | None], **labels: str) -> Line:
    """A value a step; None where there is none."""
    points = [(START + number * STEP, value) for number, value in enumerate(values) if value is not None]
    return Line(labels or {"__name__": "m"}, [at for at, _ in points], [format_value(value) for _, value in points])


def drawn(lines: list[Line], terminal: Terminal, steps: int) -> list[str]:
    """The rows of the plot without the axis."""
    text = graph(lines, START, START + (steps - 1) * STEP, STEP, terminal)
    side = ("┤", "│") if terminal.unicode else ("+", "|")
    rows = []
    for row in text.splitlines():
        if "└" in row or ("+-" in row and not terminal.unicode):
            break
        rows.append(next(row.split(sign, 1)[1] for sign in side if sign in row))
    return rows


def columns(rows: list[str]) -> set[int]:
    """Where anything is drawn."""
    return {column for row in rows for column, letter in enumerate(row) if letter != " "}


def test_a_gap_stays_a_gap() -> None:
    values: list[float | None] = [1.0] * 20 + [None] * 20 + [2.0] * 20
    for terminal in (PLAIN, UNICODE):
        found = columns(drawn([line(values)], terminal, 60))
        wide = max(found) + 1
        third = wide // 3
        assert found >= {*range(third - 1), *range(wide - third + 1, wide)}
        assert not found & set(range(third + 2, wide - third - 2))


def test_nan_is_a_gap_and_infinity_a_mark_at_the_edge() -> None:
    nothing = [math.nan] * 10
    values: list[float | None] = [*[1.0] * 10, *nothing, math.inf, *nothing, -math.inf, 3.0, 3.0]
    rows = drawn([line(values)], UNICODE, len(values))
    assert "▲" in rows[0]
    assert "▼" in rows[-1]
    assert sum(row.count("▲") + row.count("▼") for row in rows) == 2
    found = columns(rows)
    middle = rows[0].index("▲")
    assert not found & set(range(middle - 10, middle))
    plain = drawn([line(values)], PLAIN, len(values))
    assert ("^" in plain[0], "v" in plain[-1]) == (True, True)


def test_a_single_value_is_a_point() -> None:
    rows = drawn([line([None, 5.0, None])], UNICODE, 3)
    assert [letter for row in rows for letter in row if letter != " "] == ["•"]
    rows = drawn([line([7.0])], UNICODE, 1)
    assert [letter for row in rows for letter in row if letter != " "] == ["•"]
    text = graph([line([math.nan, math.nan])], START, START + STEP, STEP, UNICODE)
    assert "min NaN  max NaN  last NaN" in text


def test_raw_samples_are_joined_over_their_usual_distance() -> None:
    times = [START + at * 5000 for at in (*range(10), *range(40, 50))]
    text = graph([Line({"__name__": "m"}, times, ["1"] * 20)], START, START + 250_000, None, PLAIN)
    (row,) = [row for row in text.splitlines() if "*****" in row]
    assert "    " in row.split("*", 1)[1].rsplit("*", 1)[0]
    assert "a value each" not in text


def test_series_are_told_apart_without_colours() -> None:
    lines = [line([float(n)] * 10, job="x", n=str(n)) for n in range(3)]
    text = graph(lines, START, START + 9 * STEP, STEP, UNICODE)
    assert "\x1b" not in text
    assert '{job="x"}\n' in text
    for number in range(3):
        assert f'\n{MARKS[number]} {{n="{number}"}}  min {number}  max {number}  last {number}\n' in text
        assert any(MARKS[number] * 10 in row for row in text.splitlines())


def test_with_colours_each_series_has_its_own() -> None:
    lines = [line([float(n)] * 10, n=str(n)) for n in range(2)]
    text = graph(lines, START, START + 9 * STEP, STEP, COLOUR)
    assert text.count("\x1b[38;5;33m") == 2  # its row and its legend
    assert text.count("\x1b[38;5;208m") == 2


def test_too_many_series_are_told() -> None:
    lines = [line([1.0], n=str(n)) for n in range(MOST_SERIES + 5)]
    assert "and 5 more series, not drawn" in graph(lines, START, START + STEP, STEP, PLAIN)


def test_labels_cannot_steer_the_terminal() -> None:
    text = graph([line([1.0, 2.0], evil="\x1b[2J\r\n")], START, START + STEP, STEP, UNICODE)
    assert "\x1b" not in text
    assert "\\x1b[2J\\r\\n" in text


VALUE = st.one_of(st.none(), st.floats(width=64))


@given(
    st.lists(st.lists(VALUE, min_size=1, max_size=30), min_size=1, max_size=4),
    st.integers(10, 200),
    st.integers(5, 60),
    st.booleans(),
)
@settings(deadline=None)
def test_anything_can_be_drawn_within_the_width(
    series: list[list[float | None]], width: int, height: int, unicode: bool
) -> None:
    lines = [line(values, n=str(number)) for number, values in enumerate(series) if any(v is not None for v in values)]
    terminal = Terminal(width, height, colour=False, unicode=unicode)
    text = graph(lines, START, START + 29 * STEP, STEP, terminal)
    text.encode("utf-8" if unicode else "ascii")
    for row in text.splitlines()[:6]:
        assert cells(row) <= max(width, 60)


@given(st.lists(st.integers(-100_000, 100_000).map(lambda cents: cents / 100), min_size=2, max_size=40))
@settings(deadline=None)
def test_a_value_lies_where_the_axis_says(values: list[float]) -> None:
    """Every value of a single series has a dot within half a row of its height."""
    terminal = Terminal(100, 30, colour=False, unicode=False)
    text = graph([line(list(values))], START, START + (len(values) - 1) * STEP, STEP, terminal)
    rows = drawn([line(list(values))], terminal, len(values))
    ticks = {}
    for number, row in enumerate(text.splitlines()[: len(rows)]):
        head = row.split("*")[0].split("+")[0].strip().replace("u", "µ")
        if head and "|" not in head:
            scale = {"k": 1e3, "m": 1e-3, "µ": 1e-6, "n": 1e-9, "M": 1e6}.get(head[-1], 1.0)
            ticks[number] = float(head.rstrip("kmµnM")) * scale if head.rstrip("kmµnM") else 0.0
    top, bottom = ticks[0], ticks[len(rows) - 1]
    a_row = (top - bottom) / (len(rows) - 1)
    highest = next(number for number, row in enumerate(rows) if "*" in row)
    lowest = max(number for number, row in enumerate(rows) if "*" in row)
    slack = 0.51 * a_row + 1e-3 * max(abs(top), abs(bottom))
    assert abs(top - highest * a_row - max(values)) <= slack
    assert abs(top - lowest * a_row - min(values)) <= slack


def test_steps_suit_the_width() -> None:
    assert natural_step(0, 3_600_000, PLAIN) == 60_000
    assert natural_step(0, 0, PLAIN) == 1000


def test_numbers_at_the_ends_of_what_a_float_holds_are_drawn() -> None:
    for values in ([0.0, 5e-324], [1.7e308, -1.7e308], [1e300, 1e300], [1e16, 1e16 + 2]):
        assert "*" in "".join(drawn([line(list(values))], PLAIN, len(values)))


def test_a_canvas_keeps_to_its_size_and_where_series_meet_no_dot_is_lost() -> None:
    canvas = Canvas(3, 2, braille=True)
    canvas.line((-5, -5), (20, 20), 0)
    canvas.dot(1, 0, 1)
    canvas.put(99, 99, 1, "x")
    rows = canvas.rows("ab")
    assert [len(row) for row in rows] == [3, 3]
    assert rows[0][0] == ("⠙", 1)
