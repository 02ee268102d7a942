from __future__ import annotations

import sys
import time

import pytest

from exporters.sources.line_child import LineChild


class Surprised(LineChild[str]):
    """Meets a line that it has not been written for, once."""

    def parse(self, line: str) -> str | None:
        if not self.restarts:
            raise LookupError(line)
        return line

    def load(self, reading: str) -> float | None:
        return None


def test_a_line_that_nobody_foresaw_costs_a_run_of_the_program_not_the_readings_for_ever(
    caplog: pytest.LogCaptureFixture,
) -> None:
    program = "import time; print('a line', flush=True); time.sleep(3600)"
    child = Surprised([sys.executable, "-c", program], name="test", interval=60.0, first_backoff=0.01)
    child.start()
    try:
        end = time.monotonic() + 30
        while child.latest(time.monotonic()) is None:
            assert time.monotonic() < end, child.fault
            time.sleep(0.01)
    finally:
        child.stop()
    assert child.latest(time.monotonic()) == "a line"
    assert f"{sys.executable}: LookupError: a line; starting it again" in caplog.text
    assert (child.restarts, child.fault) == (1, "")
