"""What the inventory says runs on this node, as far as an exporter needs it; made of plain values, so that it travels
from the child that reads the inventory (``startup``) as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class WantedService:
    """A service of this node. ``container`` and ``unit`` are empty when the inventory names none."""

    name: str
    kind: str
    port: int | None = None
    ports: Mapping[str, int] = field(default_factory=dict)
    container: str = ""
    unit: str = ""
    models: int | None = None
    present: tuple[str, ...] = ()

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> WantedService:
        """From what ``asdict`` gave, after it was JSON."""
        return cls(**{**plain, "present": tuple(plain.get("present", ()))})
