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
from alerting.storage.options import MINUTE_MS

ROWS, COLUMNS = 64, 32  # smallest capacity
ENDED_COLUMNS = 32  # of series that ended: so many are not worth moving the others


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

    def after(self, first: int) -> Rows:
        """Those from number ``first`` on."""
        low = min(max(first - self.first, 0), len(self.times))
        return Rows(self.first + low, self.ids, self.times[low:], self.values[low:]) if low else self

    def up_to(self, count: int) -> Rows:
        """The first so many."""
        return Rows(self.first, self.ids, self.times[:count], self.values[:count])

    def within(self, start_ms: int, end_ms: int) -> Rows:
        """Those in a window, ends included; for rows whose times ascend."""
        low = int(self.times.searchsorted(start_ms))
        high = int(self.times.searchsorted(end_ms, side="right"))
        return Rows(self.first + low, self.ids, self.times[low:high], self.values[low:high])

    def followed_by(self, later: Rows) -> Rows:
        """Both; ``later`` has the columns of these and perhaps more after them."""
        values = np.full((len(self.times) + len(later.times), len(later.ids)), ABSENT)
        values[: len(self.times), : len(self.ids)] = self.values
        values[len(self.times) :] = later.values
        return Rows(self.first, later.ids, np.concatenate((self.times, later.times)), values)


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
        ended: Callable[[Sequence[int]], None] = lambda _: None,
        newest: Newest,
        max_rows: int,
        step_back_ms: int = MINUTE_MS,
        first_row: int = 0,
        columns: Sequence[tuple[int, Labels]] = (),
    ) -> None:
        """``register`` makes a series' id, ``ended`` hears of those that lost their column, ``newest`` of every sample;
        a time more than ``step_back_ms`` before the last one is believed; ``columns`` are known ones."""
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
        self._ended = ended
        self._rows_went = False  # since columns were last looked at
        self._max_rows = max_rows
        self._step_back_ms = step_back_ms
        self._past: tuple[Rows, ...] = ()
        self._first = first_row
        self._count = 0
        self._index = {labels: column for column, (_, labels) in enumerate(columns)}
        self._ids = [series_id for series_id, _ in columns]
        self._id_array: IdArray = np.array(self._ids, np.uint32)  # of _ids, or of fewer: replaced when asked for
        self._column_of = {series_id: column for column, series_id in enumerate(self._ids)}
        self._newest = newest
        self._slots = [newest.take_slot() for _ in columns]
        self._slot_array: IntArray = np.array(self._slots, np.int64)
        self._times = np.zeros(0, np.int64)  # of a new target hundreds of columns come before the first row
        self._values = _blank(0, len(columns) + COLUMNS)
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
            if not self._takes(time_ms):
                self.refused += 1
                return False
            self._push(time_ms, row)
            self.frames += 1
            return True

    def close(self, time_ms: int) -> None:
        with self.lock:
            if self._live.any() and self._takes(time_ms):
                self._push(time_ms, np.full(len(self._ids), ABSENT))

    def compact(self) -> IntArray | None:
        if not self._rows_went:
            return None
        with self.lock:
            self._rows_went = False
            width = len(self._ids)
            values = self._values[: self._count, :width]
            used = (values.view(np.int64) != ABSENT_BITS).any(axis=0) | self._live[:width]
            kept, gone = used.nonzero()[0], (~used).nonzero()[0].tolist()
            if self._past or len(gone) <= max(ENDED_COLUMNS, width // 4):
                return None
            moved: IntArray = np.full(width, -1, np.int64)
            moved[kept] = np.arange(len(kept))
            ended, slots = [self._ids[column] for column in gone], [self._slots[column] for column in gone]
            self._keep_columns(kept.tolist(), moved)
            self._newest.give_back(slots)
            self._ended(ended)
            return moved

    # --- the store's side -------------------------------------------------------------------------------------------

    def put_back(self, rows: Rows) -> int:
        """Rows read back from disk, before anything is appended; returns how many did not ascend in time.

        They are numbered one after the other. Staleness markers are in them already.
        """
        columns = np.array([self._column_of[int(series_id)] for series_id in rows.ids], np.intp)
        refused = 0
        with self.lock:
            for time_ms, values in zip(rows.times.tolist(), rows.values, strict=True):
                if not self._takes(time_ms):
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
            self.saved = self.end
        return refused

    def resume(self, last_ms: int, ids: IdArray, values: FloatArray) -> None:
        """Go on after rows that are all in blocks: the time of the last one, and its values."""
        bits = np.ascontiguousarray(values).view(np.int64)
        live = ids[(bits != ABSENT_BITS) & (bits != STALE_BITS)]
        with self.lock:
            self.last_ms = last_ms
            self._live[[self._column_of[series_id] for series_id in live.tolist() if series_id in self._column_of]] = (
                True
            )

    def rows(self, first: int = 0) -> Rows:
        """The rows from number ``first`` on; no copy. The caller holds the lock, or is the only one writing.

        Times ascend but where the clock was set back.
        """
        rows = self.rows_now().after(first)
        for past in reversed(self._past):
            if past.end > first:
                rows = past.after(first).followed_by(rows)
        return rows

    def rows_now(self) -> Rows:
        """Those since the clock was last set back; no copy. The caller holds the lock."""
        if len(self._id_array) != len(self._ids):
            self._id_array = np.array(self._ids, np.uint32)
        ids = self._id_array
        return Rows(self._first, ids, self._times[: self._count], self._values[: self._count, : len(ids)])

    def oldest(self) -> Rows:
        """The rows that go to disk first: those of the clock's first setting, times ascending. The caller holds the
        lock."""
        return self._past[0] if self._past else self.rows_now()

    @property
    def past(self) -> tuple[Rows, ...]:
        """Rows from before the clock was set back, one for each setting; empty for most of a life."""
        return self._past

    def window(self, start_ms: int, end_ms: int) -> tuple[IntArray, FloatArray]:
        """Times and rows x capacity of the rows in a window, ends included; no copy. The caller holds the lock.

        Those from before the clock was set back are in ``past``.
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
        return self.end - self.first

    @property
    def first(self) -> int:
        past = self._past
        return past[0].first if past else self._first

    @property
    def end(self) -> int:
        """The number after the last row's."""
        return self._first + self._count

    def drop(self, end: int) -> None:
        """Forget rows before number ``end``: they are chunks now. The caller holds the lock."""
        self._rows_went = True
        self._past = tuple(past.after(end) for past in self._past if past.end > end)
        if end > self._first:
            self._drop(end)
        self.saved = max(self.saved, self.first)

    def _drop(self, end: int) -> None:
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

    def _keep_columns(self, kept: list[int], moved: IntArray) -> None:
        """The caller holds the lock."""
        self._ids = [self._ids[column] for column in kept]
        self._slots = [self._slots[column] for column in kept]
        self._id_array = np.array(self._ids, np.uint32)
        self._slot_array = np.array(self._slots, np.int64)
        self._column_of = {series_id: column for column, series_id in enumerate(self._ids)}
        places = moved.tolist()
        self._index = {labels: places[column] for labels, column in self._index.items() if places[column] >= 0}
        values = _blank(len(self._times), len(kept) + COLUMNS)
        values[: self._count, : len(kept)] = self._values[: self._count, kept]
        live = np.zeros(values.shape[1], np.bool_)
        live[: len(kept)] = self._live[kept]
        self._values, self._live = values, live

    def unsaved(self) -> None:
        """No row is on disk any more. The caller holds the lock."""
        self.saved = self.first

    def _takes(self, time_ms: int) -> bool:
        """Whether a row of this time can follow. The caller holds the lock.

        Not one at or before the last one's time; but when the clock was set back, by years at the first contact with a
        time server, what comes now is right or at least the present: a new run of rows begins.
        """
        if self.last_ms is None or time_ms > self.last_ms:
            return True
        if time_ms >= self.last_ms - self._step_back_ms:
            return False
        if self._count:
            self._past = (*self._past, self.rows_now())
            self._first += self._count
            self._count = 0
            self._times = np.zeros(ROWS, np.int64)
            self._values = _blank(ROWS, self._values.shape[1])
        return True

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
        if self.count >= self._max_rows:
            gone = max(self.count // 8, 1)
            self.dropped += gone
            self.drop(self.first + gone)
        if self._count == len(self._times):
            # A quarter more: doubling would leave half of the largest arrays of the process unused.
            self._replace(self._count + max(ROWS, self._count // 4), self._values.shape[1])

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
