from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from exporters.collector import CollectorFailed
from exporters.collectors.textfile import MAX_FILE_BYTES, TextFiles
from exporters.exposition import Renderer
from tests.exporters.support import samples

ERROR = "node_textfile_scrape_error"


def test_files_are_merged_and_stamped(tmp_path: Path) -> None:
    (tmp_path / "a.prom").write_text('# HELP job_ok Whether.\n# TYPE job_ok gauge\njob_ok{job="a"} 1\n')
    (tmp_path / "b.prom").write_text('# TYPE job_ok gauge\njob_ok{job="b",host="x"} 0\n')
    (tmp_path / "c.txt").write_text("not looked at")
    os.utime(tmp_path / "a.prom", (1000, 1000))
    families = TextFiles(str(tmp_path)).collect()
    page = Renderer().render(families).decode()
    assert "# HELP job_ok Whether.\n# TYPE job_ok gauge\n" in page
    assert 'job_ok{host="",job="a"} 1.0\njob_ok{host="x",job="b"} 0.0\n' in page
    assert samples(families)[ERROR,] == 0
    assert samples(families)["node_textfile_mtime_seconds", f"{tmp_path}/a.prom"] == 1000


@pytest.mark.parametrize(
    "bad",
    [
        b"broken{ 1\n",
        b"caf\xe9 1\n",
        b"good 2 1395066363000\n",
        b"# TYPE good counter\ngood 3\n",
        b"x" * (MAX_FILE_BYTES + 1),
    ],
    ids=["syntax", "not UTF-8", "timestamp", "another type", "too large"],
)
def test_a_bad_file_costs_only_itself(tmp_path: Path, bad: bytes, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.prom").write_text("# TYPE good gauge\ngood 1\n")
    (tmp_path / "b.prom").write_bytes(bad)
    collector = TextFiles(str(tmp_path))
    found = samples(collector.collect())
    assert found["good",] == 1
    assert found[ERROR,] == 1
    assert [key[1] for key in found if key[0] == "node_textfile_mtime_seconds"] == [f"{tmp_path}/a.prom"]
    collector.collect()
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1

    (tmp_path / "b.prom").write_text("other 2\n")
    found = samples(collector.collect())
    assert (found[ERROR,], found["other",]) == (0, 2)


def test_a_folder_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(CollectorFailed, match="No such file"):
        TextFiles(f"{tmp_path}/none").collect()


def test_a_file_that_is_a_fifo_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.prom")
    assert samples(TextFiles(str(tmp_path)).collect())[ERROR,] == 0
