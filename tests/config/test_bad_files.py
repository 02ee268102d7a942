"""Files with one mistake each: one message each, word for word, at the right line."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.check import main
from tests.config.support import FIXTURES, problems, write

BAD = FIXTURES / "bad"
EXPECTED = dict(
    line.split("\t", 1)
    for line in (BAD / "expected.tsv").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
)


def spoilt(name: str, directory: Path) -> Path:
    room = name.partition("-")[0]
    return write(directory, **{room: (BAD / name).read_text(encoding="utf-8")})


def test_every_bad_file_has_its_message() -> None:
    assert {path.name for path in BAD.glob("*.yaml")} == set(EXPECTED)
    assert len(EXPECTED) >= 20


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_message(name: str, tmp_path: Path) -> None:
    assert problems(spoilt(name, tmp_path)) == [EXPECTED[name]]


@pytest.mark.parametrize("name", ["cluster-tab.yaml", "alerting-receiver-unknown.yaml"])
def test_exit_status(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(spoilt(name, tmp_path))]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"{tmp_path}/{EXPECTED[name]}\n1 problem in {tmp_path}\n"
