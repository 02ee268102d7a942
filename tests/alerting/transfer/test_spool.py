"""What has been read of a file survives being cut off anywhere."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.model.labels import Labels
from alerting.storage.ports import StorageError
from alerting.transfer.lines import Chunk
from alerting.transfer.spool import Spool

OWNER = {"size": 1}
WINDOW = 1000


def chunk(rows: list[tuple[int, int, float]]) -> Chunk:
    series, times, values = zip(*rows, strict=True)
    return Chunk(np.array(series, np.int64), np.array(times, np.int64), np.array(values, np.float64))


def contents(spool: Spool) -> list[tuple[int, int, float]]:
    found: list[tuple[int, int, float]] = []
    for segments in spool.windows().values():
        for part in spool.read(segments):
            found += zip(part.series.tolist(), part.times.tolist(), part.values.tolist(), strict=True)
    return found


ROWS = [(0, 10, 1.5), (1, 2500, -0.0), (0, 999, float("inf")), (1, 10, 2.0)]


def write(path: Path) -> list[int]:
    """Three marks; returns the file's size after each."""
    spool, going_on = Spool.open(path, OWNER, WINDOW)
    assert not going_on
    sizes = []
    for number in range(3):
        spool.put_series([Labels.of({"n": str(number)})])
        spool.put(chunk(ROWS))
        spool.put_mark({"number": number})
        sizes.append(spool.size())
    spool.close()
    return sizes


def test_samples_come_back_by_window_in_the_order_of_the_file(tmp_path: Path) -> None:
    write(tmp_path / "spool")
    spool, going_on = Spool.open(tmp_path / "spool", OWNER, WINDOW)
    assert going_on
    assert spool.mark == {"number": 2}
    assert list(spool.windows()) == [0, 2]
    assert contents(spool) == [(0, 10, 1.5), (0, 999, float("inf")), (1, 10, 2.0)] * 3 + [(1, 2500, 0.0)] * 3
    spool.remove()
    assert not (tmp_path / "spool").exists()


def test_another_file_starts_anew(tmp_path: Path) -> None:
    write(tmp_path / "spool")
    spool, going_on = Spool.open(tmp_path / "spool", {"size": 2}, WINDOW)
    assert not going_on
    assert (spool.mark, spool.series, spool.segments) == ({}, [], [])
    spool.close()


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_cut_off_or_damaged_anywhere_it_goes_on_after_the_last_whole_mark(
    data: st.DataObject,
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "spool"
        sizes = write(path)
        content = bytearray(path.read_bytes())
        cut = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content[cut] ^= 0x55
        else:
            del content[cut:]
        path.write_bytes(content)
        whole = sum(size <= cut for size in sizes)
        spool, _ = Spool.open(path, OWNER, WINDOW)
        assert spool.mark == ({"number": whole - 1} if whole else {})
        assert len(spool.series) == whole
        assert len(contents(spool)) == whole * len(ROWS)
        spool.put(chunk(ROWS))
        spool.put_mark({"number": 99})
        spool.close()
        spool, going_on = Spool.open(path, OWNER, WINDOW)
        assert going_on
        assert len(contents(spool)) == (whole + 1) * len(ROWS)
        spool.close()


def test_a_full_disk_is_told_and_leaves_what_was_marked(tmp_path: Path) -> None:
    write(tmp_path / "spool")
    spool, _ = Spool.open(tmp_path / "spool", OWNER, WINDOW)
    full = Path("/dev/full").open("r+b", buffering=0)  # noqa: SIM115 - closed with the spool
    whole, spool._file = spool._file, full
    whole.close()
    with pytest.raises(StorageError, match="No space left on device; make room and run the same import again"):
        spool.put(chunk(ROWS))
    spool.close()
    spool, going_on = Spool.open(tmp_path / "spool", OWNER, WINDOW)
    assert going_on
    assert len(contents(spool)) == 3 * len(ROWS)
    spool.close()
