from __future__ import annotations

import errno
from dataclasses import replace
from types import SimpleNamespace

import pytest

from exporters.collector import CollectorFailed, NoData
from exporters.collectors.clock import Time, Timex
from exporters.sources import adjtimex
from exporters.sources.adjtimex import ClockState, clock_state
from tests.exporters.support import NOW, roots, samples

STATE = ClockState(
    synchronized=True,
    unit=1e9,
    offset=-1_500_000,
    freq=65536 * 20,
    maxerror=250_000,
    esterror=1500,
    status=0x2001,
    constant=7,
    tick=10_000,
    ppsfreq=0,
    jitter=2_000_000,
    shift=0,
    stabil=0,
    jitcnt=0,
    calcnt=0,
    errcnt=0,
    stbcnt=0,
    tai=37,
)


def test_units() -> None:
    found = samples(Timex(lambda: STATE).collect())
    assert found["node_timex_sync_status",] == 1
    assert found["node_timex_offset_seconds",] == pytest.approx(-0.0015)
    assert found["node_timex_pps_jitter_seconds",] == pytest.approx(0.002)
    assert found["node_timex_maxerror_seconds",] == 0.25
    assert found["node_timex_tick_seconds",] == 0.01
    assert found["node_timex_frequency_adjustment_ratio",] == pytest.approx(1 + 20e-6)
    assert found["node_timex_tai_offset_seconds",] == 37


def test_a_clock_nobody_keeps() -> None:
    assert samples(Timex(lambda: replace(STATE, synchronized=False)).collect())["node_timex_sync_status",] == 0


@pytest.mark.parametrize(
    ("code", "error"), [(errno.EPERM, NoData), (errno.ENOSYS, NoData), (errno.EFAULT, CollectorFailed)]
)
def test_a_sandbox_that_forbids_the_question_is_not_an_answer(
    code: int, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adjtimex, "_libc", lambda: SimpleNamespace(adjtimex=lambda _: -1))
    monkeypatch.setattr("ctypes.get_errno", lambda: code)
    with pytest.raises(error, match="adjtimex: "):
        clock_state()


def test_this_kernel_answers_sensibly() -> None:
    try:
        state = clock_state()
    except NoData as error:
        pytest.skip(str(error))
    assert 9_000 <= state.tick <= 11_000
    assert state.unit in (1e6, 1e9)


def test_time_is_the_one_given() -> None:
    found = samples(Time(roots("vm"), lambda: NOW).collect())
    assert found["node_time_seconds",] == NOW
    assert found["node_time_clocksource_current_info", "0", "tsc"] == 1
