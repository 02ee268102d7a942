"""Label sets: immutable, sorted, hashable.

A ``Labels`` is a tuple of (name, value) pairs sorted by name, without empty values. Being a tuple makes it
cheap to hash, to compare and to sort the way Prometheus sorts label sets (pair by pair, name before value).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

METRIC_NAME = "__name__"
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


class Labels(tuple[tuple[str, str], ...]):
    """Sorted (name, value) pairs; a label with an empty value is the same as no label."""

    __slots__ = ()

    @classmethod
    def of(cls, pairs: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> Labels:
        """Build from a mapping or pairs in any order. A name given twice keeps its last value."""
        return cls(sorted((name, value) for name, value in dict(pairs).items() if value))

    def get(self, name: str, default: str = "") -> str:
        """The value of a label; a missing label reads as the empty string, as in PromQL."""
        for key, value in self:
            if key == name:
                return value
        return default

    @property
    def metric_name(self) -> str:
        return self.get(METRIC_NAME)

    def as_dict(self) -> dict[str, str]:
        return dict(self)

    def replace(self, **values: str) -> Labels:
        """A copy with labels set; an empty value removes the label."""
        return Labels.of({**dict(self), **values})

    def merged(self, other: Mapping[str, str] | Iterable[tuple[str, str]]) -> Labels:
        """A copy with the labels of ``other`` set over these."""
        return Labels.of({**dict(self), **dict(other)})

    def without(self, names: Iterable[str]) -> Labels:
        drop = frozenset(names)
        return Labels(pair for pair in self if pair[0] not in drop)

    def only(self, names: Iterable[str]) -> Labels:
        keep = frozenset(names)
        return Labels(pair for pair in self if pair[0] in keep)

    def __str__(self) -> str:
        """As PromQL writes it: ``up{instance="pi"}``."""
        return self.written(", ")

    def written(self, between: str) -> str:
        """As PromQL and OpenMetrics write it, with this between two labels; names of other than plain letters are
        quoted (https://prometheus.io/docs/guides/utf8/)."""
        inner = [f"{name_text(name)}={quote(value)}" for name, value in self if name != METRIC_NAME]
        name = self.metric_name
        if name and not _METRIC.fullmatch(name):
            inner, name = [quote(name), *inner], ""
        return f"{name}{{{between.join(inner)}}}" if inner or not name else name


NO_LABELS = Labels()


def metric_text(name: str) -> str:
    """A metric's name, quoted where it needs to be."""
    return name if _METRIC.fullmatch(name) else quote(name)


def name_text(name: str) -> str:
    """A label's name, quoted where it needs to be."""
    return name if _LABEL.fullmatch(name) else quote(name)


def quote(value: str) -> str:
    """A label value as a PromQL string literal."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
