"""Samples of any time put into a store that has some already."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.model.labels import Labels
from alerting.model.matcher import Matcher
from alerting.model.series import SeriesData
from alerting.storage import backfill as module
from alerting.storage.backfill import Backfill, Written
from alerting.storage.snapshot import Snapshot
from alerting.storage.store import Store, StoreOptions
from tests.alerting.storage.model import Answer, answer, bits

HOUR = 3_600_000
WINDOW = 2 * HOUR
NOW = 1_700_000_400_000 // WINDOW * WINDOW + 30 * WINDOW
OPTIONS = StoreOptions()


def labels(number: int, job: str = "node") -> Labels:
    return Labels.of({"__name__": f"m{number % 3}", "job": job, "n": str(number)})


def run(number: int, samples: Sequence[tuple[int, float]], job: str = "node") -> SeriesData:
    times, values = zip(*samples, strict=True)
    return SeriesData(labels(number, job), np.array(times, np.int64), np.array(values, np.float64))


def write(path: Path, *windows: Sequence[SeriesData], options: StoreOptions = OPTIONS) -> Written:
    backfill = Backfill.open(path, options, NOW)
    try:
        total = Written()
        for runs in windows:
            total += backfill.write(runs)
        return total
    finally:
        backfill.close()


def everything(path: Path) -> Answer:
    with Snapshot.open(path, NOW) as snapshot:
        return answer(snapshot.select([], 0, NOW + HOUR))


def test_a_store_that_an_aggregator_opens_afterwards_has_the_samples(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    start = NOW - WINDOW
    assert write(path, [run(1, [(start, 1.0), (start + 5000, 2.0)])]) == Written(2, 0, 0)
    store = Store.open(path, OPTIONS, NOW)
    try:
        assert answer(store.select([], 0, NOW)) == {
            labels(1): [(start, bits(1.0)), (start + 5000, bits(2.0))],
        }
        assert store.flush(NOW)
    finally:
        store.close()


def test_what_is_there_already_stays(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    store = Store.open(path, OPTIONS, NOW)
    writer = store.source("scrape/one")
    writer.column(labels(1))
    writer.append(NOW - 20_000, np.array([10.0]))
    writer.append(NOW - 10_000, np.array([11.0]))
    assert store.flush(NOW)
    store.close()
    incoming = [run(1, [(NOW - 30_000, 1.0), (NOW - 20_000, 2.0), (NOW - 15_000, 3.0)])]
    assert write(path, incoming) == Written(2, 1, 0)
    assert write(path, incoming) == Written(0, 3, 0)
    assert everything(path) == {
        labels(1): [
            (NOW - 30_000, bits(1.0)),
            (NOW - 20_000, bits(10.0)),
            (NOW - 15_000, bits(3.0)),
            (NOW - 10_000, bits(11.0)),
        ]
    }


def test_rules_go_on_reading_from_memory_after_an_import(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    write(path, [run(1, [(NOW - 3 * WINDOW, 1.0)])])
    store = Store.open(path, OPTIONS, NOW)
    try:
        writer = store.source("scrape/one")
        writer.column(labels(1))
        writer.append(NOW, np.array([5.0]))
        found = store.latest((Matcher("__name__", "=", "m1"),), NOW, 300_000)
        assert found is not None
        assert found.values.tolist() == [5.0]
    finally:
        store.close()


def test_a_sample_imported_a_minute_ago_is_found_by_rules(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    write(path, [run(1, [(NOW - 60_000, 7.0)])])
    store = Store.open(path, OPTIONS, NOW)
    try:
        matchers = (Matcher("__name__", "=", "m1"),)
        assert store.latest(matchers, NOW, 300_000) is None  # memory does not know: the disk has to be asked
        (found,) = store.select(matchers, NOW - 300_000, NOW)
        assert found.values.tolist() == [7.0]
    finally:
        store.close()


def test_too_many_series_are_counted_not_stored(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    runs = [run(number, [(NOW - 5000, 1.0), (NOW, 2.0)]) for number in range(5)]
    assert write(path, runs, options=StoreOptions(max_series=3)) == Written(6, 0, 4)
    assert len(everything(path)) == 3


def test_regular_data_of_two_targets_costs_less_than_two_bytes_a_sample(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    start = NOW - WINDOW
    source = np.random.default_rng(3)
    count, runs = 0, []
    for job in ("a", "b"):
        times = np.sort(start + np.arange(480) * 15_000 + source.integers(0, 40, 480))
        for number in range(60):
            kind = number % 3
            if kind == 0:
                values = np.cumsum(source.integers(0, 50, 480)).astype(np.float64)
            elif kind == 1:
                values = np.full(480, float(number))
            else:
                values = np.round(40 + source.normal(0, 1, 480), 1)
            runs.append(SeriesData(labels(number, job), times, values))
            count += 480
    backfill = Backfill.open(path, OPTIONS, NOW)
    before = backfill.file_bytes()
    assert backfill.write(runs).stored == count
    assert (backfill.file_bytes() - before) / count < 2
    backfill.close()


SAMPLES = st.dictionaries(st.integers(0, 40), st.sampled_from([0.0, 1.5, float("inf"), -2.0]), min_size=1, max_size=12)
FILES = st.lists(st.dictionaries(st.integers(0, 4), SAMPLES, min_size=1, max_size=5), min_size=1, max_size=4)


@given(FILES, st.sampled_from([1, 3, 60]), st.sampled_from([1, module.MOST_READ]))
@settings(max_examples=25, deadline=None)
def test_several_files_give_the_union_where_the_first_wins(
    files: list[dict[int, dict[int, float]]], spread: int, most_read: int
) -> None:
    start = NOW - 3 * WINDOW
    wanted: dict[Labels, dict[int, int]] = {}
    with TemporaryDirectory() as folder, mock.patch.object(module, "MOST_READ", most_read):
        path = Path(folder) / "metrics.db"
        for content in files:
            runs = [
                run(number, sorted((start + at * 1000 * spread, value) for at, value in samples.items()))
                for number, samples in content.items()
            ]
            before = sum(map(len, wanted.values()))
            for one in runs:
                of_it = wanted.setdefault(one.labels, {})
                for at, value in zip(one.times.tolist(), one.values.tolist(), strict=True):
                    of_it.setdefault(at, bits(value))
            written = write(path, runs)
            assert written.stored == sum(map(len, wanted.values())) - before
            assert written.stored + written.known == sum(len(one.times) for one in runs)
        assert everything(path) == {one: sorted(samples.items()) for one, samples in sorted(wanted.items())}
