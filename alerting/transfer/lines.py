"""Lines of OpenMetrics text with timestamps become numbers: which series, when, how much.

Format: https://prometheus.io/docs/specs/om/open_metrics_spec/. Also read is what ``promtool tsdb dump`` of Prometheus 2
prints (the name among the labels, milliseconds). A head (name and labels as written) is parsed once and then looked up.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from alerting.model.labels import Labels
from alerting.model.series import STALE, FloatArray, IntArray
from alerting.scrape.line import PageError, excerpt, parse_sample

LABEL_BYTES = 64 * 1024
SHOWN = 10  # bad lines told in full
# What an export writes of a series' end, where OpenMetrics has no word for it; others skip it as a HELP line.
ENDED = b"tierwatch: ended "
_ENDED_LINE = re.compile(rb'# HELP (?:"(?:[^"\\]|\\.)*"|[^ ]+) tierwatch: ended (.+) (\S+)\Z')
_DUMPED = re.compile(rb'\{(.*?)__name__=("(?:[^"\\]|\\.)*")(?:, ?)?(.*)\Z', re.DOTALL)
_QUOTED = re.compile(rb'\{\s*"(?:[^"\\]|\\.)*"\s*[,}]')
_NATIVE = re.compile(rb"[\s}]\{\s*(?:count|schema|sum)\s*:")
_OPEN_BRACE = ord("{")


@dataclass(slots=True)
class Tally:
    """What was read and what was left out; numbers of samples where nothing else is said."""

    lines: int = 0
    samples: int = 0
    bad: int = 0
    """Lines that cannot be read; ``bad_lines`` are the first ones, each with its number and what was expected."""
    bad_lines: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    """Reason -> samples."""
    exemplars: int = 0
    eof: bool = False

    def reject(self, message: str) -> None:
        self.bad += 1
        if len(self.bad_lines) < SHOWN:
            self.bad_lines.append(message)


@dataclass(slots=True)
class Chunk:
    """Samples in the order of the file: numbers of their series, milliseconds since the epoch, values."""

    series: IntArray
    times: IntArray
    values: FloatArray


class LineReader:
    """Holds the series seen so far, at most ``max_series``; ``series`` are their labels by number."""

    def __init__(self, max_series: int, tally: Tally) -> None:
        self.series: list[Labels] = []
        self.tally = tally
        self._max = max_series
        self._numbers: dict[Labels, int] = {}
        self._heads: dict[bytes, int] = {}
        self._start()

    def know(self, labels: Labels) -> None:
        """The next series, from an earlier run over the same file."""
        self._numbers[labels] = len(self.series)
        self.series.append(labels)

    @property
    def pending(self) -> int:
        """Samples read and not yet taken."""
        return len(self._which)

    def take(self) -> Chunk:
        """The samples read since the last time."""
        seconds = np.array(self._seconds, np.float64)
        with np.errstate(all="ignore"):
            times = np.rint(seconds * 1000)
        chunk = Chunk(
            np.array(self._which, np.int64),
            np.clip(np.nan_to_num(times), -(2.0**62), 2.0**62).astype(np.int64),
            np.array(self._values, np.float64),
        )
        self._start()
        return chunk

    def read(self, lines: list[bytes]) -> None:
        """Whole lines, without their ends."""
        heads, number = self._heads, self.tally.lines
        which, seconds, values = self._which.append, self._seconds.append, self._values.append
        for line in lines:
            number += 1
            parts = line.rsplit(b" ", 2)
            series = heads.get(parts[0])
            if series is not None and len(parts) == 3 and b"_" not in parts[1] and b"_" not in parts[2]:
                try:
                    value, stamp = float(parts[1]), float(parts[2])
                except ValueError:
                    pass
                else:
                    if line[0] == _OPEN_BRACE:
                        stamp /= 1000
                    which(series)
                    values(value)
                    seconds(stamp)
                    continue
            if line:
                self.tally.lines = number
                self._careful(line, number)
        self.tally.lines = number

    def _start(self) -> None:
        self._which = array("I")
        self._seconds = array("d")
        self._values = array("d")

    def _careful(self, line: bytes, number: int) -> None:
        line = line.rstrip(b"\r")
        if line[:1] == b"#":
            self._comment(line, number)
            return
        if not line.strip():
            return
        self.tally.eof |= line[0] == _OPEN_BRACE and _QUOTED.match(line) is None  # a dump has no such end
        try:
            head, pairs, value, stamp = _sample(line, number)
        except PageError as error:
            self.tally.reject(str(error))
            return
        series = self._number(Labels.of(pairs))
        if series is None:
            return
        if head is not None:
            if len(self._heads) > 4 * self._max:  # the same series may be written in many ways
                self._heads.clear()
            self._heads[head] = series
        self.tally.exemplars += head is None and b"# {" in line
        self._which.append(series)
        self._values.append(value)
        self._seconds.append(stamp)

    def _comment(self, line: bytes, number: int) -> None:
        if line.rstrip() == b"# EOF":
            self.tally.eof = True
            return
        found = _ENDED_LINE.match(line) if ENDED in line else None
        if found is None:
            return
        try:
            _, pairs, _, stamp = _sample(found[1] + b" 0 " + found[2], number)
        except PageError as error:
            self.tally.reject(str(error))
            return
        series = self._number(Labels.of(pairs))
        if series is not None:
            self._which.append(series)
            self._values.append(STALE)
            self._seconds.append(stamp)

    def _number(self, labels: Labels) -> int | None:
        number = self._numbers.get(labels)
        if number is None:
            if len(self.series) >= self._max:
                self.tally.skipped[f"more than {self._max} series"] += 1
                return None
            number = self._numbers[labels] = len(self.series)
            self.series.append(labels)
        return number


def _sample(line: bytes, number: int) -> tuple[bytes | None, list[tuple[str, str]], float, float]:
    """(head as it is looked up, None when something follows the timestamp; labels; value; seconds).

    Raises PageError with the line's number and what was expected.
    """
    scale = 1.0
    text = line
    quoted = _QUOTED.match(line) is not None
    if line[:1] == b"{" and not quoted:
        dumped = _DUMPED.match(line)
        if dumped is None:
            raise PageError(f"line {number}: expected a metric name, got {excerpt(line)}")
        text = b"{" + dumped[2] + b"," + dumped[1] + dumped[3]
        scale = 0.001
    try:
        found = parse_sample(text, number, LABEL_BYTES)
    except PageError as error:
        if _NATIVE.search(text):
            raise PageError(f"line {number}: a native histogram; only samples that are numbers are stored") from error
        raise
    rest = text[len(found.head) :].split()
    if len(rest) < 2 or rest[1][:1] == b"#":
        raise PageError(f"line {number}: expected a timestamp after the value, got {excerpt(line)}")
    stamp = float(rest[1]) * scale
    parts = line.rsplit(b" ", 2)
    # A dumped head ends with its braces; any other is what was parsed.
    alone = parts[0].endswith(b"}") if scale < 1 else parts[0] == found.head
    # What begins with a brace and is looked up is of a dump, in milliseconds.
    plain = len(rest) == 2 and parts[1:] == rest and alone and not quoted
    return (parts[0] if plain else None), found.pairs, found.value, stamp
