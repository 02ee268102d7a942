"""Durations and sizes as people write them.

Durations follow Prometheus: one or more numbers with units, largest first (``1h30m``, ``500ms``; a day is 24 h,
a week 7 d, a year 365 d). Sizes: ``8GiB`` is binary, ``8GB`` decimal.
"""

from __future__ import annotations

import re

_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?")
_DURATION_SECONDS = (365 * 86400.0, 7 * 86400.0, 86400.0, 3600.0, 60.0, 1.0, 0.001)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?)?B?")
_SIZE_BYTES = {
    "": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip


def parse_duration(text: str) -> float:
    """Seconds of a duration such as ``1m30s``. ``0`` needs no unit. Raises ValueError."""
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError(f'expected a duration such as 5s, 1m30s or 30d, got "{text}"')
    return sum(int(part) * seconds for part, seconds in zip(match.groups(), _DURATION_SECONDS, strict=True) if part)


def format_duration(seconds: float) -> str:
    """The shortest text that ``parse_duration`` reads back, to the millisecond: 90 -> ``1m30s``."""
    left = round(seconds * 1000)
    if left == 0:
        return "0s"
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def parse_size(text: str) -> int:
    """Bytes of a size such as ``8GiB`` or ``1TB``. Raises ValueError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f'expected a size such as 512MiB, 8GiB or 1TB, got "{text}"')
    return int(float(match.group(1)) * _SIZE_BYTES[match.group(2) or ""])
