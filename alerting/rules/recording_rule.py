"""Recording rules: a query result under a new name."""

from __future__ import annotations

from collections.abc import Iterable

from alerting.model.labels import METRIC_NAME, Labels
from alerting.rules.alerting_rule import EvaluationError
from alerting.rules.definitions import RecordingRule


def record(rule: RecordingRule, vector: Iterable[tuple[Labels, float]], limit: int = 0) -> dict[Labels, float]:
    """The series to write. Raises EvaluationError when two get the same labels or there are more than ``limit``."""
    result: dict[Labels, float] = {}
    for labels, value in vector:
        renamed = labels.merged({**rule.labels, METRIC_NAME: rule.name})
        if renamed in result:
            raise EvaluationError(
                f"vector contains metrics with the same labelset after applying rule labels: {renamed}"
            )
        result[renamed] = value
    if 0 < limit < len(result):
        raise EvaluationError(f"exceeded limit of {limit} with {len(result)} series")
    return result
