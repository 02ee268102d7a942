"""Rows on their way to disk, before they are chunks: one string of bytes for all sources' rows of one flush.

Few values change between two scrapes, so each row is kept as its bits against those of the row before (xor), split
into byte planes and deflated. Every ``key_every`` flushes a row starts from nothing; the rows up to the next such one
form a group and can only be read in order.

    u32 crc of the rest | deflate of: u8 version | u16 sources | for each:
    u32 source | u64 number of its first row | u8 whether it starts from nothing | u32 rows | u32 columns
    i64 times | u32 ids, each minus the one before | byte planes of rows x columns u64

All integers are little-endian.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np

from alerting.model.series import ABSENT_BITS, IntArray
from alerting.storage.codec import MAX_CELLS, Damaged
from alerting.storage.columns import planes
from alerting.storage.head import Rows

VERSION = 1
_START = struct.Struct("<BH")
_PART = struct.Struct("<IQBII")
_CRC = struct.Struct("<I")


@dataclass(slots=True)
class Base:
    """The last row written for a source: what the next one is told against."""

    ids: IntArray
    bits: IntArray
    end: int


class TailWriter:
    """Encodes; ``commit`` once what was encoded is on disk."""

    def __init__(self) -> None:
        self._bases: dict[int, Base] = {}
        self._pending: dict[int, Base] = {}

    def restart(self) -> None:
        """The next rows start from nothing."""
        self._bases = {}

    def encode(self, parts: dict[int, Rows]) -> bytes:
        """``parts`` has each source's new rows, at least one row each."""
        self._pending = {}
        out = [_START.pack(VERSION, len(parts))]
        for source, rows in parts.items():
            base = self._bases.get(source)
            width = len(rows.ids)
            ids = rows.ids.astype(np.int64)
            if base is not None and not (base.end == rows.first and np.array_equal(base.ids, ids[: len(base.ids)])):
                base = None  # rows are missing in between, or columns were given up
            bits = np.empty((len(rows.times) + 1, width), np.int64)
            bits[0] = 0
            if base is not None:
                bits[0] = ABSENT_BITS
                bits[0, : len(base.bits)] = base.bits
            bits[1:] = rows.values.view(np.int64)
            out.append(_PART.pack(source, rows.first, base is None, len(rows.times), width))
            out.append(rows.times.tobytes())
            out.append(np.diff(ids, prepend=0).astype(np.int32).tobytes())
            out.append(planes((bits[1:] ^ bits[:-1]).view(np.uint8).reshape(len(rows.times), width, 8)))
            self._pending[source] = Base(ids, bits[-1].copy(), rows.end)
        packed = zlib.compress(b"".join(out), 3)
        return _CRC.pack(zlib.crc32(packed)) + packed

    def commit(self) -> None:
        self._bases.update(self._pending)
        self._pending = {}


class TailReader:
    """Decodes in the order of writing; a new one for each group."""

    def __init__(self) -> None:
        self._bases: dict[int, Base] = {}

    def decode(self, data: bytes) -> list[tuple[int, Rows]]:
        """Each source's rows. Raises Damaged; the rest of the group is unreadable then."""
        try:
            return self._decode(data)
        except (ValueError, struct.error, zlib.error) as error:
            raise Damaged(f"tail row of {len(data)} bytes: {error}") from error

    def _decode(self, data: bytes) -> list[tuple[int, Rows]]:
        if len(data) < _CRC.size or zlib.crc32(memoryview(data)[_CRC.size :]) != _CRC.unpack_from(data)[0]:
            raise Damaged("checksum does not match")
        body = zlib.decompress(memoryview(data)[_CRC.size :])
        version, sources = _START.unpack_from(body)
        if version != VERSION:
            raise Damaged(f"version {version}")
        at, found = _START.size, []
        for _ in range(sources):
            source, first, fresh, count, width = _PART.unpack_from(body, at)
            if count * width > MAX_CELLS or not count:
                raise Damaged(f"{count} rows x {width} columns")
            at += _PART.size
            times = np.frombuffer(body, np.int64, count, at)
            at += 8 * count
            ids = np.cumsum(np.frombuffer(body, np.int32, width, at), dtype=np.int64)
            at += 4 * width
            octets = np.frombuffer(body, np.uint8, count * width * 8, at).reshape(8, count, width)
            at += count * width * 8
            bits = octets.transpose(1, 2, 0).copy(order="C").view(np.int64).reshape(count, width)
            if not fresh:
                base = self._bases.get(source)
                if base is None or base.end != first or not np.array_equal(base.ids, ids[: len(base.ids)]):
                    raise Damaged("the row before it is missing")
                bits[0, : len(base.bits)] ^= base.bits
                bits[0, len(base.bits) :] ^= ABSENT_BITS
            np.bitwise_xor.accumulate(bits, axis=0, out=bits)
            self._bases[source] = Base(ids, bits[-1].copy(), first + count)
            found.append((source, Rows(first, ids.astype(np.uint32), times, bits.view(np.float64))))
        return found
