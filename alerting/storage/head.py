"""The newest rows of one source, uncompressed in memory: what is being written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from alerting.model.labels import Labels
from alerting.model.series import ABSENT, ABSENT_BITS, STALE_BITS, BoolArray, FloatArray, IntArray
from alerting.storage.codec import IdArray
from alerting.storage.newest import Newest

ROWS, COLUMNS = 64, 32  # smallest capacity


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a head as they stood at one moment; ``values`` is rows x columns. Never written to again."""

    first: int
    """The number of the first row, counted from the source's first one ever."""
    ids: IdArray
    times: IntArray
    values: FloatArray

    @property
    def end(self) -> int:
        """The number after the last row's."""
        return self.first + len(self.times)

    def without_empty_columns(self) -> Rows:
        """The same rows with those columns only that have a sample."""
        used = (self.values.view(np.int64) != ABSENT_BITS).any(axis=0)
        return self if used.all() else Rows(self.first, self.ids[used], self.times, self.values[:, used])


class Head:
    """A source's writer (``FrameWriter``), and its rows that are not chunks yet.

    Rows are numbered from the source's first one ever. A head has one writer at a time (a target's loop, a rule), on
    whatever thread; ``rows`` and ``window`` may be used on any, at the same time: rows already written never change,
    and arrays are replaced, never shrunk in place.
    """

    def __init__(
        self,
        source: int,
        *,
        register: Callable[[int, Labels], int],
        newest: Newest,
        ceiling_ms: Callable[[], int],
        max_rows: int,
        first_row: int = 0,
        columns: Sequence[tuple[int, Labels]] = (),
    ) -> None:
        """``register`` makes a series' id; ``newest`` hears of every sample; ``ceiling_ms`` is the latest time to be
        believed; ``columns`` are known ones."""
        self.source = source
        self.lock = threading.Lock()
        self.refused = 0
        self.dropped = 0
        self.frames = 0
        self.samples = 0
        self.saved = first_row
        """The number of the first row that is on no disk."""
        self.last_ms: int | None = None
        self._register = register
        self._ceiling_ms = ceiling_ms
        self._max_rows = max_rows
        self._first = first_row
        self._count = 0
        self._index = {labels: column for column, (_, labels) in enumerate(columns)}
        self._ids = [series_id for series_id, _ in columns]
        self._column_of = {series_id: column for column, series_id in enumerate(self._ids)}
        self._newest = newest
        self._slots = [newest.take_slot() for _ in columns]
        self._slot_array: IntArray = np.array(self._slots, np.int64)
        self._times = np.zeros(ROWS, np.int64)
        self._values = _blank(ROWS, len(columns) + COLUMNS)
        self._live: BoolArray = np.zeros(self._values.shape[1], np.bool_)

    # --- FrameWriter ------------------------------------------------------------------------------------------------

    def column(self, labels: Labels) -> int:
        found = self._index.get(labels)
        if found is not None:
            return found
        with self.lock:
            series_id = self._register(self.source, labels)
            column = len(self._ids)
            if column == self._values.shape[1]:
                self._replace(len(self._times), column + column // 4 + COLUMNS)
            self._ids.append(series_id)
            self._slots.append(self._newest.take_slot())
            self._column_of[series_id] = column
            self._index[labels] = column
            return column

    @property
    def width(self) -> int:
        return len(self._ids)

    def append(self, time_ms: int, row: FloatArray) -> bool:
        width = len(self._ids)
        if row.shape != (width,) or row.dtype != np.float64:
            raise ValueError(f"a row of {width} float64 is wanted, not {row.shape} of {row.dtype}")
        with self.lock:
            if (self.last_ms is not None and time_ms <= self.last_ms) or time_ms > self._ceiling_ms():
                self.refused += 1
                return False
            self._push(time_ms, row)
            self.frames += 1
            return True

    def close(self, time_ms: int) -> None:
        with self.lock:
            if self._live.any() and (self.last_ms is None or time_ms > self.last_ms):
                self._push(time_ms, np.full(len(self._ids), ABSENT))

    # --- the store's side -------------------------------------------------------------------------------------------

    def put_back(self, rows: Rows) -> int:
        """Rows read back from disk, before anything is appended; returns how many did not ascend in time.

        They are numbered one after the other. Staleness markers are in them already.
        """
        columns = np.array([self._column_of[int(series_id)] for series_id in rows.ids], np.intp)
        refused = 0
        with self.lock:
            for time_ms, values in zip(rows.times.tolist(), rows.values, strict=True):
                if self.last_ms is not None and time_ms <= self.last_ms:
                    refused += 1
                    continue
                self._make_room()
                self._times[self._count] = time_ms
                self._values[self._count, columns] = values
                self._tell_newest(time_ms, self._values[self._count])
                self._count += 1
                self.last_ms = time_ms
            if self._count:
                bits = self._values[self._count - 1].view(np.int64)
                self._live = (bits != ABSENT_BITS) & (bits != STALE_BITS)
            self.saved = self._first + self._count
        return refused

    def resume(self, last_ms: int | None, ids: IdArray, values: FloatArray) -> None:
        """Go on after rows that are all in blocks: the time of the last one, and its values."""
        bits = np.ascontiguousarray(values).view(np.int64)
        live = ids[(bits != ABSENT_BITS) & (bits != STALE_BITS)]
        with self.lock:
            self.last_ms = last_ms
            self._live[[self._column_of[series_id] for series_id in live.tolist() if series_id in self._column_of]] = (
                True
            )

    def rows(self, first: int = 0) -> Rows:
        """The rows from number ``first`` on; no copy. The caller holds the lock, or is the only one writing."""
        low = min(max(first - self._first, 0), self._count)
        ids = np.array(self._ids, np.uint32)
        values = self._values[low : self._count, : len(ids)]
        return Rows(self._first + low, ids, self._times[low : self._count], values)

    def window(self, start_ms: int, end_ms: int) -> tuple[IntArray, FloatArray]:
        """Times and rows x capacity of the rows in a window, ends included; no copy. The caller holds the lock.

        Right only while times ascend, which ``append`` and ``start_over`` see to.
        """
        times = self._times[: self._count]
        low = int(times.searchsorted(start_ms))
        high = int(times.searchsorted(end_ms, side="right"))
        return times[low:high], self._values[low:high]

    def column_of(self, series_id: int) -> int | None:
        return self._column_of.get(series_id)

    def place_of(self, series_id: int) -> tuple[int, int] | None:
        """The column of a series and its slot in ``Newest``; the caller holds the lock."""
        column = self._column_of.get(series_id)
        return None if column is None else (column, self._slots[column])

    def ids(self) -> list[int]:
        return list(self._ids)

    @property
    def count(self) -> int:
        return self._count

    @property
    def first(self) -> int:
        return self._first

    def drop(self, end: int) -> None:
        """Forget rows before number ``end``: they are chunks now. The caller holds the lock."""
        keep = min(max(self._first + self._count - end, 0), self._count)
        gone = self._count - keep
        times, values = self._times, self._values
        capacity = max(ROWS, 1 << (keep * 2).bit_length())
        # Columns come nearly all with the first page, and leave a quarter of room unused.
        columns = min(values.shape[1], len(self._ids) + COLUMNS)
        self._times = np.zeros(capacity, np.int64)
        self._values = _blank(capacity, columns)
        self._live = self._live[:columns].copy()
        self._times[:keep] = times[gone : gone + keep]
        self._values[:keep] = values[gone : gone + keep, :columns]
        self._count = keep
        self._first += gone
        self.saved = max(self.saved, self._first)

    def unsaved(self) -> None:
        """No row is on disk any more. The caller holds the lock."""
        self.saved = self._first

    def start_over(self) -> None:
        """Accept any time again: the clock that gave the last one was wrong. The caller holds the lock."""
        self.last_ms = None

    def _push(self, time_ms: int, row: FloatArray) -> None:
        """The caller holds the lock."""
        self.last_ms = time_ms
        width = len(self._ids)
        if not self._live.any() and bool((row.view(np.int64) == ABSENT_BITS).all()):
            return  # nothing was and nothing is: a group of rules without an alert takes no room
        self._make_room()
        target = self._values[self._count]
        target[:width] = row
        bits = target.view(np.int64)
        absent = bits == ABSENT_BITS
        ended = absent & self._live
        bits[ended] = STALE_BITS
        self.samples += width - int(np.count_nonzero(absent[:width]))
        self._live = ~absent
        self._live &= bits != STALE_BITS
        self._times[self._count] = time_ms
        self._count += 1
        self._tell_newest(time_ms, target)

    def _tell_newest(self, time_ms: int, row: FloatArray) -> None:
        if len(self._slot_array) != len(self._slots):
            self._slot_array = np.array(self._slots, np.int64)
        values = row[: len(self._slots)]
        given = values.view(np.int64) != ABSENT_BITS
        if given.all():
            self._newest.put(self._slot_array, time_ms, values)
        else:
            self._newest.put(self._slot_array[given], time_ms, values[given])

    def _make_room(self) -> None:
        if self._count >= self._max_rows:
            gone = max(self._count // 8, 1)
            self.dropped += gone
            self.drop(self._first + gone)
        if self._count == len(self._times):
            self._replace(self._count * 2, self._values.shape[1])

    def _replace(self, rows: int, columns: int) -> None:
        times, values = np.zeros(rows, np.int64), _blank(rows, columns)
        times[: self._count] = self._times[: self._count]
        values[: self._count, : self._values.shape[1]] = self._values[: self._count]
        live = np.zeros(columns, np.bool_)
        live[: len(self._live)] = self._live
        self._times, self._values, self._live = times, values, live


def _blank(rows: int, columns: int) -> FloatArray:
    values: FloatArray = np.full((rows, columns), ABSENT)
    return values
