"""What a metric is: its name, type, labels and help, told once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "untyped"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family. The unit is in the name, as Prometheus asks (``_seconds``, ``_bytes``, ``_ratio``)."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()

    def __hash__(self) -> int:
        return hash(self.name)  # enough to tell metrics apart, and cheap: rows are gathered by metric at every scrape
