from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporters.collectors.filesystem import FileSystems
from exporters.sources.files import Roots
from exporters.sources.mounts import Asker
from tests.exporters.support import DEADLINES, FAR, HOSTS, roots, samples, statvfs_result

CARD = ("/dev/mmcblk0p2", "/", "ext4")
BOOT = ("/dev/mmcblk0p1", "/boot/firmware", "vfat")
NFS = ("nas:/export/my media", "/mnt/my media", "nfs4")
RUN = ("tmpfs", "/run", "tmpfs")


@pytest.fixture
def release() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


class FakeStatvfs:
    """Answers every path; sleeps at those that end as told until released, raises at others."""

    def __init__(self, release: threading.Event, hang: str = "\0", fail: str = "\0", code: int = errno.EIO) -> None:
        self.asked: list[str] = []
        self._release, self._hang, self._fail, self._code = release, hang, fail, code

    def __call__(self, path: str) -> os.statvfs_result:
        self.asked.append(path)
        if path.endswith(self._hang):
            self._release.wait(2 * FAR)
        if path.endswith(self._fail):
            raise OSError(self._code, os.strerror(self._code))
        return statvfs_result()


def test_sizes_and_defaults_of_what_is_left_out(release: threading.Event) -> None:
    statvfs = FakeStatvfs(release)
    found = samples(FileSystems(roots("pi"), Asker(deadline=FAR, statvfs=statvfs)).collect())
    assert {key[1:] for key in found} == {CARD, BOOT, NFS, RUN}
    assert found["node_filesystem_size_bytes", *CARD] == 1000 * 4096
    assert found["node_filesystem_free_bytes", *CARD] == 400 * 4096
    assert found["node_filesystem_avail_bytes", *CARD] == 300 * 4096
    assert found["node_filesystem_files", *CARD] == 100
    assert found["node_filesystem_files_free", *CARD] == 60
    assert found["node_filesystem_readonly", *CARD] == 0
    assert found["node_filesystem_readonly", *BOOT] == 1
    assert found["node_filesystem_device_error", *NFS] == 0
    assert f"{HOSTS}/pi/mnt/my media" in statvfs.asked


def test_a_hung_mount_costs_its_own_series_only(release: threading.Event, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for deadline in DEADLINES:
        caplog.clear()
        statvfs = FakeStatvfs(release, hang="my media")
        asker = Asker(deadline=deadline, statvfs=statvfs)
        collector = FileSystems(roots("pi"), asker)
        begun = time.monotonic()
        found = samples(collector.collect())
        assert time.monotonic() - begun < deadline + FAR / 2
        assert found["node_filesystem_device_error", *NFS] == 1
        assert ("node_filesystem_avail_bytes", *NFS) not in found
        if not found["node_filesystem_device_error", *CARD]:
            break
    assert found["node_filesystem_avail_bytes", *CARD] == 300 * 4096

    asker._deadline = FAR
    begun = time.monotonic()
    for _ in range(10):
        found = samples(collector.collect())
        assert found["node_filesystem_device_error", *NFS] == 1
        assert found["node_filesystem_device_error", *CARD] == 0
    assert time.monotonic() - begun < FAR / 2, "a mount that is known to hang is not waited for"
    assert sum(path.endswith("my media") for path in statvfs.asked) == 1

    release.set()
    end = time.monotonic() + FAR
    while samples(collector.collect())["node_filesystem_device_error", *NFS]:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert samples(collector.collect())["node_filesystem_avail_bytes", *NFS] == 300 * 4096
    assert [record.getMessage() for record in caplog.records] == [
        "file system gives no answer",
        "file system answers again",
    ]


def test_an_error_of_a_mount_is_its_own(release: threading.Event) -> None:
    found = samples(
        FileSystems(roots("pi"), Asker(deadline=FAR, statvfs=FakeStatvfs(release, fail="firmware"))).collect()
    )
    assert found["node_filesystem_device_error", *BOOT] == 1
    assert found["node_filesystem_readonly", *BOOT] == 1
    assert ("node_filesystem_size_bytes", *BOOT) not in found
    assert found["node_filesystem_device_error", *CARD] == 0


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.ENOENT])
def test_what_a_service_may_not_see_is_not_called_broken(code: int, release: threading.Event) -> None:
    # A desktop user's /run/user/1000/gvfs gives EACCES, a mount below a private /tmp ENOENT: neither is a dying disk.
    statvfs = FakeStatvfs(release, fail="boot/firmware", code=code)
    found = samples(FileSystems(roots("pi"), Asker(deadline=FAR, statvfs=statvfs)).collect())
    assert {key[1:] for key in found} == {CARD, NFS, RUN}


def test_excludes_can_be_chosen(release: threading.Event) -> None:
    asker = Asker(deadline=FAR, statvfs=FakeStatvfs(release))
    found = samples(FileSystems(roots("pi"), asker, "^/(mnt|run)($|/)", "^(vfat|proc|overlay)$").collect())
    assert {key[1:] for key in found} == {CARD}


def test_odd_bytes_in_a_name(tmp_path: Path, release: threading.Event) -> None:
    (tmp_path / "mounts").write_bytes(b"/dev/sda1 /caf\xe9 ext4 rw 0 0\n/dev/sda2 /\xc3\xa9 ext4 rw 0 0\n")
    statvfs = FakeStatvfs(release)
    found = samples(FileSystems(Roots(str(tmp_path)), Asker(deadline=FAR, statvfs=statvfs)).collect())
    assert {key[2] for key in found} == {"/caf\ufffd", "/\u00e9"}
    assert os.fsencode(statvfs.asked[0]) == b"/caf\xe9", "the kernel is asked for the name it gave"


def test_this_machine() -> None:
    found = samples(FileSystems(Roots(), Asker(deadline=FAR), mount_points_exclude="^/.").collect())
    root = os.statvfs("/")
    sizes = {key[2]: value for key, value in found.items() if key[0] == "node_filesystem_size_bytes"}
    assert sizes["/"] == root.f_blocks * root.f_frsize
