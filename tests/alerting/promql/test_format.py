from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.promql.format import format_duration, format_expr
from alerting.promql.lex import duration_ms
from alerting.promql.parse import parse
from alerting.promql.pretty import pretty
from tests.alerting.promql.queries import vectors


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x[1500ms:]", "x[1s500ms:]"),
        ("x[90m]offset -1ms", "x[1h30m] offset -1ms"),
        ("SUM(x)BY(a)", "sum by (a) (x)"),
        ("a-(b-c)", "a - (b - c)"),
        ("(a+b)*c", "(a + b) * c"),
        ("-x^2", "-x ^ 2"),
        ("2^-1", "2 ^ -1"),
        ("2^-x*-y^z", "2 ^ -x * -y ^ z"),
        ("(-x)^2", "(-x) ^ 2"),
        ("a>bool on(x)group_left(y)b", "a > bool on (x) group_left (y) b"),
        ('{"odd name",b="c"}', '{__name__="odd name",b="c"}'),
        ('x{a="q\\"\\\\\\n"}', 'x{a="q\\"\\\\\\n"}'),
        ("x @ -1.5 offset 1d", "x @ -1.500 offset 1d"),
        ("topk(3,x)", "topk(3, x)"),
        ("1e-7", "0.0000001"),
    ],
)
def test_text(text: str, expected: str) -> None:
    assert format_expr(parse(text)) == expected
    assert parse(expected) == parse(text)


@settings(max_examples=200, deadline=None)
@given(vectors())
def test_the_text_reads_back_as_the_same_tree(text: str) -> None:
    expr = parse(text)
    assert repr(parse(format_expr(expr))) == repr(expr)  # NaN is not equal to itself


@settings(deadline=None)
@given(st.integers(min_value=1, max_value=10**13))
def test_durations_read_back(milliseconds: int) -> None:
    assert duration_ms(format_duration(milliseconds)) == milliseconds


LONG = (
    'sum by (instance) (rate(node_cpu_seconds_total{instance=~"a|b", mode!="idle"}[5m:30s] offset 1m)) / on (instance) '
    "group_left () topk without (cpu) (3, -clamp_max(max_over_time(node_load1[1h]), 4)) > bool (1 + 2)"
)
PRETTY = """\
    sum by (instance) (rate(node_cpu_seconds_total{instance=~"a|b",mode!="idle"}[5m:30s] offset 1m))
  / on (instance) group_left ()
    topk without (cpu) (3, -clamp_max(max_over_time(node_load1[1h]), 4))
> bool
  (1 + 2)"""


def test_long_queries_are_written_over_several_lines() -> None:
    assert pretty(parse(LONG)) == PRETTY
    assert parse(pretty(parse(LONG))) == parse(LONG)
    assert pretty(parse("sum( up )by(job)")) == "sum by (job) (up)"


def test_a_name_in_braces_stays_there() -> None:
    assert format_expr(parse('{b="c",__name__="up",a!~"d"}')) == '{__name__="up",a!~"d",b="c"}'
    assert format_expr(parse('up{b="c", a!~"d"}')) == 'up{a!~"d",b="c"}'
