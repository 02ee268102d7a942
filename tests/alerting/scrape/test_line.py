"""The careful parser, case by case; values against Go's rules."""

from __future__ import annotations

import math
import time

import pytest

from alerting.scrape.line import Metadata, PageError, parse_metadata, parse_sample, parse_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"1", 1.0),
        (b"-1.5e-3", -0.0015),
        (b"+2", 2.0),
        (b".5", 0.5),
        (b"5.", 5.0),
        (b"1E+06", 1e6),
        (b"+Inf", math.inf),
        (b"-inf", -math.inf),
        (b"Infinity", math.inf),
        (b"1e-999", 0.0),
        (b"9007199254740993", 9007199254740992.0),
    ],
)
def test_values_go_accepts(text: bytes, value: float) -> None:
    assert parse_value(text) == value


@pytest.mark.parametrize("text", [b"NaN", b"nan", b"NAN"])
def test_nan(text: bytes) -> None:
    assert math.isnan(parse_value(text))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"0x1p-2",
        b"0x10",
        b"1_000",
        b"1e999",
        b"+nan",
        b"-NaN",
        b"1 ",
        b"1\r",
        b"1e",
        b".",
        b"one",
        b"1,5",
        b"\xc2\xb2",
    ],
)
def test_values_go_refuses(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a number|out of range"):
        parse_value(text)


@pytest.mark.parametrize(
    ("line", "pairs", "value"),
    [
        (b"up 1", {}, 1.0),
        (b"  up\t \t1  ", {}, 1.0),
        (b"up{} 1", {}, 1.0),
        (b'up {a="1"} 2', {"a": "1"}, 2.0),
        (b'up{a="1",} 2', {"a": "1"}, 2.0),
        (b'up{ a = "1" , b="2"}3', {"a": "1", "b": "2"}, 3.0),
        (b'up{a="} 1"} 4', {"a": "} 1"}, 4.0),
        (b'up{a="x\\"y\\\\z\\n\\t"} 5', {"a": 'x"y\\z\n\\t'}, 5.0),
        (b'up{a="caf\xc3\xa9"} 6', {"a": "caf\u00e9"}, 6.0),
        (b"up 7 1700000000000", {}, 7.0),
        (b"up 8 1700000000.123", {}, 8.0),
        (b'up_total 9 # {trace_id="x"} 0.5 1700000000', {}, 9.0),
        (b"job:up:sum 10", {}, 10.0),
    ],
)
def test_sample_lines(line: bytes, pairs: dict[str, str], value: float) -> None:
    sample = parse_sample(line, 1, 4096)
    name, *labels = sample.pairs
    assert name[0] == "__name__"
    assert dict(labels) == pairs
    assert sample.value == value


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"<!DOCTYPE html>", 'line 3: expected a metric name, got "<!DOCTYPE html>"'),
        (b"up", 'line 3: expected a value and nothing after it, got "up"'),
        (b"up-1 2", 'line 3: expected labels or a value after the name, got "up-1 2"'),
        (b"up one", 'line 3: the value "one" is not a number'),
        (b"up 1e999", 'line 3: the value "1e999" is too large for a float64'),
        (b"up 1 2 3", 'line 3: expected a value and nothing after it, got "up 1 2 3"'),
        (b"up 1 soon", 'line 3: the timestamp "soon" is not a number'),
        (b'up{a="1" 2', 'line 3: expected labels or a value after the name, got "up{a="1" 2"'),
        (b'up{a="1"b="2"} 2', 'line 3: expected labels as name="value", got "up{a="1"b="2"} 2"'),
        (b"up{a=1} 2", 'line 3: expected labels as name="value", got "up{a=1} 2"'),
        (b'up{a="1",,} 2', 'line 3: expected labels as name="value", got "up{a="1",,} 2"'),
        (b'up{a="1",a="2"} 2', 'line 3: a label name is given twice: "up{a="1",a="2"} 2"'),
        (b'up{__name__="x"} 2', 'line 3: a label name is given twice: "up{__name__="x"} 2"'),
        (b'up{a="\xff"} 2', 'line 3: a label value is not UTF-8: "up{a="\\xff"} 2"'),
        (b"up 1\r", 'line 3: the value "1\\r" is not a number'),
        (b'{a="b"} 1', 'line 3: expected a metric name, got "{a="b"} 1"'),
        (b'{"a"="b"} 1', 'line 3: expected a metric name, got "{"a"="b"} 1"'),
        (b'{""} 1', 'line 3: expected a metric name, got "{""} 1"'),
        (b'up{"a.b"} 1', 'line 3: expected labels as name="value", got "up{"a.b"} 1"'),
        (b'{"a.b" c="d"} 1', 'line 3: expected a metric name, got "{"a.b" c="d"} 1"'),
        (b'{"a.b","c.d"} 1', 'line 3: expected labels as name="value", got "{"a.b","c.d"} 1"'),
        (b'up{""="x"} 1', 'line 3: a label has no name: "up{""="x"} 1"'),
        (b'{"up","__name__"="x"} 1', 'line 3: a label name is given twice: "{"up","__name__"="x"} 1"'),
        (b'up{"a"="1",a="2"} 1', 'line 3: a label name is given twice: "up{"a"="1",a="2"} 1"'),
        (b'{"up" 1', 'line 3: expected a metric name, got "{"up" 1"'),
    ],
)
def test_bad_lines_are_named(line: bytes, message: str) -> None:
    with pytest.raises(PageError) as caught:
        parse_sample(line, 3, 4096)
    assert str(caught.value) == message


def test_the_length_of_a_series_is_limited() -> None:
    line = b'up{a="' + b"x" * 100 + b'"} 1'
    assert parse_sample(line, 1, 108).value == 1
    with pytest.raises(PageError, match=r"line 1: name and labels take 108 bytes, limits.label_bytes allows 107"):
        parse_sample(line, 1, 107)


@pytest.mark.parametrize(
    "line",
    [
        b"up{" + b'a="' * 300_000,
        b"up{" + b"\\" * 900_000,
        b"up" + b" " * 900_000 + b"x",
        b'up{a="' + b'",b="' * 200_000,
    ],
)
def test_a_hostile_line_takes_no_time(line: bytes) -> None:
    started = time.thread_time()
    with pytest.raises(PageError):
        parse_sample(line, 1, 4096)
    assert time.thread_time() - started < 2  # a few hundredths are enough


def test_metadata_tolerates_what_pages_in_the_field_do() -> None:
    comments = [
        b"# HELP a_total First.",
        b"# TYPE a_total gauge",
        b"# TYPE a_total counter",
        b"# HELP b Two\\nlines and a \\\\.",
        b"# UNIT b seconds",
        b"# TYPE c zorg",
        b"# TYPE d untyped",
        b"# HELP e",
        b"# EOF",
        b"# a remark",
        b"#",
        b"#TYPE f gauge",
        b"# HELP g \xff",
    ]
    assert parse_metadata(comments) == {
        "a_total": Metadata("counter", "First."),
        "b": Metadata("unknown", "Two\nlines and a \\.", "seconds"),
        "c": Metadata("unknown"),
        "d": Metadata("unknown"),
        "e": Metadata("unknown", ""),
        "g": Metadata("unknown", "\ufffd"),
    }


@pytest.mark.parametrize(
    ("line", "pairs"),
    [
        ('{"a.b"} 1', {"__name__": "a.b"}),
        (' { "a.b" , c="d", } 1', {"__name__": "a.b", "c": "d"}),
        ('{"é \\"}{ \\\\","l.x"="y"} 1', {"__name__": 'é "}{ \\', "l.x": "y"}),
        ('up{"l x"="}",b="c"} 1', {"__name__": "up", "l x": "}", "b": "c"}),
        ('{"up"} 1', {"__name__": "up"}),
    ],
)
def test_names_in_quotes(line: str, pairs: dict[str, str]) -> None:
    found = parse_sample(line.encode(), 3, 100)
    assert dict(found.pairs) == pairs
    assert found.pairs[0][0] == "__name__"
    assert (found.value, found.plain, found.head) == (1.0, True, line.encode()[:-2])
