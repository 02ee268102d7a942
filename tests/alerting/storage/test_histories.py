"""Any history of frames, flushes, restarts and leaps of time reads as the obvious model says."""

from __future__ import annotations

import struct
import tempfile
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from alerting.model.labels import Labels
from alerting.model.matcher import Matcher
from alerting.model.series import ABSENT, STALE
from alerting.storage import head as heads
from alerting.storage import merging
from alerting.storage.store import Store, StoreOptions
from tests.alerting.storage.model import Model, answer, points, unrolled

START = 1_700_000_000_000
OPTIONS = StoreOptions(
    seal_after_ms=60_000,
    seal_after_rows=16,
    keep_ms=20_000,
    block_ms=100_000,
    long_block_ms=500_000,
    key_every=3,
    cache_bytes=20_000,
)
SOURCES = ["a", "b", "c"]
SERIES = [Labels.of({"__name__": f"m{number % 3}", "n": str(number)}) for number in range(6)]
any_bits = st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0])
values = st.sampled_from([0.0, 1.0, -0.0, STALE, ABSENT, float("nan"), 0.25, 12.34]) | st.integers(0, 999).map(float)
frames = st.dictionaries(st.sampled_from(SERIES), values | any_bits, max_size=6)


class Histories(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.pieces = ExitStack()
        self.pieces.enter_context(patch.object(merging, "CELLS_AT_ONCE", 100))  # merges are under way at any moment
        self.pieces.enter_context(patch.object(heads, "ENDED_COLUMNS", 0))
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "samples.db"
        self.now = START
        self.store = Store.open(self.path, OPTIONS, self.now)
        self.model = Model()

    def teardown(self) -> None:
        if hasattr(self, "store"):
            assert self.store.stats().rows_lost == 0
            assert self.store.stats().chunks_lost == 0
            self.store.close()
            self.folder.cleanup()
            self.pieces.close()

    @rule(source=st.sampled_from(SOURCES), frame=frames, step=st.integers(1, 9000))
    def append(self, source: str, frame: dict[Labels, float], step: int) -> None:
        self.now += step
        self._append(source, frame)

    @rule(source=st.sampled_from(SOURCES), frame=frames, count=st.integers(2, 40))
    def append_many(self, source: str, frame: dict[Labels, float], count: int) -> None:
        for number in range(count):
            self.now += 5000
            self._append(source, {labels: value + number for labels, value in frame.items()})
            if number % 2:
                assert self.store.flush(self.now)

    def _append(self, source: str, frame: dict[Labels, float]) -> None:
        head = self.store.source(source)
        for labels in frame:
            head.column(labels)
        row = np.full(head.width, ABSENT)
        for labels, value in frame.items():
            row[head.column(labels)] = value
        frame = {labels: float(row[head.column(labels)]) for labels in frame}
        if head.append(self.now, row):
            self.model.append(source, self.now, frame)
        head.compact()

    @rule(source=st.sampled_from(SOURCES))
    def close_source(self, source: str) -> None:
        self.now += 1
        self.store.source(source).close(self.now)
        self.model.close(source, self.now)

    @rule(leap=st.integers(0, 400_000))
    def flush(self, leap: int) -> None:
        self.now += leap
        assert self.store.flush(self.now)

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = Store.open(self.path, OPTIONS, self.now)

    @rule(low=st.integers(-1000, 2_000_000), span=st.integers(0, 600_000), name=st.sampled_from(["m0", "m1", "m2"]))
    def ask(self, low: int, span: int, name: str) -> None:
        matchers = [Matcher("__name__", "=", name)]
        found = self.store.select(matchers, START + low, START + low + span)
        assert answer(found) == self.model.select(matchers, START + low, START + low + span)
        listed = self.store.series([matchers], START + low, START + low + span)
        assert set(listed) >= {data.labels for data in found}

    @rule(
        back=st.sampled_from([0, 0, 0, 4000, 90_000]),
        lookback=st.sampled_from([1, 5000, 20_000, 300_000]),
        name=st.sampled_from(["m0", "m1", "m2"]),
    )
    def ask_for_the_latest(self, back: int, lookback: int, name: str) -> None:
        matchers = [Matcher("__name__", "=", name)]
        found = self.store.latest(matchers, self.now - back, lookback)
        if found is not None:
            assert points(found) == self.model.latest(matchers, self.now - back, lookback)

    @rule(back=st.integers(-5000, 400_000), span=st.integers(0, 200_000), name=st.sampled_from(["m0", "m1", "m2"]))
    def ask_for_the_last_minutes(self, back: int, span: int, name: str) -> None:
        matchers = [Matcher("__name__", "=", name)]
        found = self.store.recent(matchers, self.now - back, self.now - back + span)
        if found is not None:
            assert unrolled(found) == self.model.select(matchers, self.now - back, self.now - back + span)

    @invariant()
    def everything_is_there(self) -> None:
        if not hasattr(self, "store"):
            return
        found, wanted = answer(self.store.select([], 0, 2**60)), self.model.select([], 0, 2**60)
        assert list(found) == list(wanted)
        assert found == wanted
        assert self.store.series([], 0, 2**60) == list(wanted)


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
