"""The commands as somebody types them."""

from __future__ import annotations

import fcntl
import gzip
import io
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from alerting.clock import SystemClock
from alerting.model.labels import Labels
from alerting.storage.lock import alone
from alerting.transfer import backup_cli, export_cli, import_cli
from alerting.transfer.progress import Progress
from tests.alerting.transfer.files import Samples, load, stored, text_of

START = SystemClock().now_ms() // 1000 * 1000 - 600_000
SERIES: Samples = {
    Labels.of({"__name__": "a_total", "n": str(n)}): [(START + i * 15_000, float(i * n)) for i in range(20)]
    for n in range(3)
} | {Labels.of({"__name__": "up", "job": "x"}): [(START, 1.0)]}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def filled(data: Path) -> Path:
    load(data, text_of(SERIES), now_ms=SystemClock().now_ms())
    return data


def test_a_packed_file_is_imported_and_told(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "samples.om.gz"
    file.write_bytes(gzip.compress(text_of(SERIES) + b"nonsense\n"))
    assert import_cli.main([str(file), "--data", str(data)]) == 0
    said = capsys.readouterr().out
    assert "read 61 samples on 63 lines, from 20" in said
    assert "stored 61\n" in said
    assert "skipped 1 lines that cannot be read:\n  line 63: expected a" in said
    assert len(stored(data)) == 4
    assert not (data / "import.spool").exists()
    assert import_cli.main([str(file), "--data", str(data)]) == 0
    assert "skipped 61: the store had a sample of that series at that time already" in capsys.readouterr().out


def test_standard_input_is_read(data: Path) -> None:
    command = [sys.executable, "-m", "tierwatch", "import", "-", "--data", str(data)]
    for text in (text_of(SERIES, eof=False), gzip.compress(text_of(SERIES))):
        done = subprocess.run(command, input=text, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
    assert len(stored(data)) == 4


def test_a_folder_in_use_is_left_alone(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "samples.om"
    file.write_bytes(text_of(SERIES))
    with (data / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert import_cli.main([str(file), "--data", str(data)]) == 1
    said = capsys.readouterr().err
    assert "another program uses this folder, and an import has to be alone." in said
    assert "systemctl stop tierwatch-aggregator" in said
    assert [path.name for path in data.iterdir()] == ["lock"]
    with alone(data, "import"):
        assert import_cli.main([str(file), "--data", str(data)]) == 1
    said = capsys.readouterr().err
    assert f"another import (process {os.getpid()}) uses this folder, and an import has to be alone\n" in said
    assert "systemctl" not in said


@pytest.mark.parametrize(
    ("file", "folder", "said"),
    [
        ("nowhere.om", "data", "nowhere.om: No such file"),
        ("good.om", "nowhere", "no such folder; --data must name"),
        ("cut.gz", "data", "damaged or cut off"),
    ],
)
def test_what_cannot_be_imported_is_said(
    file: str, folder: str, said: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path = data.parent
    (tmp_path / "good.om").write_bytes(text_of(SERIES))
    (tmp_path / "cut.gz").write_bytes(gzip.compress(text_of(SERIES))[:-20])
    assert import_cli.main([str(tmp_path / file), "--data", str(tmp_path / folder)]) == 1
    assert said in capsys.readouterr().err
    assert not {path.name for path in data.iterdir()} - {"lock"}


def test_advice_where_units_or_retention_are_wrong(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "samples.om"
    file.write_bytes(f"up 1 {START}\n".encode())
    assert import_cli.main([str(file), "--data", str(data)]) == 0
    assert "are these milliseconds?" in capsys.readouterr().out
    file.write_bytes(b"up 1 1000000000\n")
    assert import_cli.main([str(file), "--data", str(data), "--retention", "1d"]) == 0
    assert "skipped 1: older than the retention (1 days); raise storage.retention" in capsys.readouterr().out
    assert import_cli.main([str(file), "--data", str(data), "--retention", "100y"]) == 0
    assert "stored 1\n" in capsys.readouterr().out
    file.write_bytes(b"nothing of use\n")
    assert import_cli.main([str(file), "--data", str(data)]) == 1


def test_export_chooses_series_and_times(filled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.om.gz"
    start, end = str(START / 1000 + 15), str(START / 1000 + 30)
    words = ["--data", str(filled), "--out", str(out), "--match", 'a_total{n="1"}', "--match", "up"]
    assert export_cli.main([*words, "--start", start, "--end", end]) == 0
    at = START // 1000
    assert gzip.decompress(out.read_bytes()).decode() == (
        f'# TYPE a counter\na_total{{n="1"}} 1 {at + 15}\na_total{{n="1"}} 2 {at + 30}\n# EOF\n'
    )
    assert capsys.readouterr().out == "exported 2 samples of 1 series\n"
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_an_export_that_fails_leaves_nothing(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export_cli.main(["--data", str(data), "--out", str(tmp_path / "out.om")]) == 1
    assert "no such file; --data must name the folder of an aggregator" in capsys.readouterr().err
    assert not (tmp_path / "out.om").exists()
    for words in (["--match", "rate(x[5m])"], ["--match", "{"], ["--start", "yesterday"]):
        with pytest.raises(SystemExit):
            export_cli.main(["--data", str(data), "--out", "-", *words])


def test_an_export_into_a_pipe_leaves_it_a_pipe_and_follows_a_link(filled: Path, tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(tmp_path / "real.om")
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        assert export_cli.main(["--data", str(filled), "--out", str(pipe)]) == 0
        assert reader.stdout is not None
        piped = reader.stdout.read()
    assert piped.endswith(b"# EOF\n")
    assert pipe.is_fifo()
    assert export_cli.main(["--data", str(filled), "--out", str(link)]) == 0
    assert link.is_symlink()
    assert (tmp_path / "real.om").read_bytes() == piped


def test_a_reader_that_goes_away_ends_an_export_quietly(filled: Path) -> None:
    program = f"{sys.executable} -m tierwatch export --data {filled} --out - | head -c 10; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", program], capture_output=True, check=False)
    assert done.stdout == b"# TYPE a c"
    assert b"Traceback" not in done.stderr


def test_a_backup_is_a_whole_store(filled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "copies" / "monday"
    assert backup_cli.main(["--data", str(filled), "--out", str(out)]) == 0
    assert re.fullmatch(rf"{out}: [1-9][0-9]*\.[0-9] KiB, checked\n", capsys.readouterr().out)
    assert [path.name for path in out.iterdir()] == ["metrics.db"]
    assert (out.stat().st_mode & 0o777, (out / "metrics.db").stat().st_mode & 0o777) == (0o700, 0o600)
    assert stored(out) == stored(filled)
    assert [path.name for path in out.parent.iterdir()] == ["monday"]
    assert backup_cli.main(["--data", str(filled), "--out", str(out)]) == 1
    assert "exists already" in capsys.readouterr().err


def test_what_a_running_aggregator_has_not_written_is_told(
    filled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (filled / "lock").open("w") as lock:
        for running in (False, True):
            if running:
                fcntl.flock(lock, fcntl.LOCK_EX)
            assert export_cli.main(["--data", str(filled), "--out", str(tmp_path / "out.om")]) == 0
            assert ("not in it: what the running aggregator has yet to write" in capsys.readouterr().out) is running
    with alone(filled, "import"):
        assert export_cli.main(["--data", str(filled), "--out", str(tmp_path / "out.om")]) == 0
        assert "not in it" not in capsys.readouterr().out


def test_a_backup_without_room_or_of_a_damaged_file_is_none(
    filled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "copy"
    with monkeypatch.context() as patch:
        patch.setattr(backup_cli, "_SPARE_BYTES", 1 << 60)
        assert backup_cli.main(["--data", str(filled), "--out", str(out)]) == 1
    assert "choose another disk" in capsys.readouterr().err
    path = filled / "metrics.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    content = bytearray(path.read_bytes())
    start, end = len(content) // 4, len(content) // 2
    content[start:end] = b"\xa5" * (end - start)
    path.write_bytes(content)
    assert backup_cli.main(["--data", str(filled), "--out", str(out)]) == 1
    assert not out.exists()
    assert not out.with_name("copy.part").exists()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        clock[0] = 0.0
        progress = Progress(stream)
        for second in range(1, 13):
            clock[0] = second
            progress.say("reading", second / 20, f"{second} samples")
        progress.end()
    assert file.getvalue().splitlines() == [
        "reading  25%  5 samples, 15 s left",
        "reading  50%  10 samples, 10 s left",
    ]
    assert "\r[" in terminal.getvalue()
    assert "reading  60%  12 samples, 8 s left" in terminal.getvalue()
    assert terminal.getvalue().endswith(" \r")
