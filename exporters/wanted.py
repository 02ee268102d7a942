"""What the inventory says runs on this node, as far as an exporter needs it; made of plain values, so that it travels
from the child that reads the inventory (``startup``) as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class WantedProbe:
    """How a service is asked how it is. ``addresses`` are tried in turn. Times in seconds; ``interval``, ``timeout``,
    ``grace`` None: as its protocol's probe has it.

    ``password_file`` and ``password_env`` name where a password is; the password itself is read when it is needed and
    kept nowhere. ``gpu``: the node has one that a model should run on.
    """

    service: str
    kind: str
    addresses: tuple[str, ...] = ()
    port: int = 0
    ports: Mapping[str, int] = field(default_factory=dict)
    path: str = ""
    host: str = ""
    tls: bool = False
    user: str = ""
    password_file: str = ""
    password_env: str = ""
    database: str = ""
    status: tuple[int, ...] = ()
    body: str = ""
    query: str = ""
    files: tuple[str, ...] = ()
    drift: str = ""
    max_age: float | None = None
    min_size: int = 0
    hosts: Mapping[str, str] = field(default_factory=dict)
    models: int | None = None
    present: tuple[str, ...] = ()
    gpu: bool = False
    interval: float | None = None
    timeout: float | None = None
    grace: float | None = None

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> WantedProbe:
        """From what ``asdict`` gave, after it was JSON."""
        lists = ("addresses", "status", "files", "present")
        return cls(**{**plain, **{name: tuple(plain.get(name, ())) for name in lists}})


@dataclass(frozen=True, slots=True)
class WantedService:
    """A service of this node. ``container`` and ``unit`` are empty when the inventory names none; ``probe`` is None
    when there is nothing to ask it."""

    name: str
    kind: str
    port: int | None = None
    ports: Mapping[str, int] = field(default_factory=dict)
    container: str = ""
    unit: str = ""
    models: int | None = None
    present: tuple[str, ...] = ()
    probe: WantedProbe | None = None

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> WantedService:
        """From what ``asdict`` gave, after it was JSON."""
        probe = plain.get("probe")
        probe = WantedProbe.of(probe) if probe else None
        return cls(**{**plain, "present": tuple(plain.get("present", ())), "probe": probe})


@dataclass(frozen=True, slots=True)
class WantedPorts:
    """What may be reached here. ``also``: ports that listen beside those of services; ``exposed``: those the outside
    may reach; ``network``: the cluster's own, such as 192.168.1.0/24, or empty."""

    also: tuple[int, ...] = ()
    exposed: tuple[int, ...] = ()
    network: str = ""

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> WantedPorts:
        """From what ``asdict`` gave, after it was JSON."""
        return cls(tuple(plain["also"]), tuple(plain["exposed"]), plain["network"])
