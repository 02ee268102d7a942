"""Series and samples as promtool's rule tests write them.

Notation: https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/#series.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from alerting.model.labels import Labels
from alerting.model.series import STALE
from alerting.promql.errors import QueryError
from alerting.promql.nodes import VectorSelector
from alerting.promql.parse import parse

MAX_SAMPLES = 2_000_000  # of one series

_NAMED = re.compile(r"\s*(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?P<labels>\{.*)?\s*", re.DOTALL)
_NUMBER = r"[+-]?(?:inf|nan|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)"
_ITEM = re.compile(
    rf"(?P<value>{_NUMBER})(?:(?P<step>[+-](?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)?x(?P<times>\d+))?", re.IGNORECASE
)
_GAP = re.compile(r"_(?:x(?P<times>\d+))?")


class NotationError(ValueError):
    """A series or its samples cannot be read; the message says what was expected."""


def series_labels(text: str) -> Labels:
    """The labels of ``up{job="node"}``; ``{}`` has none. Raises NotationError."""
    if re.fullmatch(r"\s*\{\s*\}\s*", text):
        return Labels()
    try:
        expr = parse(_with_quoted_name(text))
    except QueryError as error:
        raise NotationError(f"not a series: {text!r}: {error.message}") from error
    if not isinstance(expr, VectorSelector) or expr.at is not None or expr.offset_ms:
        raise NotationError(f'expected a series such as up{{job="node"}}, got {text!r}')
    if any(matcher.op != "=" for matcher in expr.matchers):
        raise NotationError(f"a series has its labels with =, got {text!r}")
    return Labels.of([(matcher.name, matcher.value) for matcher in expr.matchers])


def _with_quoted_name(text: str) -> str:
    """``nan{a="b"}`` -> ``{__name__="nan",a="b"}``: a name may be a word that means something in PromQL."""
    match = _NAMED.fullmatch(text)
    if match is None:
        return text
    rest = (match["labels"] or "{}").strip()[1:].lstrip()
    return f'{{__name__="{match["name"]}"{"" if rest.startswith("}") else ","}{rest}'


def samples(text: str) -> list[float | None]:
    """The values of ``1+1x3 _ stale 0x1``, None where there is none. Raises NotationError."""
    found: list[float | None] = []
    for item in text.split():
        for value in _expanded(item):
            found.append(value)
            if len(found) > MAX_SAMPLES:
                raise NotationError(f"more than {MAX_SAMPLES} samples in one series")
    return found


def _expanded(item: str) -> Iterator[float | None]:
    if item == "stale":
        yield STALE
        return
    if gap := _GAP.fullmatch(item):
        yield from (None for _ in range(int(gap["times"] or 1)))
        return
    match = _ITEM.fullmatch(item)
    if match is None:
        raise NotationError(f'expected samples such as "1 2 3", "0+1x10", "_" or "stale", got "{item}"')
    value = float(match["value"])
    step = float(match["step"] or 0)
    for _ in range(int(match["times"] or 0) + 1):
        yield value
        value += step
