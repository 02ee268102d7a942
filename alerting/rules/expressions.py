"""What the rules ask of PromQL: run an expression at a time, and which series it reads.

The only place of this room that knows the engine; tests and the group work with ``Evaluate``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import lru_cache

from alerting.model.labels import METRIC_NAME, Labels
from alerting.model.matcher import Matcher
from alerting.promql import nodes
from alerting.promql.check import kind_of
from alerting.promql.engine import Engine
from alerting.promql.errors import QueryError
from alerting.promql.inspect import selectors
from alerting.promql.parse import parse
from alerting.promql.value import Scalar, Vector
from alerting.rules.definitions import AlertingRule, Rule

TIMEOUT_S = 10.0  # of one expression

# An expression at a time (milliseconds) as (labels, value) pairs. Raises QueryError.
Evaluate = Callable[[nodes.Expr, int], Sequence[tuple[Labels, float]]]


def evaluate_with(engine: Engine, timeout_s: float = TIMEOUT_S) -> Evaluate:
    """Rules see a vector, or a scalar as a vector without labels, as in Prometheus (EngineQueryFunc)."""

    def evaluate(expr: nodes.Expr, time_ms: int) -> list[tuple[Labels, float]]:
        value = engine.instant(expr, time_ms, deadline=time.monotonic() + timeout_s).value
        if isinstance(value, Vector):
            return list(value)
        if isinstance(value, Scalar):
            return [(Labels(), value.value)]
        raise QueryError("rule result is not a vector or scalar")

    return evaluate


def value_problem(expr: nodes.Expr) -> str | None:
    """Why an expression can be no rule, when its type shows it."""
    kind = kind_of(expr)
    if kind == "matrix":
        return "a range of samples is no rule; put a function such as max_over_time() around it"
    return "a text is no rule; expected an expression that gives numbers" if kind == "string" else None


def reads(rule: Rule, names: frozenset[str]) -> bool:
    """Whether any selector of the rule can match a series with one of the metric names. Queries in the texts of an
    alert do not count: they change no state."""
    return any(_any_fits(on_name, names) for on_name in _on_names(rule.text))


def _any_fits(on_name: Sequence[Matcher], names: frozenset[str]) -> bool:
    exact = next((matcher.value for matcher in on_name if matcher.op == "="), None)
    if exact is not None:  # nearly always; a page has hundreds of names, and rules are many
        names = names & {exact}
    return any(all(matcher.matches(name) for matcher in on_name) for name in names)


@lru_cache(maxsize=4096)
def _on_names(text: str) -> tuple[tuple[Matcher, ...], ...]:
    """The matchers on the metric's name of each selector."""
    return tuple(
        tuple(matcher for matcher in matchers if matcher.name == METRIC_NAME) for matchers in selectors(parse(text))
    )


def affected(rules: Sequence[Rule], names: frozenset[str]) -> tuple[int, ...]:
    """The positions of the rules that read one of the metrics, or what an earlier affected rule records."""
    known = set(names)
    found = []
    for position, rule in enumerate(rules):
        if reads(rule, frozenset(known)):
            found.append(position)
            if not isinstance(rule, AlertingRule):
                known.add(rule.name)
    return tuple(found)
