"""A rectangle of samples as a short string of bytes, and back, bit for bit.

Each column becomes small integers (``columns``), which are split into byte planes (all lowest bytes first, as Blosc's
shuffle filter does), and deflated. ``ABSENT`` and ``STALE`` places are kept apart and read as the value before
them, so that a hole costs nothing to the encoding. A CRC-32 leads, so damage is told from data.

    u32 crc of the rest | raw deflate of:
    u8 version | u8 has holes | u32 columns | u32 rows
    u32 ids, each minus the one before; byte planes
    u8 mode | u8 decimals | u8 shift | u8 width, an array of each
    i64 first | i64 second; byte planes
    with holes: u8 (columns) whether it has any | u8 (those x rows) 0 sample, 1 absent, 2 stale
    for each width 1..8: byte planes, width x columns of that width x (rows - 1)

All integers are little-endian.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from alerting.model.series import ABSENT_BITS, STALE_BITS, FloatArray, IntArray
from alerting.storage.columns import DECIMALS, XOR, Plan, U8Array, choose, fill_holes, planes, restore

IdArray = npt.NDArray[np.uint32]

VERSION = 1
_MOST = np.array([[XOR], [max(DECIMALS)], [63], [8]], np.uint8)  # of mode, decimals, shift and width
_HEAD = struct.Struct("<BBII")
_CRC = struct.Struct("<I")
PADDING = 1 << 12  # cells more that one go may take to spare another
MAX_CELLS = 1 << 26  # 512 MiB of float64: what a damaged header may not exceed


class Damaged(ValueError):
    """These bytes are not what was written."""


def encode(ids: IdArray, values: FloatArray, level: int = 6) -> bytes:
    """``values`` is columns x rows, C-contiguous, at least one of each; ``ids`` ascending. ``level`` is zlib's."""
    columns, rows = values.shape
    bits = values.view(np.int64)
    holes = (bits == ABSENT_BITS) | (bits == STALE_BITS)
    parts: list[bytes] = []
    holed = holes.any(axis=1)
    if holed.any():
        kinds = holes[holed].astype(np.uint8)
        kinds[bits[holed] == STALE_BITS] = 2
        parts = [holed.astype(np.uint8).tobytes(), kinds.tobytes()]
        bits = bits.copy()
        bits[holed] = fill_holes(bits[holed], holes[holed])
    plan = choose(bits)
    head = [
        _HEAD.pack(VERSION, bool(parts), columns, rows),
        planes(np.diff(ids, prepend=np.uint32(0)).astype(np.uint32).view(np.uint8).reshape(1, columns, 4)),
        plan.mode.tobytes(),
        plan.decimals.tobytes(),
        plan.shift.tobytes(),
        plan.width.tobytes(),
        planes(plan.first.view(np.uint8).reshape(1, columns, 8)),
        planes(plan.second.view(np.uint8).reshape(1, columns, 8)),
    ]
    body = []
    octets = plan.deltas.view(np.uint8).reshape(columns, rows - 1, 8) if rows > 1 else np.zeros((columns, 0, 8), "u1")
    for width in range(1, 9):
        chosen = plan.width == width
        if chosen.any():
            body.append(planes(octets[chosen][:, :, :width]))
    packer = zlib.compressobj(level, zlib.DEFLATED, -15, 9)
    packed = packer.compress(b"".join([*head, *parts, *body])) + packer.flush()
    return _CRC.pack(zlib.crc32(packed)) + packed


@dataclass(frozen=True, slots=True)
class Inflated:
    """A rectangle unpacked, its columns still differences in a few bytes each: what is worth keeping in memory.

    ``coding`` is mode, decimals, shift and width, ``ends`` first and second number of each column: 4 and 2 rows.
    ``groups`` has, by width, the byte planes of all columns of that width (width x columns x (rows - 1)); ``place``
    says where a column stands in its group, ``holed`` where in ``holes`` (-1: it has none).
    """

    ids: IdArray
    rows: int
    coding: U8Array
    ends: IntArray
    groups: dict[int, U8Array]
    place: npt.NDArray[np.intp]
    holed: npt.NDArray[np.intp] | None
    holes: U8Array | None
    bytes: int


Wanted: TypeAlias = tuple[Inflated, npt.NDArray[np.intp]]
"""A rectangle and the numbers of some of its columns."""


def decode(data: bytes, wanted: IdArray | None = None) -> tuple[IdArray, FloatArray]:
    """The ids and the columns x rows; only the columns in ``wanted`` when given. Raises Damaged."""
    found = inflate(data)
    keep = np.arange(len(found.ids)) if wanted is None else np.flatnonzero(np.isin(found.ids, wanted))
    return found.ids[keep], columns([(found, keep)])[0]


def inflate(data: bytes) -> Inflated:
    """Raises Damaged."""
    try:
        return _inflate(data)
    except (ValueError, IndexError, struct.error, zlib.error, OverflowError) as error:
        raise Damaged(f"chunk of {len(data)} bytes: {error}") from error


def _inflate(data: bytes) -> Inflated:
    if len(data) < _CRC.size or zlib.crc32(memoryview(data)[_CRC.size :]) != _CRC.unpack_from(data)[0]:
        raise Damaged("checksum does not match")
    reader = _Reader(zlib.decompress(memoryview(data)[_CRC.size :], -15))
    version, has_holes, count, rows = _HEAD.unpack(reader.take(_HEAD.size))
    if version != VERSION or not rows or count * rows > MAX_CELLS:
        raise Damaged(f"version {version}, {count} columns x {rows} rows")
    ids: IdArray = np.cumsum(reader.shuffled(count, 4).view(np.uint32).ravel(), dtype=np.uint32)
    coding = reader.octets(4 * count).reshape(4, count)
    if (coding > _MOST).any():
        raise Damaged("unknown encoding")
    ends = reader.octets(2 * 8 * count).reshape(2, 8, count).transpose(0, 2, 1).copy().view(np.int64)[:, :, 0]
    holed = holes = None
    if has_holes:
        marked = reader.octets(count).astype(bool)
        holed = np.where(marked, np.cumsum(marked) - 1, -1)
        holes = reader.octets(int(marked.sum()) * rows).reshape(-1, rows)
    groups = {}
    place = np.zeros(count, np.intp)
    width = coding[3]
    for size in sorted(set(width.tolist()) - {0}):
        chosen = (width == size).nonzero()[0]
        place[chosen] = np.arange(len(chosen))
        groups[size] = reader.octets(size * len(chosen) * (rows - 1)).reshape(size, len(chosen), rows - 1)
    size = len(reader.data) + 60 * count
    return Inflated(ids, rows, coding, ends, groups, place, holed, holes, size)


def columns(wanted: Sequence[Wanted]) -> list[FloatArray]:
    """The columns x rows of each; many at once, for numpy's sake."""
    found: dict[int, FloatArray] = {}
    for numbers in _of_like_length(wanted):
        found.update(zip(numbers, _together([wanted[number] for number in numbers]), strict=True))
    return [found[number] for number in range(len(wanted))]


def _of_like_length(wanted: Sequence[Wanted]) -> list[list[int]]:
    """Their numbers in groups: what is restored together is padded to the longest."""
    groups: list[list[int]] = []
    longest = padding = 0
    for number in sorted(range(len(wanted)), key=lambda number: -wanted[number][0].rows):
        found, chosen = wanted[number]
        padding += (longest - found.rows) * len(chosen)
        if not groups or padding > PADDING:
            groups.append([])
            longest, padding = found.rows, 0
        groups[-1].append(number)
    return groups


def _together(wanted: Sequence[Wanted]) -> list[FloatArray]:
    most = max(part.rows for part, _ in wanted)
    deltas = np.zeros((sum([len(chosen) for _, chosen in wanted]), most - 1), np.uint64)
    coding = np.concatenate([part.coding.take(chosen, 1) for part, chosen in wanted], axis=1)
    ends = np.concatenate([part.ends.take(chosen, 1) for part, chosen in wanted], axis=1)
    at = 0
    for part, chosen in wanted:
        widths = coding[3, at : at + len(chosen)]
        different = set(widths.tolist())
        for width in different - {0}:
            where = (widths == width).nonzero()[0] if len(different) > 1 else slice(None)
            group, places = part.groups[width], part.place[chosen[where]]
            numbers = group[0, places].astype(np.uint64)
            for plane in range(1, width):
                numbers |= group[plane, places].astype(np.uint64) << np.uint64(8 * plane)
            deltas[at : at + len(chosen)][where, : part.rows - 1] = numbers
        at += len(chosen)
    mode, decimals, shift, width = coding
    plan = Plan(mode, decimals, shift, width, first=ends[0], second=ends[1], deltas=deltas)
    values = restore(plan, most)
    found = []
    at = 0
    for part, chosen in wanted:
        its = values[at : at + len(chosen), : part.rows]
        if part.holed is not None and part.holes is not None:
            _put_holes(its, part.holed[chosen], part.holes)
        found.append(its)
        at += len(chosen)
    return found


def _put_holes(values: FloatArray, holed: npt.NDArray[np.intp], holes: U8Array) -> None:
    where = np.flatnonzero(holed >= 0)
    if len(where):
        kinds = holes[holed[where]]
        bits = values.view(np.int64)[where]
        bits[kinds == 1] = ABSENT_BITS
        bits[kinds == 2] = STALE_BITS
        values[where] = bits.view(np.float64)


class _Reader:
    """Takes arrays off the front of a string of bytes; too short a string is damage."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self._octets: U8Array = np.frombuffer(data, np.uint8)

    def take(self, size: int) -> bytes:
        self.at += size
        if self.at > len(self.data):
            raise Damaged("cut short")
        return self.data[self.at - size : self.at]

    def octets(self, size: int) -> U8Array:
        self.at += size
        if self.at > len(self.data):
            raise Damaged("cut short")
        return self._octets[self.at - size : self.at]

    def shuffled(self, items: int, width: int) -> U8Array:
        return self.octets(items * width).reshape(width, items).T.copy()


# --- times ----------------------------------------------------------------------------------------------------------


def encode_times(times: IntArray) -> bytes:
    """Ascending milliseconds as a chunk of one column of whole numbers (exact up to 2**53)."""
    return encode(np.zeros(1, np.uint32), times.astype(np.float64).reshape(1, -1))


def decode_times(data: bytes) -> IntArray:
    """Raises Damaged."""
    _, values = decode(data)
    times: IntArray = values[0].astype(np.int64)
    return times


def decode_many_times(chunks: Sequence[bytes]) -> list[IntArray | None]:
    """Those of several blocks; None for one that is damaged."""
    parts: list[Inflated | None] = []
    for data in chunks:
        try:
            parts.append(inflate(data))
        except Damaged:
            parts.append(None)
    good = [part if part is not None and len(part.ids) == 1 else None for part in parts]
    only = np.zeros(1, np.intp)
    restored = iter(columns([(part, only) for part in good if part is not None]))
    return [None if part is None else next(restored)[0].astype(np.int64) for part in good]
