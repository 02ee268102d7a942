"""What this room tells of itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class ReadStats:
    """Since the start. ``skipped``: queries for which it was not asked, because it had just failed."""

    queries: int = 0
    failures: int = 0
    skipped: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Tally:
    """What was written since the start, in samples where nothing else is said.

    ``failed``: refused for good. ``repeated``: refused, and sent before with an answer lost: most likely there.
    ``dropped``: skipped because they had become too old. ``error``: why the newest request failed, empty after one
    that did not.
    """

    sent: int = 0
    failed: int = 0
    repeated: int = 0
    dropped: int = 0
    requests: int = 0
    retries: int = 0
    bytes: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class WriteStats:
    """``lag``: how far the receiver is behind the own store, in seconds."""

    tally: Tally
    lag: float


@dataclass(frozen=True, slots=True)
class RemoteStats:
    """None for what is not configured."""

    read: ReadStats | None = None
    write: WriteStats | None = None


def missing_library(name: str | None) -> str:
    """What is said where the libraries of remote write are not installed."""
    return f"storage.remote.write_url needs {name}, which is not installed: pip install 'tierwatch[remote]'"
