"""The test scripts of the Prometheus project judge the engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.promqltest.run import run_file
from tests.promqltest.script import Eval, read

SCRIPTS = sorted((Path(__file__).parents[2] / "promql").glob("*.test"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_script_passes(script: Path) -> None:
    outcome = run_file(script)
    assert not outcome.failures, "\n".join(outcome.failures)
    assert outcome.passed == sum(isinstance(command, Eval) for command in read(script))


def test_no_script_is_missing() -> None:
    assert len(SCRIPTS) == 27
    assert sum(isinstance(command, Eval) for script in SCRIPTS for command in read(script)) == 887
