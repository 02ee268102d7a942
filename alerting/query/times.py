"""Moments and durations as people type them at a command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from config.units import parse_duration

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_NUMBER = re.compile(r"-?[0-9]{1,11}(?:\.[0-9]{1,9})?")
_RELATIVE = re.compile(r"now(?:([+-])([0-9a-z]+))?")
EXPECTED = "a time such as now, now-1h30m, 2026-01-31T12:00:00Z or 1700000000 (seconds since 1970)"


def parse_moment(text: str, now_ms: int) -> int:
    """Milliseconds since the epoch. A date without a zone is UTC. Raises ValueError with what was expected."""
    found = _RELATIVE.fullmatch(text)
    if found is not None:
        try:
            shift = round(parse_duration(found[2] or "0") * 1000)
        except ValueError as error:
            raise ValueError(f"expected {EXPECTED}, got {text[:60]!r}: {error}") from error
        return now_ms - shift if found[1] == "-" else now_ms + shift
    if _NUMBER.fullmatch(text):
        return round(float(text) * 1000)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"expected {EXPECTED}, got {text[:60]!r}") from error
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND


def parse_step(text: str) -> int:
    """Milliseconds of a duration such as 30s, or of a number of seconds. Raises ValueError."""
    seconds = float(text) if _NUMBER.fullmatch(text) else parse_duration(text)
    if not seconds >= 0.001:
        raise ValueError(f"expected a step of at least 1ms, got {text[:60]!r}")
    return round(seconds * 1000)


def rfc3339(time_ms: int) -> str:
    """In UTC, with milliseconds where there are any."""
    stamp = _EPOCH + timedelta(milliseconds=time_ms)
    text = stamp.replace(tzinfo=None).isoformat(timespec="milliseconds" if time_ms % 1000 else "seconds")
    return f"{text}Z"
