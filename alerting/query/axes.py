"""Round numbers for the axes of a graph, and how they are written."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from datetime import UTC, datetime

_SECOND, _MINUTE, _HOUR, _DAY = 1000, 60_000, 3_600_000, 86_400_000
_INTERVALS = (
    *(n * _SECOND for n in (1, 2, 5, 10, 15, 30)),
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 7, 14, 30, 90, 180, 365)),
)
_LARGEST = sys.float_info.max
_PREFIXES = {-3: "n", -2: "µ", -1: "m", 0: "", 1: "k", 2: "M", 3: "G", 4: "T", 5: "P", 6: "E"}


@dataclass(frozen=True, slots=True)
class ValueAxis:
    """From ``low`` to ``high`` in so many equal ``parts``, with a tick at each end of one."""

    low: float
    high: float
    parts: int

    @classmethod
    def around(cls, least: float, most: float, ticks: int) -> ValueAxis:
        """Round bounds that hold both; ``ticks`` at most, at least two. Zero is held too where it is near."""
        if least == most:
            spread = min(2 * abs(least), _LARGEST) or 1.0
            least, most = (-spread if least <= 0 else 0.0), (spread if least >= 0 else 0.0)
        elif 0 < least < (most - least):
            least = 0.0
        elif 0 < -most < (most - least):
            most = 0.0
        try:
            return cls._round(least, most, ticks)
        except (ValueError, OverflowError, ZeroDivisionError):  # at the ends of what a float can hold
            return cls(least, most, 1)

    @classmethod
    def _round(cls, least: float, most: float, ticks: int) -> ValueAxis:
        step = _round_up((most - least) / max(ticks - 1, 1))
        for _ in range(4):  # rounding to whole steps may need one more
            low, high = math.floor(least / step + 1e-9), math.ceil(most / step - 1e-9)
            if high - low < ticks:
                break
            step = _round_up(step * 1.01)
        axis = cls(low * step, high * step, high - low)
        if not (axis.low < axis.high and math.isfinite(axis.high - axis.low)):
            raise ValueError("no room between the bounds")
        return axis

    @property
    def step(self) -> float:
        return self.high / self.parts - self.low / self.parts

    def ticks(self) -> list[float]:
        shares = [number / self.parts for number in range(self.parts + 1)]
        return [self.low * (1 - share) + self.high * share for share in shares]

    def labels(self) -> list[str]:
        """The ticks, all with the same unit and decimals."""
        ticks = self.ticks()
        largest = max(abs(tick) for tick in ticks)
        power = _power(largest)
        if power is None:
            return [f"{tick:.3g}" for tick in ticks]
        scale = 1000.0**power
        decimals = 0
        while decimals < 12 and not _is_whole(self.step / scale * 10**decimals):
            decimals += 1
        return [
            "0" if abs(tick) < self.step / 1e6 else f"{tick / scale:.{decimals}f}{_PREFIXES[power]}" for tick in ticks
        ]


def short(value: float) -> str:
    """A value in six digits, with a prefix for thousands."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    power = _power(abs(value))
    if power is None:
        return f"{value:.6g}"
    return f"{value / 1000.0**power:.6g}{_PREFIXES[power]}"


def _is_whole(value: float) -> bool:
    return value > 0.5 and abs(value - round(value)) < 1e-6 * value


def _power(size: float) -> int | None:
    """Which power of thousand suits; None for numbers beyond all prefixes."""
    if size == 0 or 0.001 <= size < 10_000:
        return 0
    if not math.isfinite(size):
        return None
    power = math.floor(math.log10(size) / 3 + 1e-12)
    return power if power in _PREFIXES else None


def _round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    if power == 0:
        return value
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= value * (1 - 1e-9))


def round_step(step_ms: float) -> int:
    """The next round interval, in milliseconds."""
    return next((one for one in _INTERVALS if one >= step_ms), math.ceil(step_ms / _DAY) * _DAY)


def time_ticks(start_ms: int, end_ms: int, most: int) -> list[tuple[int, str]]:
    """(time, text), at most that many, at round times of the zone of whoever looks."""
    interval = max(round_step((end_ms - start_ms) / max(most, 1)), _SECOND)
    shift = _zone_ms(start_ms)
    first = -(-(start_ms + shift) // interval) * interval - shift
    ticks = []
    for at in range(first, end_ms + 1, interval):
        moved = at + shift - _zone_ms(at) if interval >= _HOUR else at  # summer time begins or ends in between
        if start_ms <= moved <= end_ms:
            ticks.append((moved, _tick_text(moved, interval)))
    return ticks


def _tick_text(time_ms: int, interval: int) -> str:
    stamp = datetime.fromtimestamp(time_ms / 1000, UTC).astimezone()
    if interval >= 30 * _DAY:
        return stamp.strftime("%Y-%m-%d")
    if interval >= _DAY or (stamp.hour == stamp.minute == stamp.second == 0):
        return stamp.strftime("%d %b")
    return stamp.strftime("%H:%M:%S" if interval < _MINUTE else "%H:%M")


def _zone_ms(time_ms: int) -> int:
    """How far the local zone is ahead of UTC then."""
    offset = datetime.fromtimestamp(time_ms / 1000, UTC).astimezone().utcoffset()
    return round(offset.total_seconds() * 1000) if offset is not None else 0
