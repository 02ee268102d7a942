"""Durations and sizes as people write them.

Durations follow Prometheus: one or more numbers with units, largest first (``1h30m``, ``500ms``; a day is 24 h,
a week 7 d, a year 365 d). Sizes: ``8GiB`` is binary, ``8GB`` decimal.
"""

from __future__ import annotations

import re
from decimal import Decimal

_DURATION = re.compile(
    r"(?:([0-9]+)y)?(?:([0-9]+)w)?(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m(?!s))?(?:([0-9]+)s)?(?:([0-9]+)ms)?"
)
_DURATION_MILLISECONDS = (365 * 86_400_000, 7 * 86_400_000, 86_400_000, 3_600_000, 60_000, 1000, 1)
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]i?)?B?")
_SIZE_BYTES = {
    "": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip
_LONGEST_TEXT = 40
_LONGEST_MILLISECONDS = 100 * 365 * 86_400_000
_LARGEST_SIZE = 2**60


def parse_duration(text: str) -> float:
    """Seconds of a duration such as ``1m30s``, at most 100 years. ``0`` needs no unit. Raises ValueError."""
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text) if 0 < len(text) <= _LONGEST_TEXT else None
    if match is None:
        raise ValueError(f'expected a duration such as 5s, 1m30s or 30d, got "{_shortened(text)}"')
    parts = zip(match.groups(), _DURATION_MILLISECONDS, strict=True)
    total = sum(int(part) * milliseconds for part, milliseconds in parts if part)
    if total > _LONGEST_MILLISECONDS:
        raise ValueError(f'expected a duration of at most 100y, got "{text}"')
    return total / 1000


def format_duration(seconds: float) -> str:
    """Text that ``parse_duration`` reads back, to the millisecond: 90 -> ``1m30s``."""
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
    """Bytes of a size such as ``8GiB`` or ``1TB``, at most 1 EiB; a part of a byte is dropped. Raises ValueError."""
    stripped = text.strip()
    match = _SIZE.fullmatch(stripped) if len(stripped) <= _LONGEST_TEXT else None
    if match is None:
        raise ValueError(f'expected a size such as 512MiB, 8GiB or 1TB, got "{_shortened(text)}"')
    size = int(Decimal(match.group(1)) * _SIZE_BYTES[match.group(2) or ""])
    if size > _LARGEST_SIZE:
        raise ValueError(f'expected a size of at most {2**20}TiB, got "{stripped}"')
    return size


def format_size(size: int) -> str:
    """The shortest text without a fraction that ``parse_size`` reads back: 2**33 -> ``8GiB``, 10**12 -> ``1TB``."""
    texts = [
        f"{size // factor}{unit}B" for unit, factor in _SIZE_BYTES.items() if size % factor == 0 and size >= factor
    ]
    return min(texts, key=len, default="0B")


def round_size(size: float) -> str:
    """What a person reads of a size in bytes, in the unit that fits: 0 -> ``0 B``, 1536 -> ``1.5 KiB``."""
    if size < 1024:
        return f"{size:.0f} B"
    value, units = size / 1024, ["KiB", "MiB", "GiB", "TiB"]
    while round(value, 1) >= 1024 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{value:.1f} {units[0]}"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"
