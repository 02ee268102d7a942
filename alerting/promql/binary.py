"""Binary operators between instant vectors: matching, grouping, set operators.

Prometheus matches at every evaluation time; here whole rows are paired, and only the clashes are looked for by time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np

from alerting.model.labels import METRIC_NAME, Labels, quote
from alerting.model.series import BoolArray, FloatArray
from alerting.promql import nodes
from alerting.promql.budget import Budget
from alerting.promql.errors import ExecutionError
from alerting.promql.grid import METADATA, Grid, any_series, compact, empty, merged
from alerting.promql.operators import combine, drops_name, holds, is_comparison

Signature = tuple[tuple[str, str], ...]


def between_vectors(expr: nodes.Binary, left: Grid, right: Grid, budget: Budget) -> Grid:
    """The result of a binary operator. Raises ExecutionError when the match is ambiguous, or too large."""
    signature = _signature_of(expr.matching)
    if expr.op in nodes.SET_OPERATORS:
        return _set_operator(expr.op, left, right, signature)
    steps = left.values.shape[1]
    if not left.labels or not right.labels:
        return empty(steps)
    swapped = expr.matching.many == "right"
    many, one = (right, left) if swapped else (left, right)
    one_side = _OneSide(one, signature, any_series(many.mask()))
    one_side.check("left" if swapped else "right", expr.matching)
    partners = [one_side.rows(signature(labels)) for labels in many.labels]
    found = sum(map(len, partners))
    if not found:
        return empty(steps)
    budget.take(found * steps)
    many_rows = [row for row, others in enumerate(partners) for _ in others]
    one_rows = [other for others in partners for other in others]
    return _paired(expr, many.take(many_rows), one.take(one_rows), signature, swapped=swapped)


def _paired(
    expr: nodes.Binary, many: Grid, one: Grid, signature: Callable[[Labels], Signature], *, swapped: bool
) -> Grid:
    """Rows that found each other, combined."""
    result_labels = [_result_labels(expr, labels, other) for labels, other in zip(many.labels, one.labels, strict=True)]
    present: BoolArray | None = None
    if many.present is not None or one.present is not None:
        present = many.mask() & one.mask()
    keys: Sequence[object] = [signature(labels) for labels in many.labels]
    clash = "many-to-one matching must be explicit (group_left/group_right)"
    if expr.matching.many != "none":
        # Of two match groups the results may be the same as long as a comparison leaves only one of them.
        keys = list(zip(keys, result_labels, strict=True))
        clash = "grouping labels must ensure unique matches"
    if _overlap(keys, present):
        raise ExecutionError(f"multiple matches for labels: {clash}")
    left, right = (one.values, many.values) if swapped else (many.values, one.values)
    values: FloatArray
    if is_comparison(expr.op) and not expr.return_bool:
        values = left
        keep = holds(expr.op, left, right)
        present = keep if present is None else keep & present
    else:
        values = combine(expr.op, left, right)
    if present is None:
        return merged(Grid(result_labels, values))
    return merged(compact(result_labels, values, present))


def _signature_of(matching: nodes.Matching) -> Callable[[Labels], Signature]:
    """The function that gives the part of a label set that must agree on both sides."""
    names = frozenset(matching.labels)
    if matching.on:
        return lambda labels: tuple([pair for pair in labels if pair[0] in names])
    names |= {METRIC_NAME}
    return lambda labels: tuple([pair for pair in labels if pair[0] not in names])


class _OneSide:
    """The side of a match where every group may have one series at a time."""

    def __init__(self, grid: Grid, signature: Callable[[Labels], Signature], other_present: BoolArray) -> None:
        self._grid = grid
        self._other_present = other_present
        self._by_signature: dict[Signature, list[int]] = {}
        for row, labels in enumerate(grid.labels):
            self._by_signature.setdefault(signature(labels), []).append(row)

    def rows(self, signature: Signature) -> list[int]:
        return self._by_signature.get(signature, [])

    def check(self, side: str, matching: nodes.Matching) -> None:
        if len(self._by_signature) == len(self._grid.labels):
            return
        present = self._grid.mask()
        for rows in self._by_signature.values():
            if len(rows) < 2:
                continue
            crowded = (present[rows].sum(axis=0) > 1) & self._other_present
            if crowded.any():
                column = int(np.argmax(crowded))
                here = [self._grid.labels[row] for row in rows if present[row, column]]
                first, second = sorted(map(_shown, here[:2]))
                raise ExecutionError(
                    f"found duplicate series for the match group {_shown(_group(here[0], matching))} on the {side} "
                    f"hand-side of the operation: [{first}, {second}];many-to-many matching not "
                    "allowed: matching labels must be unique on one side"
                )


def _group(labels: Labels, matching: nodes.Matching) -> Labels:
    return labels.only(matching.labels) if matching.on else labels.without((*matching.labels, METRIC_NAME))


def _shown(labels: Labels) -> str:
    """A label set as Go prints it: the metric name among the others."""
    return "{" + ", ".join(f"{name}={quote(value)}" for name, value in labels) + "}"


def _result_labels(expr: nodes.Binary, many: Labels, one: Labels) -> Labels:
    matching = expr.matching
    dropped = set(METADATA) if drops_name(expr.op, expr.return_bool) else set[str]()
    if matching.many == "none":
        if matching.on:
            return many.only(set(matching.labels) - dropped)
        return many.without({*matching.labels, *dropped})
    kept = many.without({*matching.include, *dropped})
    if not matching.include:
        return kept
    return kept.merged((name, one.get(name)) for name in matching.include)


def _overlap(keys: Sequence[object], present: BoolArray | None) -> bool:
    """Whether two rows with the same key are present at the same time."""
    if len(set(keys)) == len(keys):
        return False
    if present is None:
        return True
    taken: dict[object, BoolArray] = {}
    for key, here in zip(keys, present, strict=True):
        seen = taken.get(key)
        if seen is None:
            taken[key] = here.copy()
        elif (seen & here).any():
            return True
        else:
            seen |= here
    return False


def _set_operator(op: str, left: Grid, right: Grid, signature: Callable[[Labels], Signature]) -> Grid:
    if op == "or":
        return _or(left, right, signature)
    if not left.labels or (not right.labels and op == "unless"):
        return left
    if not right.labels:
        return empty(left.values.shape[1])
    if left.present is None and right.present is None:
        known = {signature(labels) for labels in right.labels}
        return _filtered(left, [(signature(labels) in known) is (op == "and") for labels in left.labels])
    covered = _covered(right, signature)
    present = left.mask().copy()
    for row, labels in enumerate(left.labels):
        other = covered.get(signature(labels))
        if op == "and":
            present[row] &= False if other is None else other
        elif other is not None:
            present[row] &= ~other
    return compact(left.labels, left.values, present)


def _or(left: Grid, right: Grid, signature: Callable[[Labels], Signature]) -> Grid:
    if not left.labels:
        return right
    if not right.labels:
        return left
    if left.present is None and right.present is None:
        known = {signature(labels) for labels in left.labels}
        right = _filtered(right, [signature(labels) not in known for labels in right.labels])
        return merged(Grid([*left.labels, *right.labels], np.concatenate((left.values, right.values))))
    covered = _covered(left, signature)
    present = right.mask().copy()
    for row, labels in enumerate(right.labels):
        other = covered.get(signature(labels))
        if other is not None:
            present[row] &= ~other
    return merged(
        compact(
            [*left.labels, *right.labels],
            np.concatenate((left.values, right.values)),
            np.concatenate((left.mask(), present)),
        )
    )


def _filtered(grid: Grid, keep: list[bool]) -> Grid:
    return grid if all(keep) else grid.take([row for row, kept in enumerate(keep) if kept])


def _covered(grid: Grid, signature: Callable[[Labels], Signature]) -> dict[Signature, BoolArray]:
    """Where each signature has at least one series."""
    covered: dict[Signature, BoolArray] = {}
    present = grid.mask()
    for row, labels in enumerate(grid.labels):
        key = signature(labels)
        seen = covered.get(key)
        covered[key] = present[row] if seen is None else cast(BoolArray, seen | present[row])
    return covered
