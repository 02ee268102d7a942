from __future__ import annotations

from pathlib import Path

import pytest

from deploy.demo import tegrastats_replay, vcgencmd_replay

BOARDS = Path(tegrastats_replay.__file__).parent / "boards"


def test_answers_of_vcgencmd() -> None:
    text = "throttled=0x50005\nfrequency(48)=1677427712\ntemp=39.2'C\n"
    assert vcgencmd_replay.answer(text, "get_throttled") == "throttled=0x50005"
    assert vcgencmd_replay.answer(text, "measure_clock") == "frequency(48)=1677427712"
    assert vcgencmd_replay.answer(text, "measure_temp") == "temp=39.2'C"
    assert vcgencmd_replay.answer(text, "display_power") == 'error=1 error_msg="Command not registered"'
    assert vcgencmd_replay.answer("", "get_throttled") == 'error=1 error_msg="Command not registered"'


def test_vcgencmd_as_a_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vcgencmd_replay.main([str(BOARDS / "PI51/vcgencmd.txt"), "get_throttled"]) == 0
    assert capsys.readouterr().out == "throttled=0x0\n"
    assert vcgencmd_replay.main([str(tmp_path / "none"), "get_throttled"]) == 1
    assert "No such file" in capsys.readouterr().err
    assert vcgencmd_replay.main([]) == 2
    assert capsys.readouterr().err.startswith("usage:")


def test_a_recording_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty"
    empty.write_text("\n \n")
    assert tegrastats_replay.main([str(empty)]) == 1
    assert capsys.readouterr().err == f"tegrastats_replay: {empty}: no line to replay\n"
    assert tegrastats_replay.main([str(tmp_path / "none")]) == 1
    empty.write_bytes(b"x" * (tegrastats_replay.MAX_BYTES + 1))
    assert tegrastats_replay.main([str(empty)]) == 1
    assert "larger than" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["0", "-5", "3600001", "x"])
def test_an_interval_that_is_none_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        tegrastats_replay.main(["file", "--interval", text])
    assert ended.value.code == 2
    assert "--interval" in capsys.readouterr().err


def test_the_trees_stay_small() -> None:
    files = [path for path in BOARDS.rglob("*") if path.is_file()]
    assert len(files) < 200
    assert sum(path.stat().st_size for path in files) < 64_000
    assert not [path for path in BOARDS.rglob("*") if path.is_symlink()], "a wheel has no links"
    assert not [path for path in files if ":" in path.name], "a name some file systems refuse"
