"""Every part of a tree knows where it stands in the text."""

from __future__ import annotations

import pytest

from alerting.promql import nodes
from alerting.promql.lex import Token
from alerting.promql.locate import locate
from alerting.promql.parse import parse
from tests.support.random_promql import Grammar

QUERY = """# of what
  sum by (a) (
    -rate(x{a="b", c!="(]"}[5m:30s] offset -1m @ end()) + on (a) group_left (d)
      topk without (e) (2, max_over_time({__name__="y"}[1h:] @ -12.5) > bool Inf)
  )
"""


def word_at(text: str, node: nodes.Expr) -> str:
    assert node.position is not None, node
    line, column = node.position
    return text.split("\n")[line - 1][column - 1 :]


def begins(node: nodes.Expr) -> tuple[str, ...]:
    """What the text of a node may begin with."""
    match node:
        case nodes.NumberLiteral():
            return (*"0123456789.-+", "Inf", "NaN", "inf", "nan")
        case nodes.StringLiteral():
            return ('"', "'", "`")
        case nodes.VectorSelector(matchers):
            return ("{", matchers[0].value)
        case nodes.MatrixSelector(selector):
            return begins(selector)
        case nodes.Paren():
            return ("(",)
        case nodes.Negation():
            return ("-",)
        case nodes.Subquery(inner):
            return begins(inner)
        case nodes.Binary(_, left):
            return begins(left)
        case nodes.Aggregate(name) | nodes.Call(name):
            return (name,)
    raise AssertionError(node)


def test_places_in_a_long_query() -> None:
    expr = parse(QUERY)
    assert isinstance(expr, nodes.Aggregate)
    assert expr.position == (2, 3)
    places = [node.position for node in nodes.walk(expr)]
    assert None not in places
    assert (3, 5) in places  # the minus, and the sum that begins with it
    assert (3, 6) in places  # rate
    assert (4, 7) in places  # topk
    for node in nodes.walk(expr):
        assert word_at(QUERY, node).startswith(begins(node))


@pytest.mark.parametrize("seed", range(0, 1000, 100))
def test_places_in_random_queries(seed: int) -> None:
    for number in range(seed, seed + 100):
        text = Grammar(number).query()
        for node in nodes.walk(parse(text)):
            assert word_at(text, node).startswith(begins(node)), (text, node)


def test_a_place_is_not_part_of_what_an_expression_is() -> None:
    assert parse("x + 1") == parse("  x   + 1")
    assert hash(parse("x + 1")) == hash(parse("  x   + 1"))


def test_text_that_does_not_fit_leaves_no_wrong_places() -> None:
    expr = nodes.Paren(nodes.NumberLiteral(1.0))
    locate(expr, "(1", [Token("open", "(", 0), Token("number", "1", 1)])
    assert [node.position for node in nodes.walk(expr)] == [None, None]
