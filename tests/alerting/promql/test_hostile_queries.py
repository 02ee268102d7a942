"""Queries that were spoiled, and queries at strange times: an answer or a QueryError, in bounded time."""

from __future__ import annotations

import random
import re
import time

import pytest

from alerting.api.syntax import syntax_tree
from alerting.api.values import result_json
from alerting.promql.budget import Patience
from alerting.promql.engine import Engine
from alerting.promql.errors import QueryError, QueryTimeout
from alerting.promql.format import format_expr
from alerting.promql.parse import parse
from tests.support.memory_querier import MemoryQuerier
from tests.support.random_promql import START_MS, Grammar, data

_TOKEN = re.compile(r'"[^"]*"|\w+|\S')
_ODD = (
    *("0", "-1", "1e308", "5e-324", "NaN", "-Inf", "9223372036", "9223372036854775807", "-9e18", "100y", "1ms"),
    *("292y", "0x7fffffffffffffff", "@", "offset", "start()", "[5m]", "[1ms:1ms]", "[100y:]", "[1y:1s]", "(", ")"),
    *("{}", '{a!=""}', '{__name__=~".+"}', "by", "on", "ignoring", "group_left", "bool", "==", "^", "%", "atan2"),
    *("and", "or", "-", "*", "topk", "count_values", "quantile", "rate", "histogram_quantile", "sum", "le"),
    *("label_replace", '"$1"', '"(.*)"', '"\\xff"', "time()", "scalar", "vector"),
)
_TIMES = (0, -(10**15), 10**15, 1 << 61, -(1 << 61), -1, START_MS + 1_800_310)


def spoiled(source: random.Random) -> str:
    """A good query with a few tokens replaced, added or left out."""
    text = Grammar(source.randrange(1 << 30)).query()
    for _ in range(source.choice([0, 1, 1, 2, 4])):
        tokens = list(_TOKEN.finditer(text))
        if not tokens:
            break
        token = source.choice(tokens)
        start, end = source.choice([(token.start(), token.end()), (token.start(), token.start())])
        text = f"{text[:start]} {source.choice((*_ODD, ''))} {text[end:]}"
    return text


@pytest.fixture(scope="module")
def engine() -> Engine:
    querier = MemoryQuerier()
    for labels, rows in data().items():
        querier.put(labels, rows)
    return Engine(querier, max_samples=200_000)


@pytest.mark.parametrize("seed", range(20))
def test_nothing_but_an_answer_or_a_query_error(engine: Engine, seed: int) -> None:
    source = random.Random(seed)
    for _ in range(20):
        text = spoiled(source)
        began = time.process_time()
        try:
            expr = parse(text)
            syntax_tree(expr)
            assert format_expr(parse(format_expr(expr))) == format_expr(expr)
            at, step = source.choice(_TIMES), source.choice([1, 1000, 10**12])
            result_json(engine.instant(expr, at, patience=Patience(time.monotonic() + 1)))
            end = min(at + step * source.randrange(1000), 1 << 61)
            result_json(engine.range(expr, at, end, step, patience=Patience(time.monotonic() + 1)))
        except QueryError:
            pass
        assert time.process_time() - began < 5, text


@pytest.mark.parametrize(
    "text",
    [
        "sum_over_time(g[3000s:5ms])",
        "count_values('v', max_over_time(g[1h:10ms]))",
        "quantile_over_time(0.5, g[1h:50ms])",
        "deriv(g[50m:20ms])",
        "histogram_quantile(0.9, rate(lat_bucket[50m:20ms]))",
    ],
)
def test_what_takes_long_ends_at_its_deadline(text: str) -> None:
    querier = MemoryQuerier()
    for labels, rows in data().items():
        querier.put(labels, rows)
    patience = Patience(time.monotonic() + 0.005)
    began = time.process_time()
    with pytest.raises(QueryTimeout):
        Engine(querier).range(parse(text), START_MS, START_MS + 3_000_000, 1000, patience=patience)
    assert time.process_time() - began < 2.5
