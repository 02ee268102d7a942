"""Text with timestamps, good and bad."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.model.labels import Labels
from alerting.model.series import STALE_BITS
from alerting.transfer.lines import SHOWN, LineReader, Tally
from alerting.transfer.openmetrics import series_text


def read(text: str, max_series: int = 100) -> tuple[list[tuple[str, int, float]], Tally]:
    tally = Tally()
    reader = LineReader(max_series, tally)
    reader.read(text.encode().split(b"\n"))
    chunk = reader.take()
    rows = zip(chunk.series.tolist(), chunk.times.tolist(), chunk.values.tolist(), strict=True)
    return [(str(reader.series[series]), at, value) for series, at, value in rows], tally


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("up 1 1700000000", ("up", 1_700_000_000_000, 1.0)),
        ("up 1 1700000000.123", ("up", 1_700_000_000_123, 1.0)),
        ("up 1 1700000000.1230005", ("up", 1_700_000_000_123, 1.0)),
        ("up 1e3 1.7e9", ("up", 1_700_000_000_000, 1000.0)),
        ("up 1 -5", ("up", -5000, 1.0)),
        ('up{a="b c",d="# {"} -0.5 0', ('up{a="b c", d="# {"}', 0, -0.5)),
        ('up{a="x\\"\\\\\\ny"} +Inf 1', ('up{a="x\\"\\\\\\ny"}', 1000, math.inf)),
        ('lat_bucket{le="1"} 5 12.5 # {trace="a b"} 0.7 12.4', ('lat_bucket{le="1"}', 12_500, 5.0)),
        ('{__name__="up", a="b"} 3 1700000000123', ('up{a="b"}', 1_700_000_000_123, 3.0)),
        ('{A="x", __name__="up", b="c"} 3 5', ('up{A="x", b="c"}', 5, 3.0)),
        ('{__name__="up"} 3 5', ("up", 5, 3.0)),
        ("up 1 5\r", ("up", 5000, 1.0)),
    ],
)
def test_a_line_says_series_time_and_value(line: str, wanted: tuple[str, int, float]) -> None:
    for text in (line, f"{line}\n{line}"):  # the second time it is known
        rows, tally = read(text)
        assert rows == [wanted] * len(rows)
        assert len(rows) == text.count("\n") + 1
        assert tally.bad == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("up 1", "expected a timestamp after the value"),
        ('up{a="1 2"} 5', "expected a timestamp after the value"),
        ('lat_bucket{le="1"} 5 # {trace="a"} 0.7', "expected a timestamp after the value"),
        ("up one 5", "is not a number"),
        ("up 1 yesterday", "is not a number"),
        ("up 1_0 5", "is not a number"),
        ("up 1 1_0", "is not a number"),
        ("up{a=b} 1 5", "expected labels"),
        ("9up 1 5", "expected a metric name"),
        ("up {count:1,sum:2,schema:3} 5", "native histogram"),
        ('up{a="b"} {count:1,sum:2,schema:3} 5', "native histogram"),
        ('{a="b"} 1 5', "expected a metric name"),
        ('{"up.dotted"a="b"} 1 5', "expected a metric name"),
    ],
)
def test_a_bad_line_is_told_with_its_number_and_the_others_count(line: str, said: str) -> None:
    rows, tally = read(f"up 1 4\n{line}\nup 1 6\n{line}")
    assert [at for _, at, _ in rows] == [4000, 6000]
    assert tally.bad == 2
    assert tally.bad_lines[0].startswith("line 2: ")
    assert tally.bad_lines[1].startswith("line 4: ")
    assert said in tally.bad_lines[0]


def test_comments_are_passed_over_and_the_end_is_noticed() -> None:
    rows, tally = read("# TYPE up gauge\n# HELP up tierwatch: something\n\nup 1 1\n# UNIT up seconds")
    assert (len(rows), tally.bad, tally.eof) == (1, 0, False)
    assert read("up 1 1\n# EOF\n")[1].eof
    assert read('{__name__="up"} 3 5\n')[1].eof  # a dump has none


def test_the_end_of_a_series_comes_back() -> None:
    tally = Tally()
    reader = LineReader(10, tally)
    reader.read([b'# HELP up tierwatch: ended up{a="b c"} 12.5', b"# HELP up tierwatch: ended up{a} 12.5"])
    chunk = reader.take()
    assert reader.series == [Labels.of({"__name__": "up", "a": "b c"})]
    assert chunk.times.tolist() == [12_500]
    assert chunk.values.view("int64").tolist() == [STALE_BITS]
    assert tally.bad == 1


def test_exemplars_bad_lines_and_series_are_counted_and_bounded() -> None:
    lines = [f'a_bucket{{le="{n}"}} 1 5 # {{t="1"}} 1' for n in range(5)] + ["?"] * 50
    rows, tally = read("\n".join(lines), max_series=3)
    assert len(rows) == 3
    assert tally.exemplars == 3
    assert tally.skipped == {"more than 3 series": 2}
    assert (tally.bad, len(tally.bad_lines)) == (50, SHOWN)


def test_names_in_quotes_are_in_seconds_and_those_of_a_dump_in_milliseconds() -> None:
    tally = Tally()
    reader = LineReader(10, tally)
    odd = '"my \\"name\\" é"'
    lines = [f'{{{odd},"l.x"="1"}} 1 5', f'{{{odd},"l.x"="1"}} 2 6.5', f'{{__name__={odd}, "l.x"="1"}} 3 7000']
    reader.read([line.encode() for line in [*lines, *lines[2:]]])
    chunk = reader.take()
    assert reader.series == [Labels.of({"__name__": 'my "name" é', "l.x": "1"})]
    assert chunk.times.tolist() == [5000, 6500, 7000, 7000]
    reader.read([f"# HELP {odd} tierwatch: ended {{{odd}}} 12.5".encode()])
    assert reader.take().times.tolist() == [12_500]
    assert tally.bad == 0


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
LABELS = st.dictionaries(TEXT.filter(lambda name: name != "__name__"), TEXT, max_size=3)


@given(TEXT, LABELS)
def test_whatever_an_export_writes_is_read_again(name: str, labels: dict[str, str]) -> None:
    series = Labels.of({**labels, "__name__": name})
    line = series_text(series).encode()
    tally = Tally()
    reader = LineReader(10, tally)
    reader.read([line + b" 1 5"])
    assert tally.bad_lines == []
    assert reader.series == [series]
