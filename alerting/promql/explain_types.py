"""Types of the parts of a query that was refused, and what Prometheus says when they do not fit (checkAST in
promql/parser/parse.go of Prometheus)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from alerting.promql import nodes
from alerting.promql.nodes import ValueKind
from alerting.promql.signatures import Signature

SPOKEN: dict[str, str] = {
    "scalar": "scalar",
    "string": "string",
    "vector": "instant vector",
    "matrix": "range vector",
}
_NUMERIC = ("scalar", "vector")

Problem = tuple[int, str]


@dataclass(slots=True)
class Part:
    """A part of a query: its type, its first character, and what is wrong in it, in the order Prometheus looks."""

    kind: ValueKind
    start: int
    problems: list[Problem] = field(default_factory=list)


def check_unary(start: int, inner: Part) -> Part:
    problems = list(inner.problems)
    if inner.kind not in _NUMERIC:
        said = "unary expression only allowed on expressions of type scalar or instant vector"
        problems.append((start, f'{said}, got "{SPOKEN[inner.kind]}"'))
    return Part(inner.kind, start, problems)


def check_binary(
    operator: str,
    place: int,
    left: Part,
    right: Part,
    *,
    return_bool: bool,
    grouped: bool,
    labels: Sequence[str],
    clashing: Sequence[str],
) -> Part:
    problems = [*left.problems, *right.problems]
    scalars = left.kind == right.kind == "scalar"
    vectors = left.kind == right.kind == "vector"
    is_set = operator in nodes.SET_OPERATORS
    if return_bool and operator not in nodes.COMPARISONS:
        problems.append((place, "bool modifier can only be used on comparison operators"))
    if operator in nodes.COMPARISONS and scalars and not return_bool:
        problems.append((place, "comparisons between scalars must use BOOL modifier"))
    problems += [(place, f'label "{name}" must not occur in ON and GROUP clause at once') for name in clashing]
    for side in (left, right):
        if side.kind not in _NUMERIC:
            problems.append((side.start, "binary expression must contain only scalar and instant vector types"))
    if labels and not vectors:
        problems.append((left.start, "vector matching only allowed between instant vectors"))
    if is_set and vectors and grouped:
        problems.append((left.start, f'no grouping allowed for "{operator}" operation'))
    if is_set and "scalar" in (left.kind, right.kind):
        problems.append((left.start, f'set operator "{operator}" not allowed in binary scalar expression'))
    return Part("scalar" if scalars else "vector", left.start, problems)


def check_aggregate(name: str, start: int, arguments: Sequence[Part]) -> Part:
    """The number of arguments is told by whoever read them."""
    problems: list[Problem] = []
    wants_parameter = name in nodes.PARAMETER_AGGREGATIONS
    if len(arguments) == 1 + wants_parameter:
        _expect(arguments[-1], "vector", "aggregation expression", problems)
        if wants_parameter:
            wanted: ValueKind = "string" if name == "count_values" else "scalar"
            _expect(arguments[0], wanted, "aggregation parameter", problems)
    return Part("vector", start, problems)


def check_call(name: str, start: int, signature: Signature | None, arguments: Sequence[Part]) -> Part:
    if signature is None:
        return Part("vector", start)
    problems: list[Problem] = []
    most, count = len(signature.args), len(arguments)
    said = f'argument(s) in call to "{name}", got {count}'
    if signature.repeats or signature.optional:
        if count < most - 1:
            problems.append((start, f"expected at least {most - 1} {said}"))
        elif not signature.repeats and count > most - 1 + signature.optional:
            problems.append((start, f"expected at most {most - 1 + signature.optional} {said}"))
    elif count != most:
        problems.append((start, f"expected {most} {said}"))
    for index, argument in enumerate(arguments):
        if index >= most and not (signature.repeats or signature.optional):
            break
        if most:
            _expect(argument, signature.kind(index), f'call to function "{name}"', problems)
    return Part(signature.returns, start, problems)


def check_subquery(inner: Part) -> Part:
    problems = list(inner.problems)
    if inner.kind != "vector":
        problems.append((inner.start, f"subquery is only allowed on instant vector, got {inner.kind} instead"))
    return Part("matrix", inner.start, problems)


def _expect(part: Part, wanted: ValueKind, where: str, problems: list[Problem]) -> None:
    problems += part.problems
    if part.kind != wanted:
        problems.append((part.start, f"expected type {SPOKEN[wanted]} in {where}, got {SPOKEN[part.kind]}"))
