"""What the rooms above know of the store.

Writing goes by *frames*: a source (a scrape target, a rule group) appends one row of values at one time; each
column is a series. A column that had a value in the source's previous frame and has none in this one gets the
staleness marker, so a series that vanishes, a target that fails and a rule that stops firing all end the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from alerting.model.labels import Labels
from alerting.model.matcher import Matcher
from alerting.model.series import FloatArray, IntArray, SeriesData


class StorageError(Exception):
    """The store could not do what was asked; the message says what and where."""


class FrameWriter(Protocol):
    """One source's columns."""

    def column(self, labels: Labels) -> int:
        """The column of a series, made on first use. Stable until ``compact``.

        Raises StorageError when the store has as many series as it may have; the rest of the frame can be stored.
        """

    @property
    def width(self) -> int:
        """Number of columns so far: the length of a row."""

    def append(self, time_ms: int, row: FloatArray) -> bool:
        """Store one frame. ``row`` has ``width`` float64 values; ``ABSENT`` where the source gave none.

        The row is copied. A time not after the source's last one is refused: False, and nothing is stored; unless it
        is so long before it that the clock must have been set back. Raises ValueError for a row of another shape.
        Cheap: it never waits for the disk.
        """

    def compact(self) -> IntArray | None:
        """Give up the columns of series that ended so long ago that no row in memory has a sample of theirs, once they
        are many. The one who writes calls it, after a frame.

        For each column of before its number from now on, -1 for one that is gone; None when all stayed as it was.
        """

    def close(self, time_ms: int) -> None:
        """The source is gone: every live series gets its staleness marker. Appending later is allowed."""


class Querier(Protocol):
    """Reading. Times are milliseconds since the epoch, both ends included."""

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[SeriesData]:
        """Series that match, sorted by labels, each with its samples in the window; those without are left out.

        Arrays may be shared between series and must not be written to. Raises StorageError when it would read too
        much or the disk fails. Reads from disk: not on the event loop when the window reaches back further than the
        rows in memory.
        """

    def series(self, matcher_sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[Labels]:
        """Label sets of series with a sample in the window that match any of the sets (all when empty); sorted."""


@dataclass(frozen=True, slots=True)
class Instant:
    """One sample a series, sorted by labels; ``times`` in milliseconds since the epoch. Not to be written to."""

    labels: Sequence[Labels]
    times: IntArray
    values: FloatArray


@dataclass(frozen=True, slots=True)
class Runs:
    """Samples of many series, one series after another: those of series ``i`` are at ``bounds[i]:bounds[i + 1]``.

    Series sorted by labels; times in milliseconds, strictly ascending within a series; staleness markers included.
    """

    labels: Sequence[Labels]
    times: IntArray
    values: FloatArray
    bounds: IntArray


@runtime_checkable
class QuickQuerier(Querier, Protocol):
    """A querier that can answer a query about the last minutes without looking elsewhere than into memory."""

    def latest(self, matchers: Sequence[Matcher], time_ms: int, lookback_ms: int) -> Instant | None:
        """The newest sample in (time - lookback, time] of each series that matches; a series whose newest one is a
        staleness marker is left out. None when that takes a ``select``: a time long past, a store just opened.
        """

    def recent(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Runs | None:
        """What ``select`` gives, as runs. None when that takes a ``select``: a start further back than memory goes."""


class QuerySession(Querier, Protocol):
    """What one query reads from, where more than the own memory and disk is asked."""

    @property
    def quick(self) -> QuickQuerier | None:
        """What answers from memory alone, if anything does."""

    def at(self, matchers: Sequence[Matcher], times: IntArray, lookback_ms: int) -> list[SeriesData]:
        """Samples enough to see, at each of some evenly spaced times, the newest sample no older than the lookback,
        or a staleness marker where the series had ended; sorted by labels. Raises StorageError.
        """


@runtime_checkable
class PerQuery(Protocol):
    """A querier that wants to know of each query: how long it may take, and where to tell what it could not do."""

    def begin(self, deadline: float | None, warn: Callable[[str], None]) -> QuerySession:
        """``deadline`` is a reading of time.monotonic(); ``warn`` gets whole sentences for the one who asks."""


class Storage(Querier, Protocol):
    def source(self, name: str) -> FrameWriter:
        """The writer of a source; the same name gives the same writer again.

        After a restart it goes on where it stopped: with the time of its last frame, and with what was live then, so
        that a series which is missing from the next frame gets its staleness marker. Columns are numbered anew.
        """
