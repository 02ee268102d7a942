from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.model.matcher import Matcher
from alerting.promql import nodes
from alerting.promql.errors import QueryError
from alerting.promql.nodes import MatrixSelector, NumberLiteral, Subquery, VectorSelector
from alerting.promql.parse import parse

X = (Matcher("__name__", "=", "x"),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x", VectorSelector(X)),
        ("x offset 0s", VectorSelector(X)),
        ("x offset -0ms", VectorSelector(X)),
        ("x offset 1m0s", VectorSelector(X, offset_ms=60_000)),
        ("x offset 1.5", VectorSelector(X, offset_ms=1500)),
        ("x offset -50", VectorSelector(X, offset_ms=-50_000)),
        ("x @ 1.5", VectorSelector(X, at=1500)),
        ("x @ -10", VectorSelector(X, at=-10_000)),
        ("x @ - 1.25 offset 0s", VectorSelector(X, at=-1250)),
        ("x @ -1h30m", VectorSelector(X, at=-5_400_000)),
        ("x @ start() offset 5m", VectorSelector(X, at="start", offset_ms=300_000)),
        ("x[1500ms] @ end()", MatrixSelector(VectorSelector(X, at="end"), 1500)),
        ("x[600]", MatrixSelector(VectorSelector(X), 600_000)),
        ("x[5m:]", Subquery(VectorSelector(X), 300_000)),
        ("x[5m:10s] @ -1", Subquery(VectorSelector(X), 300_000, 10_000, -1000)),
        ("{'x'}", VectorSelector(X)),
        ('{__name__="x"}', VectorSelector(X)),
        ("1h", NumberLiteral(3600.0)),
        ("step offset 5m", VectorSelector((Matcher("__name__", "=", "step"),), offset_ms=300_000)),
        ("0x1F", NumberLiteral(31.0)),
        ("x # a comment with ) and '", VectorSelector(X)),
    ],
)
def test_the_tree(text: str, expected: nodes.Expr) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"\xc3\xa9"', "é"),
        (r'"\303\251"', "é"),
        (r'"a\xc3\xa9\"\\\n"', 'aé"\\\n'),
        (r'"\u00e9"', "é"),
        (r"'it\'s'", "it's"),
        (r"`\xff`", r"\xff"),
    ],
)
def test_strings_are_read_as_utf8(text: str, value: str) -> None:
    assert parse(text) == nodes.StringLiteral(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no expression"),
        ("  # nothing", "no expression"),
        ('"\\xff"', "1:1: the string literal is not valid UTF-8"),
        ("sum(\n  x", "^2:4: parse error: unclosed left parenthesis$"),
        ("x)", r"^1:3: parse error: unexpected right parenthesis '\)'$"),
        ('x{a="b}', "^1:5: parse error: unterminated quoted string"),
        ("x\n + é", "^2:4: parse error: unexpected character"),
        ("foo bar", "parse error"),
        ("nope(x)", "unknown function"),
        ("rate(x)", "range vector|matrix"),
        ("rate(x[5m:0s])", "greater than 0"),
        ("x[5m:0]", "step of a subquery"),
        ("x[0]", "greater than 0"),
        ("{}", "non-empty matcher"),
        ('{a=~".*"}', "non-empty matcher"),
        ('x{a=~"("}', "regex|regular expression"),
        ("1 == 1", "BOOL"),
        ("a and 1", "set operator|and"),
        ("a and on() group_left b", "grouping"),
        ("a + on(x) group_left(x) b", "ON and GROUP|on and group"),
        ("1 + on(x) b", "vector matching|matching"),
        ('x{a="b" or a="c"}', '"or" between label matchers'),
        ('label_replace(x, "a", "b", "c", "(")', "invalid regular expression in label_replace"),
        (
            r'label_replace(x, "a", "b", "c", "\\p{Greek}")',
            "regular expression in label_replace.*scripts are not supported",
        ),
        ('label_replace(x, "a", "b", "c", "(?U)a*")', "regular expression in label_replace.*flag U is not supported"),
        (r'x{a=~"\\p{Greek}"}', "scripts are not supported"),
        ('label_join(x, "", "-", "c")', "invalid destination label name"),
        ("count_values('', x)", "invalid label name"),
        ("limitk(1, x)", "limitk is refused: it is experimental"),
        ("info(x)", "info is refused: it is experimental"),
        ("holt_winters(x[5m], 1, 1)", "renamed"),
        ("mad_over_time(x[5m])", "experimental"),
        ("histogram_count(x)", "native histograms"),
        ("start()", "refused|experimental"),
        ("start_timestamp(x)", "experimental"),
        ("rate(x[5m + 1m])", "1:11: arithmetic with durations is experimental"),
        ("rate(x[step()])", "1:8: arithmetic with durations"),
        ("rate(x[(5m)])", "arithmetic with durations"),
        ("max_over_time(x[5m:1m*2])", "arithmetic with durations"),
        ("x offset (1m)", "arithmetic with durations"),
        ("x offset -step()", "arithmetic with durations"),
        ("rate(x[5m] smoothed)", "1:12: the modifier smoothed is experimental"),
        ("x anchored", "the modifier anchored"),
        ("a + fill (0) b", "fill modifiers|parse error"),
        ('count_values("a\\xc5z", x)', r'^invalid label name "a\\xc5z"$'),
        ("sum(x, y)", "arguments|parse error"),
        ("topk(x)", "argument"),
        ("topk('a', x)", "scalar"),
        ("round(x, 1, 2)", "argument"),
        ("x @ NaN", "out of bounds"),
        ("x @ 99999999999999999", "."),
        ("x offset 99999999999999999", "."),
        ("x offset 9.5e10", "duration out of range"),
        ("x[9.5e10]", "duration out of range"),
        ("x[5m:1e308]", "^1:5: parse error: duration out of range"),
        ("x offset -0xffffffffffffff", "duration out of range"),
    ],
)
def test_refused_with_a_reason(text: str, message: str) -> None:
    with pytest.raises(QueryError, match=message) as caught:
        parse(text)
    # Prometheus notices some of them only when it evaluates, and its clients are told so.
    late = ("invalid label name", "invalid regular", "regular expression in", "invalid destination")
    assert caught.value.kind == ("execution" if message.lstrip("^").startswith(late) else "bad_data")


@pytest.mark.parametrize(
    "text",
    [
        "x" * 70_000,
        "(" * 200 + "x" + ")" * 200,
        "sum(" * 101 + "x" + ")" * 101,
        "1" + "+1" * 5000,
        "1" + "^1" * 399,
        "-" * 399 + "x",
        "x " * 20_000,
    ],
)
def test_huge_queries_are_refused_quickly(text: str) -> None:
    with pytest.raises(QueryError):
        parse(text)


def test_every_supported_function_is_reachable() -> None:
    """The tables of signatures and implementations agree."""
    from alerting.promql.engine import Engine
    from alerting.promql.signatures import FUNCTIONS
    from tests.support.memory_querier import MemoryQuerier

    sample = {"vector": "x", "matrix": "x[5m]", "scalar": "1", "string": '"a"'}
    engine = Engine(MemoryQuerier())
    for name, signature in FUNCTIONS.items():
        expr = parse(f"{name}({', '.join(sample[kind] for kind in signature.args)})")
        engine.range(expr, 0, 60_000, 60_000)
        engine.instant(expr, 0)


PIECES = st.sampled_from(
    [
        "x",
        "y(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        "=",
        "=~",
        "!=",
        '"a"',
        "'b'",
        "`",
        "5m",
        "0s",
        "1",
        "-1",
        "@",
        "offset",
        "start()",
        "end()",
        "by",
        "on",
        "group_left",
        "sum",
        "rate",
        "(",
        "and",
        "or",
        "+",
        "-",
        "*",
        "^",
        "bool",
        "1e999",
        "0x",
        "\\",
        "#",
        "é",
        "\x00",
        "\n",
        ":",
        "==",
        "atan2",
        "topk",
        "fill",
        "NaN",
        "Inf",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=14).map(" ".join)))
def test_nothing_but_a_query_error_comes_out(text: str) -> None:
    with contextlib.suppress(QueryError):
        parse(text)
