from __future__ import annotations

import os
from pathlib import Path

import pytest

from exporters.collector import CollectorFailed, NoData
from exporters.sources.files import Roots, attribute, entries, number, read, read_bytes, real_path, to_number


def test_missing_is_no_data_and_unreadable_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(NoData):
        read(f"{tmp_path}/none")
    with pytest.raises(NoData):
        read(f"{tmp_path}/none/below")
    with pytest.raises(CollectorFailed, match="Is a directory"):
        read(str(tmp_path))


def test_odd_bytes_become_replacement_characters(tmp_path: Path) -> None:
    (tmp_path / "odd").write_bytes(b"caf\xe9\n")
    assert attribute(f"{tmp_path}/odd") == "caf\ufffd"


def test_an_attribute_is_optional(tmp_path: Path) -> None:
    (tmp_path / "value").write_text(" 42 \n")
    (tmp_path / "hex").write_text("0x1a\n")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "word").write_text("auto\n")
    assert number(f"{tmp_path}/value") == 42
    assert number(f"{tmp_path}/hex") == 26
    assert number(f"{tmp_path}/empty") is None
    assert number(f"{tmp_path}/word") is None
    assert number(f"{tmp_path}/none") is None
    assert number(str(tmp_path)) is None


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "9" * 400, "0x" + "f" * 400, "N/A", "0xzz"])
def test_what_is_no_number_is_unknown(text: str) -> None:
    assert to_number(text) is None


def test_reads_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 300_000)
    assert len(read_bytes(f"{tmp_path}/large")) == 300_000
    assert len(read_bytes(f"{tmp_path}/large", 100_000)) == 100_000


def test_a_fifo_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert read_bytes(f"{tmp_path}/fifo") == b""


def test_folders_and_links(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a").symlink_to("b")
    assert entries(str(tmp_path)) == ["a", "b"]
    assert entries(f"{tmp_path}/none") == []
    assert real_path(f"{tmp_path}/a") == f"{tmp_path}/b"
    assert real_path(f"{tmp_path}/none") is None


@pytest.mark.parametrize(
    ("rootfs", "mountpoint", "stripped"),
    [
        ("/", "/mnt", "/mnt"),
        ("/host", "/host", "/"),
        ("/host", "/host/mnt", "/mnt"),
        ("/host/", "/host/mnt", "/mnt"),
        ("/host", "/hostile", "/hostile"),
    ],
)
def test_mount_points_lose_the_root_they_are_seen_under(rootfs: str, mountpoint: str, stripped: str) -> None:
    assert Roots(rootfs=rootfs).strip_root(mountpoint) == stripped
