"""The reader of jtop's service as a real child, over packages called ``jtop`` that behave as jetson-stats has been
seen to: answering, of another version, hanging while connecting, losing the service."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exporters.sources.jtop_child import JtopChild
from exporters.sources.tegrastats import Clocked
from tests.acceptance.test_board_children import alive, told, until

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = """
import os, time
class JtopException(Exception):
    pass
class jtop:
    gpu = {{"gpu": {{"status": {{"load": 50.0}}, "freq": {{"cur": 612000}}}}}}
    memory = {{"EMC": {{"cur": 2133000, "val": 7}}}}
    engine = {{"NVENC": {{"NVENC": {{"online": True, "cur": 473600}}}}}}
    def __init__(self, interval):
        self.interval, self.samples = interval, 0
    def __enter__(self):
        {enter}
        return self
    def __exit__(self, *_):
        return False
    def ok(self):
        time.sleep(self.interval)
        self.samples += 1
        {sample}
"""


@contextmanager
def child(
    folder: Path, *, enter: str = "pass", sample: str = "return True", interval: float = 0.05
) -> Iterator[JtopChild]:
    """A running child whose jetson-stats is the package above with these lines."""
    (folder / "jtop.py").write_text(PACKAGE.format(enter=enter, sample=sample))
    paths = os.pathsep.join((str(folder), str(ROOT)))
    command = ["/usr/bin/env", f"PYTHONPATH={paths}", sys.executable, "-m", "exporters.sources.jtop_reader"]
    running = JtopChild(command, interval=interval, first_backoff=0.05)
    running.start()
    try:
        yield running
    finally:
        running.stop()


def test_samples_arrive(tmp_path: Path) -> None:
    with child(tmp_path, interval=0.5) as jtop:  # ten of them may pass before it begins
        until(lambda: jtop.latest(time.monotonic()))
        found = jtop.latest(time.monotonic())
        assert found is not None
        assert found.gpu == Clocked(0.5, 612e6)
        assert found.engines == {"nvenc": Clocked(None, 473.6e6)}
        assert jtop.fault == ""


def test_another_version_is_explained_with_the_command_that_mends_it(tmp_path: Path) -> None:
    words = "Mismatch version jtop service: [7.1.9] and client: [7.2.2]. Please run"
    with child(tmp_path, enter=f"raise JtopException({words!r})", interval=6.0) as jtop:  # a minute to say so
        until(lambda: jtop.restarts >= 1)
        assert "ended with status 1" in jtop.fault
        assert f"{sys.executable} -m pip install 'jetson-stats~=7.1.0'" in jtop.fault


def test_a_service_that_never_answers_costs_a_child_and_nothing_else(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    enter = f"open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n'); time.sleep(600)"
    with child(tmp_path, enter=enter, interval=0.1) as jtop:
        until(lambda: jtop.restarts >= 1 and told(pids))
        assert "no line for" in jtop.fault
        assert jtop.latest(time.monotonic()) is None
    assert not [pid for pid in told(pids) if alive(pid)]


def test_a_service_that_goes_away_is_asked_again(tmp_path: Path) -> None:
    lost = "if self.samples > 2: raise BrokenPipeError('Broken pipe')\n        return True"
    with child(tmp_path, sample=lost, interval=0.3) as jtop:
        until(lambda: "the jtop service went away: Broken pipe" in jtop.fault and jtop.restarts >= 1)
        before = jtop.restarts
        until(lambda: jtop.restarts > before and jtop.latest(time.monotonic()))
