"""Samples of a series, and the two NaN values that carry meaning.

``STALE`` is Prometheus' staleness marker (model/value/value.go: 0x7ff0000000000002): the series ended here.
``ABSENT`` never leaves the store: a place in a column where the source gave no sample.
Both are NaN to arithmetic, so they are told apart by their bits, never by comparison.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alerting.model.labels import Labels

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

STALE_BITS = 0x7FF0000000000002
ABSENT_BITS = 0x7FF8000000000AB5


def _from_bits(bits: int) -> float:
    value: float = struct.unpack("<d", struct.pack("<Q", bits))[0]
    return value


STALE = _from_bits(STALE_BITS)
ABSENT = _from_bits(ABSENT_BITS)


def is_stale(values: FloatArray) -> BoolArray:
    """Where the staleness marker stands. ``values`` must be float64."""
    result: BoolArray = np.ascontiguousarray(values).view(np.int64) == STALE_BITS
    return result


def is_absent(values: FloatArray) -> BoolArray:
    """Where no sample was given."""
    result: BoolArray = np.ascontiguousarray(values).view(np.int64) == ABSENT_BITS
    return result


@dataclass(frozen=True, slots=True)
class SeriesData:
    """One series' samples: ``times`` in milliseconds since the epoch, strictly ascending; staleness markers
    included, absent places not."""

    labels: Labels
    times: IntArray
    values: FloatArray
