"""Whole imports: what goes in comes out, interrupted or not."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.model.labels import Labels
from alerting.model.series import STALE
from alerting.storage.backfill import Backfill, Written
from alerting.storage.options import DAY_MS
from alerting.storage.store import Store
from alerting.transfer import importer
from alerting.transfer.importer import IN_THE_FUTURE, TOO_OLD, TWICE, BadFile
from alerting.transfer.spool import Spool
from tests.alerting.storage.model import bits
from tests.alerting.transfer.files import NOW, OPTIONS, Samples, exported, load, stored, text_of

HOUR = 3_600_000


def labels(number: int) -> Labels:
    return Labels.of({"__name__": f"m{number % 3}_total", "job": "x", "n": f'{number} "\\\n{{}}# é'})


def some(seed: int, series: int = 12, rows: int = 60) -> Samples:
    source = random.Random(seed)
    found: Samples = {}
    for number in range(series):
        start = NOW - source.randrange(HOUR, 20 * DAY_MS)
        times = [start + at * 15_000 + source.randrange(0, 20) for at in range(rows)]
        found[labels(number)] = [(at, source.choice([1.0, 2.5, 1e300, -7.0])) for at in times]
    return found


def test_what_is_stored_and_what_is_skipped(tmp_path: Path) -> None:
    one = labels(1)
    old, future = NOW - 40 * DAY_MS, NOW + 2 * HOUR
    rows = [(old, 1.0), (NOW - 5000, 2.0), (NOW - 7000, 3.0), (NOW - 5000, 4.0), (future, 5.0)]
    text = text_of({one: rows}).replace(b"# EOF", b"what is this\nup 1 2 3 4\n# EOF")
    report = load(tmp_path, text)
    assert stored(tmp_path) == {one: [(NOW - 7000, bits(3.0)), (NOW - 5000, bits(2.0))]}
    assert report.written == Written(2, 0, 0)
    assert report.tally.skipped == {TOO_OLD: 1, IN_THE_FUTURE: 1, TWICE: 1}
    assert [line.split(":")[0] for line in report.tally.bad_lines] == ["line 6", "line 7"]
    assert (report.first_ms, report.last_ms) == (NOW - 7000, NOW - 5000)


def test_a_line_that_is_cut_off_is_not_believed(tmp_path: Path) -> None:
    report = load(tmp_path, b"up 1 1699999990\nup 1 16999999")
    assert report.written.stored == 1
    assert report.tally.bad_lines == ["line 2: cut off: the file ends in the middle of it"]
    assert load(tmp_path, b"up 1 1699999991\n# EOF").tally.eof


def test_a_line_too_long_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importer, "READ_BYTES", 64)
    monkeypatch.setattr(importer, "LONGEST_LINE", 100)
    text = b"up 1 1699999990\nup" + b" " * 500 + b"\nup 2 1699999991\nup" + b"x" * 300 + b"\nup 3 1699999992\n"
    report = load(tmp_path, text)
    assert report.written.stored == 3
    assert [line.split(":")[0] for line in report.tally.bad_lines] == ["line 2", "line 4"]


def test_a_packed_file_that_is_cut_off_imports_nothing(tmp_path: Path) -> None:
    class Broken:
        def read(self, _: int) -> bytes:
            raise EOFError("Compressed file ended before the end-of-stream marker was reached")

    spool, _ = Spool.open(tmp_path / "spool", {}, OPTIONS.block_ms)
    work = importer.Import(spool, OPTIONS, NOW, lambda *_: None)
    with pytest.raises(BadFile, match="nothing was imported"):
        work.read(Broken(), None, lambda: 0)  # type: ignore[arg-type]
    spool.close()


def test_large_windows_are_written_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importer, "MOST_AT_ONCE", 100)
    monkeypatch.setattr(importer, "SPILL", 150)
    monkeypatch.setattr(importer, "READ_BYTES", 1000)
    series = {one.replace(instance=str(number % 3)): rows for number, (one, rows) in enumerate(some(5, 20, 50).items())}
    load(tmp_path, text_of(series))
    assert {one: [(at, bits(v)) for at, v in rows] for one, rows in sorted(series.items())} == stored(tmp_path)


def test_export_and_import_of_a_real_store_is_the_same_store(tmp_path: Path) -> None:
    """With everything a store may hold: holes, ends of series, rows that are in no block yet."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    store = Store.open(tmp_path / "a" / "metrics.db", OPTIONS, NOW)
    source = random.Random(4)
    writers = [store.source(name) for name in ("one", "two")]
    for number in range(700):
        now_ms = NOW - HOUR + number * 5000
        for place, writer in enumerate(writers):
            for column in range(6):
                writer.column(labels(column + 10 * place))
            frame = [source.choice([1.5, 2.0, STALE, float("-inf"), -0.0, 1e-9]) for _ in range(writer.width)]
            assert writer.append(now_ms + place, np.array(frame))
        if number % 50 == 0:
            assert store.flush(now_ms)
    store.close()
    text = exported(tmp_path / "a")
    report = load(tmp_path / "b", text.encode())
    assert report.tally.bad == 0
    assert stored(tmp_path / "a") == stored(tmp_path / "b")
    assert exported(tmp_path / "b") == text


VALUES = st.floats(width=64).filter(lambda value: value == value)  # noqa: PLR0124 - one NaN is like another in text
LABEL_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
SERIES = st.dictionaries(
    st.builds(
        lambda name, value: Labels.of({"__name__": name, "v": value}),
        st.sampled_from(["a", "b_total", "c:d"]),
        LABEL_TEXT,
    ),
    st.dictionaries(st.integers(0, 29 * DAY_MS), VALUES, min_size=1, max_size=6),
    min_size=1,
    max_size=5,
)


@given(SERIES)
@settings(max_examples=25, deadline=None)
def test_import_and_export_lose_nothing(series: dict[Labels, dict[int, float]]) -> None:
    samples: Samples = {
        one: sorted((NOW - age, value) for age, value in rows.items()) for one, rows in sorted(series.items())
    }
    with TemporaryDirectory() as first, TemporaryDirectory() as second:
        report = load(Path(first), text_of(samples))
        assert report.tally.bad == 0, report.tally.bad_lines
        found = stored(Path(first))
        assert found == {one: [(at, bits(value)) for at, value in rows] for one, rows in samples.items()}
        load(Path(second), exported(Path(first)).encode())
        assert stored(Path(second)) == found


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def killed_at(step: int) -> Iterator[None]:
    """The step-th write to the spool or to the store is the last one: half done, undone, or done and not noted."""
    counter = itertools.count()
    append, write = Spool._append, Backfill.write

    def broken_append(self: Spool, kind: bytes, data: bytes) -> int:
        if next(counter) == step:
            self._file.seek(self._end)
            self._file.write(kind + data[: len(data) // 2])
            raise Killed
        return append(self, kind, data)

    def broken_write(self: Backfill, runs: Any) -> Written:
        number = next(counter)
        if number == step and number % 2:
            raise Killed
        written = write(self, runs)
        if number == step:
            raise Killed
        return written

    with mock.patch.object(Spool, "_append", broken_append), mock.patch.object(Backfill, "write", broken_write):
        yield


@given(st.integers(0, 5), st.lists(st.integers(0, 60), min_size=1, max_size=3))
@settings(max_examples=25, deadline=None)
def test_interrupted_anywhere_and_run_again_is_the_same_as_once_through(seed: int, kills: list[int]) -> None:
    text = text_of(some(seed, 4, 20))
    with mock.patch.object(importer, "READ_BYTES", 700), mock.patch.object(importer, "SPILL", 30):
        with TemporaryDirectory() as whole, TemporaryDirectory() as broken:
            load(Path(whole), text)
            for step in kills:
                try:
                    with killed_at(step):
                        load(Path(broken), text)
                except Killed:
                    continue
            report = load(Path(broken), text)
            assert stored(Path(broken)) == stored(Path(whole))
            assert exported(Path(broken)) == exported(Path(whole))
            assert report.tally.samples == 80
            assert not (Path(broken) / "import.spool").exists()
