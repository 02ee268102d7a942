"""Importing a file: read it into a spool, then write it window by window into the store.

Both halves go on where they stopped: the spool knows how far the file was read and what of it is written, and the
store itself refuses what it has, so that a kill -9 between a window's commit and its mark doubles nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

from alerting.model.labels import Labels
from alerting.model.series import IntArray, SeriesData
from alerting.storage.backfill import Backfill, Written
from alerting.storage.options import HOUR_MS, StoreOptions
from alerting.storage.ports import StorageError
from alerting.transfer.lines import Chunk, LineReader, Tally
from alerting.transfer.spool import Segment, Spool

READ_BYTES = 1 << 20
LONGEST_LINE = 1 << 20
SPILL = 500_000  # samples held before they go to the spool: 20 bytes each
MOST_AT_ONCE = 2_000_000  # samples made into blocks at once
TOO_OLD, IN_THE_FUTURE, TWICE = "older than the retention", "in the future", "a second sample at the same time"


class BadFile(Exception):
    """The file cannot be read; the message says what to do."""


@dataclass(slots=True)
class Report:
    """What an import has done, all its runs together."""

    tally: Tally = field(default_factory=Tally)
    written: Written = field(default_factory=Written)
    first_ms: int | None = None
    last_ms: int | None = None


Tell = Callable[[str, float | None, str], None]


class Import:
    """One file. ``tell`` hears how far it is: (what, share done, detail)."""

    def __init__(self, spool: Spool, options: StoreOptions, now_ms: int, tell: Tell) -> None:
        self._spool = spool
        self._options = options
        self._oldest_ms = now_ms - options.retention_ms
        self._newest_ms = now_ms + HOUR_MS
        self._tell = tell
        mark = spool.mark
        self.report = _report(mark.get("report"))
        self._offset = self._at = int(mark.get("offset", 0))
        self._done = mark.get("window")  # windows are written in ascending order

    @property
    def all_read(self) -> bool:
        """The file is in the spool as a whole."""
        return bool(self._spool.mark.get("all_read"))

    def read(self, file: BinaryIO, size: int | None, position: Callable[[], int]) -> None:
        """The rest of the file into the spool. ``size`` and ``position`` are those of the file as it lies on disk."""
        reader = LineReader(self._options.max_series, self.report.tally)
        for labels in self._spool.series:
            reader.know(labels)
        _skip(file, self._offset)
        rest = b""
        try:
            while data := self._more(file):
                rest = _whole_lines(reader, rest + data)
                if len(rest) > LONGEST_LINE:
                    rest = _whole_lines(reader, self._pass_over(file))
                if reader.pending >= SPILL:
                    self._spill(reader, self._at - len(rest))
                share = position() / size if size else None
                samples = self.report.tally.samples + reader.pending
                self._tell("reading", share, f"{samples:,} samples")
        except (OSError, EOFError, zlib.error) as error:
            raise BadFile(f"the file is damaged or cut off ({error}); nothing was imported") from error
        if rest:
            if rest.rstrip() == b"# EOF":
                reader.read([rest])
            else:
                self.report.tally.lines += 1
                self.report.tally.reject(f"line {self.report.tally.lines}: cut off: the file ends in the middle of it")
        self._spill(reader, self._at, all_read=True)

    def write(self, store: Backfill) -> None:
        """All windows that are not written yet."""
        windows = self._spool.windows()
        total = sum(segment.samples for segments in windows.values() for segment in segments)
        done = 0
        for window, segments in windows.items():
            samples = sum(segment.samples for segment in segments)
            if self._done is None or window > self._done:
                for chunk in self._pieces(segments, samples):
                    self._write_piece(store, chunk)
                    self._tell("writing", done / total, f"{self.report.written.stored:,} samples stored")
                self._done = window
                self._put_mark(all_read=True)
            done += samples

    # --- reading ----------------------------------------------------------------------------------------------------

    def _more(self, file: BinaryIO) -> bytes:
        data = file.read(READ_BYTES)
        self._at += len(data)
        return data

    def _pass_over(self, file: BinaryIO) -> bytes:
        """To the end of a line that is too long to be one; returns what was read of the next ones."""
        self.report.tally.lines += 1
        self.report.tally.reject(f"line {self.report.tally.lines}: longer than {LONGEST_LINE} bytes")
        while data := self._more(file):
            _, end, rest = data.partition(b"\n")
            if end:
                return rest
        return b""

    def _spill(self, reader: LineReader, offset: int, *, all_read: bool = False) -> None:
        chunk = reader.take()
        tally = self.report.tally
        tally.samples += len(chunk.times)
        old, future = chunk.times < self._oldest_ms, chunk.times > self._newest_ms
        for reason, which in ((TOO_OLD, old), (IN_THE_FUTURE, future)):
            if which.any():
                tally.skipped[reason] += int(which.sum())
        keep = ~(old | future)
        kept = chunk if keep.all() else Chunk(chunk.series[keep], chunk.times[keep], chunk.values[keep])
        if len(kept.times):
            first, last = int(kept.times.min()), int(kept.times.max())
            self.report.first_ms = first if self.report.first_ms is None else min(first, self.report.first_ms)
            self.report.last_ms = last if self.report.last_ms is None else max(last, self.report.last_ms)
        self._spool.put_series(reader.series[len(self._spool.series) :])
        self._spool.put(kept)
        self._offset = offset
        self._put_mark(all_read=all_read)

    def _put_mark(self, *, all_read: bool) -> None:
        report = self.report
        tally = report.tally
        self._spool.put_mark(
            {
                "offset": self._offset,
                "all_read": all_read,
                "window": self._done,
                "report": {
                    "tally": [tally.lines, tally.samples, tally.bad, tally.exemplars, tally.eof],
                    "bad_lines": tally.bad_lines,
                    "skipped": dict(tally.skipped),
                    "written": [report.written.stored, report.written.known, report.written.refused],
                    "span": [report.first_ms, report.last_ms],
                },
            }
        )

    # --- writing ----------------------------------------------------------------------------------------------------

    def _pieces(self, segments: Sequence[Segment], samples: int) -> Iterator[Chunk]:
        """The samples of a window in pieces that fit into memory, those of a target in one."""
        pieces = -(-samples // MOST_AT_ONCE)
        if pieces == 1:
            yield _joined(list(self._spool.read(segments)))
            return
        piece_of = _targets(self._spool.series) % pieces
        for piece in range(pieces):
            parts = [_rows(chunk, piece_of[chunk.series] == piece) for chunk in self._spool.read(segments)]
            yield _joined(parts)

    def _write_piece(self, store: Backfill, chunk: Chunk) -> None:
        order = np.lexsort((chunk.times, chunk.series))  # stable: of equal times the first in the file leads
        series, times, values = chunk.series[order], chunk.times[order], chunk.values[order]
        keep = np.ones(len(series), np.bool_)
        keep[1:] = (series[1:] != series[:-1]) | (times[1:] != times[:-1])
        twice = int(len(keep) - keep.sum())
        if twice:
            self.report.tally.skipped[TWICE] += twice
            series, times, values = series[keep], times[keep], values[keep]
        starts = np.flatnonzero(np.diff(series, prepend=-1)).tolist()
        if not starts:
            return
        runs = [
            SeriesData(self._spool.series[int(series[low])], times[low:high], values[low:high])
            for low, high in zip(starts, [*starts[1:], len(series)], strict=True)
        ]
        self.report.written += store.write(runs)


def _whole_lines(reader: LineReader, text: bytes) -> bytes:
    """Reads them; returns the beginning of the line that has no end yet."""
    lines = text.split(b"\n")
    rest = lines.pop()
    reader.read(lines)
    return rest


def _report(saved: dict[str, Any] | None) -> Report:
    report = Report()
    if saved:
        tally = report.tally
        tally.lines, tally.samples, tally.bad, tally.exemplars, tally.eof = saved["tally"]
        tally.bad_lines = list(saved["bad_lines"])
        tally.skipped.update(saved["skipped"])
        report.written = Written(*saved["written"])
        report.first_ms, report.last_ms = saved["span"]
    return report


def _skip(file: BinaryIO, offset: int) -> None:
    """To a place of the (unpacked) text."""
    if not offset:
        return
    if file.seekable():
        file.seek(offset)
        return
    while offset:
        got = len(file.read(min(offset, READ_BYTES)))
        if not got:
            raise StorageError("the file is shorter than it was when its import began; start anew with --restart")
        offset -= got


def _rows(chunk: Chunk, which: Any) -> Chunk:
    return Chunk(chunk.series[which], chunk.times[which], chunk.values[which])


def _joined(chunks: Sequence[Chunk]) -> Chunk:
    return Chunk(
        np.concatenate([chunk.series for chunk in chunks]),
        np.concatenate([chunk.times for chunk in chunks]),
        np.concatenate([chunk.values for chunk in chunks]),
    )


def _targets(series: Sequence[Labels]) -> IntArray:
    """A number for each series, the same for those of one target: they belong into the same blocks."""
    names = (f"{labels.get('job')}\xff{labels.get('instance')}" for labels in series)
    return np.array([zlib.crc32(name.encode("utf-8", "replace")) for name in names], np.int64)
