"""The values a query answers with, and how numbers are written.

Times are milliseconds since the epoch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from alerting.model.labels import Labels
from alerting.model.series import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Scalar:
    time_ms: int
    value: float


@dataclass(frozen=True, slots=True)
class String:
    time_ms: int
    value: str


@dataclass(frozen=True, slots=True)
class Vector:
    """Series with one value each, all at one time. Iterates as (Labels, float)."""

    time_ms: int
    labels: Sequence[Labels]
    values: Sequence[float]

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[tuple[Labels, float]]:
        return zip(self.labels, self.values, strict=True)


@dataclass(frozen=True, slots=True)
class Series:
    """``times`` ascending; as many ``values``."""

    labels: Labels
    times: IntArray
    values: FloatArray

    def __iter__(self) -> Iterator[tuple[int, float]]:
        return zip(self.times.tolist(), self.values.tolist(), strict=True)


@dataclass(frozen=True, slots=True)
class Matrix:
    """Series with many values each, sorted by labels; none is empty."""

    series: Sequence[Series]

    def __len__(self) -> int:
        return len(self.series)

    def __iter__(self) -> Iterator[Series]:
        return iter(self.series)


Value = Scalar | String | Vector | Matrix


@dataclass(frozen=True, slots=True)
class Result:
    """An answer and what Prometheus would have said about it. ``samples``: how many were held for it."""

    value: Value
    warnings: tuple[str, ...] = field(default=())
    infos: tuple[str, ...] = field(default=())
    samples: int = 0

    def with_warning(self, text: str) -> Result:
        return replace(self, warnings=(*self.warnings, text))


def format_value(value: float) -> str:
    """A sample as the HTTP API writes it: Go's shortest decimal, with an exponent below 1e-6 and from 1e21 on
    (util/jsonutil/marshal.go of Prometheus)."""
    if value != 0 and math.isfinite(value) and not 1e-6 <= abs(value) < 1e21:
        return _exponent(value)
    return format_plain(value)


def format_plain(value: float) -> str:
    """Go's strconv.FormatFloat(value, 'f', -1, 64): shortest digits that read back the same, never an exponent."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
    text = repr(float(value))
    if "e" in text:
        text = np.format_float_positional(value, trim="-")
    return text.removesuffix(".0").removesuffix(".")


def _exponent(value: float) -> str:
    """Go's 'e' format: shortest digits, at least two digits of exponent."""
    text = np.format_float_scientific(value, trim="-", exp_digits=2)
    mantissa, _, exponent = text.partition("e")
    return f"{mantissa.removesuffix('.')}e{exponent}"


def format_general(value: float, digits: int | None = None) -> str:
    """Go's %g, or %.Ng: an exponent from 1e21 on (from N digits on) and below 1e-4."""
    if not math.isfinite(value) or value == 0:
        return format_plain(value)
    text = repr(value) if digits is None else f"{value:.{digits}g}"
    most = 21 if digits is None else digits
    exponent = math.floor(math.log10(abs(float(text))))
    if -4 <= exponent < most:
        return format_plain(float(text))
    mantissa, _, power = f"{float(text):e}".partition("e") if "e" not in text else text.partition("e")
    if "e" not in text:
        mantissa = repr(float(text) / 10.0**exponent)
    return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(power):+03d}"
