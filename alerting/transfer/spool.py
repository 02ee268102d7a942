"""What an import has read so far, sorted by window of time, in one file that survives kill -9.

Text lists series by series, blocks are made window by window: between both lies this file. It only ever grows; a run
that finds one goes on after its last complete mark.

    u8 kind | u32 length | u32 crc of the kind and the rest | the rest

    'F' JSON: whose spool this is        'S' JSON: labels of the next series
    'D' i64 window | u32 samples | deflated byte planes of u32 series, i64 milliseconds, f64 values
    'M' JSON: a mark; everything before it is complete

All integers are little-endian.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

from alerting.model.labels import Labels
from alerting.storage.ports import StorageError
from alerting.transfer.lines import Chunk

VERSION = 1
_HEAD = struct.Struct("<cII")
_DATA = struct.Struct("<qI")
_MOST = 1 << 28


@dataclass(frozen=True, slots=True)
class Segment:
    window: int
    offset: int
    length: int
    samples: int


class Spool:
    """``mark`` is the last one written (empty at the beginning). Raises StorageError when the disk refuses."""

    def __init__(self, path: Path, file: BinaryIO, window_ms: int) -> None:
        """For ``Spool.open``."""
        self._window_ms = window_ms
        self.path = path
        self.mark: dict[str, Any] = {}
        self.series: list[Labels] = []
        self.segments: list[Segment] = []
        self._file = file
        self._end = 0

    @classmethod
    def open(cls, path: Path, owner: dict[str, Any], window_ms: int) -> tuple[Self, bool]:
        """The spool of ``owner`` and whether it goes on from before; that of another owner is thrown away."""
        owner = {**owner, "version": VERSION, "window_ms": window_ms}
        try:
            file = path.open("r+b") if path.exists() else path.open("w+b")
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror or error}") from error
        spool = cls(path, file, window_ms)
        try:
            going_on = spool._recover(owner)
            if not going_on:
                file.truncate(0)
                spool = cls(path, file, window_ms)
                spool._append(b"F", json.dumps(owner).encode())
                spool.put_mark({})
        except BaseException:
            spool.close()
            raise
        return spool, going_on

    def put_series(self, labels: Sequence[Labels]) -> None:
        if labels:
            self._append(b"S", json.dumps([dict(one) for one in labels]).encode())
            self.series += labels

    def put(self, chunk: Chunk) -> None:
        """Samples of any time, in the order of the file."""
        windows = chunk.times // self._window_ms
        order = np.argsort(windows, kind="stable")
        starts = np.flatnonzero(np.diff(windows[order], prepend=windows[order][:1] - 1))
        for rows in np.split(order, starts[1:]) if len(order) else ():
            window = int(windows[rows[0]])
            body = b"".join(
                (
                    _planes(np.diff(chunk.series[rows], prepend=0).astype(np.int32)),
                    _planes(np.diff(chunk.times[rows], prepend=0)),
                    _planes(chunk.values[rows]),
                )
            )
            data = _DATA.pack(window, len(rows)) + zlib.compress(body, 1)
            offset = self._append(b"D", data)
            self.segments.append(Segment(window, offset, len(data), len(rows)))

    def put_mark(self, mark: dict[str, Any]) -> None:
        """Durable on return, with all before it."""
        self._append(b"M", json.dumps(mark).encode())
        try:
            self._file.flush()
            os.fdatasync(self._file.fileno())
        except OSError as error:
            raise _cannot_write(self.path, error) from error
        self.mark = mark

    def windows(self) -> dict[int, list[Segment]]:
        """The segments of each window, windows ascending, segments as they were put."""
        found: dict[int, list[Segment]] = {}
        for segment in self.segments:
            found.setdefault(segment.window, []).append(segment)
        return dict(sorted(found.items()))

    def read(self, segments: Sequence[Segment]) -> Iterator[Chunk]:
        """Each segment's samples. Raises StorageError."""
        for segment in segments:
            try:
                self._file.seek(segment.offset)
                data = self._file.read(segment.length)
                yield _decode(data)
            except (OSError, ValueError, struct.error, zlib.error) as error:
                raise StorageError(f"{self.path}: cannot be read back: {error}") from error

    def size(self) -> int:
        return self._end

    def close(self) -> None:
        with suppress(OSError):  # what a full disk did not take has been told; the next run starts at the last mark
            self._file.close()

    def remove(self) -> None:
        self.close()
        self.path.unlink(missing_ok=True)

    def _append(self, kind: bytes, data: bytes) -> int:
        """Returns where ``data`` begins."""
        try:
            self._file.seek(self._end)
            self._file.write(_HEAD.pack(kind, len(data), zlib.crc32(data, zlib.crc32(kind))) + data)
        except OSError as error:
            raise _cannot_write(self.path, error) from error
        offset = self._end + _HEAD.size
        self._end = offset + len(data)
        return offset

    def _recover(self, owner: dict[str, Any]) -> bool:
        """Read up to the last mark; what follows was not complete and goes. False for another owner's."""
        known = False
        good: tuple[int, int, int] | None = None  # end, series, segments
        for kind, data in self._records():
            offset = self._end - len(data)
            if kind == b"F":
                known = json.loads(data) == owner
                if not known:
                    return False
            elif kind == b"S":
                self.series += [Labels.of(one) for one in json.loads(data)]
            elif kind == b"D":
                window, samples = _DATA.unpack_from(data)
                self.segments.append(Segment(window, offset, len(data), samples))
            elif kind == b"M":
                self.mark = json.loads(data)
                good = self._end, len(self.series), len(self.segments)
        if not known or good is None:
            return False
        self._end = good[0]
        del self.series[good[1] :]
        del self.segments[good[2] :]
        self._file.truncate(self._end)
        return True

    def _records(self) -> Iterator[tuple[bytes, bytes]]:
        self._file.seek(0)
        while len(head := self._file.read(_HEAD.size)) == _HEAD.size:
            kind, length, crc = _HEAD.unpack(head)
            if length > _MOST:
                return
            data = self._file.read(length)
            if len(data) != length or zlib.crc32(data, zlib.crc32(kind)) != crc:
                return
            self._end += _HEAD.size + length
            yield kind, data


def _cannot_write(path: Path, error: OSError) -> StorageError:
    return StorageError(f"{path}: {error.strerror or error}; make room and run the same import again: it goes on")


def _planes(values: npt.NDArray[Any]) -> bytes:
    return np.ascontiguousarray(values.view(np.uint8).reshape(len(values), values.itemsize).T).tobytes()


def _decode(data: bytes) -> Chunk:
    _, count = _DATA.unpack_from(data)
    body = zlib.decompress(memoryview(data)[_DATA.size :])
    parts = []
    at = 0
    for kind in (np.int32, np.int64, np.float64):
        size = np.dtype(kind).itemsize
        plane = np.frombuffer(body, np.uint8, count * size, at).reshape(size, count)
        parts.append(np.ascontiguousarray(plane.T).view(kind).ravel())
        at += count * size
    return Chunk(np.cumsum(parts[0], dtype=np.int64), np.cumsum(parts[1], dtype=np.int64), parts[2].astype(np.float64))
