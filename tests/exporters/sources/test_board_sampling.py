from __future__ import annotations

import logging
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.sources.board_sampling import Ticker, Window, WindowReading
from tests.exporters.support import FAR


def test_a_window_covers_the_time_since_the_last_read() -> None:
    window = Window(max_age=3)
    for now, value in enumerate([0.1, 0.9, 0.2]):
        window.add(value, now)
    reading = window.take(2.5)
    assert reading is not None
    assert reading.mean == pytest.approx(0.4)
    assert reading.maximum == 0.9
    window.add(0.2, 3)
    reading = window.take(3)
    assert reading is not None
    assert (reading.mean, reading.maximum, reading.samples) == (0.2, 0.2, 1)


def test_two_reads_between_two_samples_see_the_same() -> None:
    window = Window(max_age=3)
    window.add(0.5, 0)
    assert window.take(0.1) == window.take(0.2) == WindowReading(0.5, 0.5, 1, 0)


def test_samples_that_stopped_are_no_reading() -> None:
    window = Window(max_age=3)
    assert window.take(0) is None
    assert not window.fresh(0)
    window.add(0.5, 0)
    assert window.fresh(3)
    assert not window.fresh(3.1)
    assert window.take(3.1) is None
    window.add(0.25, 10)
    assert window.take(10) == WindowReading(0.25, 0.25, 1, 0)


def test_the_area_goes_on_over_reads_and_leaves_gaps_out() -> None:
    window = Window(max_age=3)
    areas = []
    for now, value in ((0, 1.0), (1, 0.5), (3, 1.0), (10, 1.0), (11, 0.25)):
        window.add(value, now)
        reading = window.take(now)
        assert reading is not None
        areas.append(reading.area)
    assert areas == [0, 0.5, 2.5, 2.5, 2.75]


@given(st.lists(st.floats(0, 1), min_size=1))
def test_the_mean_lies_between_the_samples(values: list[float]) -> None:
    window = Window(max_age=1)
    for value in values:
        window.add(value, 0)
    reading = window.take(0)
    assert reading is not None
    assert reading.maximum == max(values)
    assert min(values) - 1e-9 <= reading.mean <= max(values) + 1e-9
    assert reading.samples == len(values)


def test_a_ticker_goes_on_after_an_error_and_tells_it_once(caplog: pytest.LogCaptureFixture) -> None:
    ticks: list[float] = []
    enough = threading.Event()

    def tick(now: float) -> None:
        ticks.append(now)
        if len(ticks) == 5:
            enough.set()
        raise OSError("gone")

    ticker = Ticker("test", 0.001, tick)
    with caplog.at_level(logging.ERROR):
        ticker.start()
        ticker.start()
        assert enough.wait(FAR)
        ticker.stop()
    assert ticks == sorted(ticks)
    assert [record.message for record in caplog.records] == ["test: sampling failed"]
    count = len(ticks)
    ticker.stop()
    assert len(ticks) == count
    assert not [thread for thread in threading.enumerate() if thread.name == "test"]
