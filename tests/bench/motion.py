"""Recorded pages that live: values go on as they did between the two answers of a recording, with noise.

What rose keeps its pace on average: small counts as a Poisson process, large ones in uneven bursts, so that the numbers
are no easier to compress than real ones. What went up and down walks about where it was recorded. Numbers keep the
decimals they were recorded with, memory its pages of 4 KiB; what stood still stands still. The same seed gives the same
values.
"""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alerting.model.series import FloatArray

PAGES = Path(__file__).parent / "pages"
PEER_PAGE = Path(__file__).parent / "peer_pages" / "node_exporter.gz"
_COUNTING = ("counter", "histogram", "summary")
_PAGE_BYTES = 4096.0  # memory is counted in these


@dataclass(frozen=True, slots=True)
class Moving:
    """One sample line that moves. ``unit`` is the smallest difference its text can show; ``pace`` a second."""

    first: float
    second: float
    unit: float
    counter: bool
    steady: bool
    pace: float


class LivingPage:
    """One recording. A page has the text of its lines but for the values of those that move."""

    def __init__(self, recording: Path, *, apart_s: float, step_s: float, seed: int, extra: str = "") -> None:
        """``apart_s``: seconds between the two answers, ``step_s``: between two scrapes; ``extra``: lines put at the
        end, which stand still."""
        first, second = gzip.decompress(recording.read_bytes()).decode().split("\f")
        later = dict(line.rsplit(" ", 1) for line in second.splitlines() if not line.startswith("#"))
        self._parts: list[str] = []
        self._places: list[int] = []
        self._moving: list[Moving] = []
        self._step_s = step_s
        self._random = np.random.default_rng(seed)
        self.names: list[str] = []
        kind = ""
        for line in (first + extra).splitlines():
            name, _, value = line.rpartition(" ")
            if line.startswith("#"):
                kind = value if line.startswith("# TYPE") else kind
                self._parts.append(line + "\n")
                continue
            self.names.append(name)
            if later.get(name, value) != value:
                self._moving.append(_moving(value, later[name], apart_s, counter=_counts(name, kind)))
                self._places.append(len(self._parts) + 1)
                self._parts += [name + " ", "", "\n"]
            else:
                self._parts.append(line + "\n")
        self._last = np.array([one.first for one in self._moving])
        self._offset = np.zeros(len(self._moving))

    @property
    def series(self) -> int:
        return len(self.names)

    def next_values(self, rows: int) -> FloatArray:
        """The values that move for the next so many scrapes: rows x moving."""
        values = np.empty((rows, len(self._moving)))
        for column, one in enumerate(self._moving):
            if one.counter or one.steady:
                values[:, column] = self._last[column] + np.cumsum(self._steps(one, rows))
                self._last[column] = values[-1, column]
            else:
                values[:, column] = self._walk(column, one, rows)
            values[:, column] = np.round(values[:, column] / one.unit) * one.unit
            if one.unit < 1:
                values[:, column] = np.round(values[:, column], round(-np.log10(one.unit)))
        return values

    def text(self, values: FloatArray) -> bytes:
        """The page with one row of ``next_values``."""
        parts = self._parts.copy()
        for place, value in zip(self._places, values.tolist(), strict=True):
            parts[place] = repr(value)
        return "".join(parts).encode()

    def _steps(self, one: Moving, rows: int) -> FloatArray:
        """Steps of whole units."""
        usual = abs(one.pace) * self._step_s / one.unit
        if one.steady:
            steps = np.rint(usual + self._random.normal(0, min(usual / 1000, 1e6), rows))
        elif usual < 50:
            steps = self._random.poisson(usual, rows).astype(np.float64)
        else:
            steps = np.rint(self._random.gamma(4.0, usual / 4, rows))
        signed: FloatArray = np.sign(one.pace) * steps * one.unit
        return signed

    def _walk(self, column: int, one: Moving, rows: int) -> FloatArray:
        middle, width = (one.first + one.second) / 2, abs(one.second - one.first)
        shocks = self._random.normal(0, 0.45 * width, rows)
        path = np.empty(rows)
        offset = self._offset[column]
        for row, shock in enumerate(shocks.tolist()):
            offset = 0.9 * offset + shock
            path[row] = offset
        self._offset[column] = offset
        low = min(one.first, one.second)
        return np.maximum(middle + path, 0.0 if low >= 0 else -np.inf)


def _moving(first: str, second: str, apart_s: float, *, counter: bool) -> Moving:
    start, end = float(first), float(second)
    unit = 10.0 ** -max(_shown_decimals(first), _shown_decimals(second))
    if start % _PAGE_BYTES == 0 and end % _PAGE_BYTES == 0:
        unit = _PAGE_BYTES
    # A clock is no counter to its exporter, but goes on like one.
    steady = not counter and 0.5 * apart_s < end - start < 1.6 * apart_s and start > 1e8
    return Moving(start, end, unit, counter and end > start, steady, 1.0 if steady else (end - start) / apart_s)


def _counts(name: str, kind: str) -> bool:
    """Whether it only rises; node_exporter does not say so of what the kernel counts for the network and memory."""
    if "quantile=" in name:
        return False
    return kind in _COUNTING or (kind == "untyped" and name.startswith(("node_netstat_", "node_vmstat_")))


def _shown_decimals(text: str) -> int:
    """How many decimals a number's text shows, nine at most."""
    found = re.fullmatch(r"-?\d+(?:\.(\d+))?(?:e([+-]\d+))?", text)
    if found is None:
        return 0
    decimals = len(found[1] or "") if found[1] != "0" else 0
    return min(max(decimals - int(found[2] or 0), 0), 9)
