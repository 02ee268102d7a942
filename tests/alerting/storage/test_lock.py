"""One program writes into a data folder; who comes second is told who was first."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from alerting.storage.lock import LOCK, InUse, Writer, alone
from alerting.storage.ports import StorageError


@pytest.mark.parametrize("writer", ["aggregator", "import"])
def test_the_second_is_told_who_was_first(tmp_path: Path, writer: Writer) -> None:
    (tmp_path / LOCK).write_text("import 123456789\n")  # of one that ended long ago
    with alone(tmp_path, writer):
        for _ in range(2):  # the first of them must not take the name away
            with pytest.raises(InUse) as refused, alone(tmp_path, "aggregator"):
                pass
            which = "another" if writer == "aggregator" else "an"
            assert str(refused.value) == f"{tmp_path}: {which} {writer} (process {os.getpid()}) uses this folder"
            assert refused.value.writer == writer
    with alone(tmp_path, "aggregator"):
        pass


def test_a_holder_without_a_name(tmp_path: Path) -> None:
    with (tmp_path / LOCK).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(b"\xff\x00 nonsense")
        lock.flush()
        with pytest.raises(InUse, match="another program uses this folder"), alone(tmp_path, "import"):
            pass


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match="cannot be used as data folder: No such file"),
        alone(tmp_path / "no", "import"),
    ):
        pass
