"""A query that is refused is told what is wrong and where, in Prometheus' words."""

from __future__ import annotations

import pytest

from alerting.promql.errors import QueryError
from alerting.promql.explain import explain
from alerting.promql.lex import prepare
from alerting.promql.parse import parse
from tests.support.random_promql import Grammar

# Expectations of promql/parser/parse_test.go of Prometheus (Apache-2.0), and a few more.
MISTAKES = [
    ("1+", "1:3: parse error: unexpected end of input"),
    ("*1", "1:1: parse error: unexpected <op:*>"),
    ("(1))", "1:5: parse error: unexpected right parenthesis ')'"),
    ("((1)", "1:5: parse error: unclosed left parenthesis"),
    ("(1 +", "1:5: parse error: unclosed left parenthesis"),
    ("@@", "1:1: parse error: unexpected <op:@>"),
    ("foo bar", '1:5: parse error: unexpected identifier "bar"'),
    ("sum some_metric by (test)", '1:5: parse error: unexpected identifier "some_metric"'),
    ("sum (some_metric) by test", '1:22: parse error: unexpected identifier "test" in grouping opts, expected "("'),
    ("sum without(,)(some_metric)", '1:13: parse error: unexpected "," in grouping opts, expected label'),
    ("sum without(==)(some_metric)", "1:13: parse error: unexpected <op:==> in grouping opts, expected label"),
    ("sum () by (test)", "1:1: parse error: no arguments for aggregate expression provided"),
    (
        "topk(some_metric)",
        "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1",
    ),
    ("topk(some_metric,)", "1:17: parse error: trailing commas not allowed in function call args"),
    (
        "topk(some_metric, other_metric)",
        "1:6: parse error: expected type scalar in aggregation parameter, got instant vector",
    ),
    ("count_values(5, other_metric)", "1:14: parse error: expected type string in aggregation parameter, got scalar"),
    ("sum(1)", "1:5: parse error: expected type instant vector in aggregation expression, got scalar"),
    ("floor()", '1:1: parse error: expected 1 argument(s) in call to "floor", got 0'),
    ("hour(a, b, c)", '1:1: parse error: expected at most 1 argument(s) in call to "hour", got 3'),
    ("label_join(a)", '1:1: parse error: expected at least 3 argument(s) in call to "label_join", got 1'),
    ("round(x, 1, 2)", '1:1: parse error: expected at most 2 argument(s) in call to "round", got 3'),
    ("nope()", '1:1: parse error: unknown function with name "nope"'),
    (
        "1 + rate(some_metric)",
        '1:10: parse error: expected type range vector in call to function "rate", got instant vector',
    ),
    ("1 == 1", "1:3: parse error: comparisons between scalars must use BOOL modifier"),
    ("1 and 1", '1:1: parse error: set operator "and" not allowed in binary scalar expression'),
    ("foo + bool bar", "1:5: parse error: bool modifier can only be used on comparison operators"),
    ("foo == on(bar) 10", "1:1: parse error: vector matching only allowed between instant vectors"),
    ("foo and on(bar) group_left(baz) bar", '1:1: parse error: no grouping allowed for "and" operation'),
    ("a + on(x) group_left(x) b", '1:3: parse error: label "x" must not occur in ON and GROUP clause at once'),
    ("foo + group_left(baz) bar", "1:7: parse error: unexpected <group_left>"),
    ('a + "b"', "1:5: parse error: binary expression must contain only scalar and instant vector types"),
    (
        "-test[5m]",
        "1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, "
        'got "range vector"',
    ),
    ("some{", "1:6: parse error: unexpected end of input inside braces"),
    ("some}", "1:5: parse error: unexpected character: '}'"),
    ("x{a=b}", '1:5: parse error: unexpected identifier "b" in label matching, expected string'),
    ("x{a:b='c'}", "1:4: parse error: unexpected character inside braces: ':'"),
    ("foo{gibberish}", '1:14: parse error: unexpected "}" in label matching, expected label matching operator'),
    ("foo{a='b' lol}", '1:11: parse error: unexpected identifier "lol" in label matching, expected "," or "}"'),
    ("{}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
    ('1 +\n {x=~".*"}', "2:2: parse error: vector selector must contain at least one non-empty matcher"),
    ('foo{__name__="bar"}', '1:1: parse error: metric name must not be set twice: "foo" or "bar"'),
    (
        "foo[]",
        '1:5: parse error: unexpected "]" in subquery or range selector, expected number, duration, step(), or range()',
    ),
    ("foo[", "1:5: parse error: unexpected end of input in duration expression"),
    (
        "foo[5m] OFFSET",
        "1:15: parse error: unexpected end of input in offset, expected number, duration, step(), or range()",
    ),
    ("foo[5m] OFFSET 1mm", '1:16: parse error: bad number or duration syntax: "1mm"'),
    ("foo OFFSET 1m[5m]", "1:14: parse error: no offset modifiers allowed before range"),
    ("foo @ 1234 [5m]", "1:12: parse error: no @ modifiers allowed before range"),
    ("foo @", "1:6: parse error: unexpected end of input in @, expected timestamp"),
    ("foo @ -Inf", "1:1: parse error: timestamp out of bounds for @ modifier: -Inf"),
    (
        "1 offset 1d",
        "1:1: parse error: offset modifier must be preceded by an instant vector selector or range vector selector "
        "or a subquery",
    ),
    ("foo offset 1s offset 2s", "1:1: parse error: offset may not be set multiple times"),
    ("(foo + bar)[5m]", "1:12: parse error: ranges only allowed for vector selectors"),
    ("foo[5m][5m:]", "1:1: parse error: subquery is only allowed on instant vector, got matrix instead"),
    ("2.5.", '1:1: parse error: bad number or duration syntax: "2.5."'),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_a_mistake_is_named_with_its_place(text: str, message: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(text)
    assert str(caught.value) == message


@pytest.mark.parametrize("seed", range(0, 3000, 500))
def test_nothing_is_wrong_with_good_queries(seed: int) -> None:
    good = 0
    for number in range(seed, seed + 500):
        text = Grammar(number).query()
        try:
            parse(text)
        except QueryError:  # such as on (a) between a vector and a scalar
            continue
        good += 1
        assert explain(text, prepare(text).tokens) is None, text
    assert good > 480
