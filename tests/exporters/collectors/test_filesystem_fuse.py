"""A real file system that does not answer: FUSE (Documentation/filesystems/fuse.rst) with nobody at the other end."""

from __future__ import annotations

import ctypes
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from exporters.collectors.filesystem import FileSystems
from exporters.sources.files import Roots
from exporters.sources.mounts import Asker
from tests.exporters.support import DEADLINES, FAR, samples
from tests.support.peers import lacking

MNT_FORCE, MNT_DETACH = 1, 2


@pytest.fixture
def dead_mount(tmp_path: Path) -> Iterator[Path]:
    """A mount whose every question sleeps in the kernel until the test is over."""
    try:
        channel = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        lacking(f"/dev/fuse: {error.strerror}")
    libc = ctypes.CDLL(None, use_errno=True)
    place = tmp_path / "dead"
    place.mkdir()
    options = f"fd={channel},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
    if libc.mount(b"dead", bytes(place), b"fuse", 6, options.encode()) != 0:
        os.close(channel)
        lacking(f"mounting needs privileges: {os.strerror(ctypes.get_errno())}")
    yield place
    # The force wakes whoever sleeps there.
    assert libc.umount2(bytes(place), MNT_FORCE | MNT_DETACH) == 0
    os.close(channel)


def test_a_dead_mount_costs_its_own_series_only(dead_mount: Path) -> None:
    labels = ("dead", str(dead_mount), "fuse")
    for deadline in DEADLINES:
        asker = Asker(deadline=deadline)
        collector = FileSystems(Roots(), asker, mount_points_exclude=f"^(?!/$|{re.escape(str(dead_mount))}$)")
        found = samples(collector.collect())
        assert found["node_filesystem_device_error", *labels] == 1
        if has_root(found):
            break
    assert has_root(found)
    threads = threading.active_count()
    asker._deadline = FAR
    begun = time.monotonic()
    for _ in range(5):
        found = samples(collector.collect())
        assert found["node_filesystem_device_error", *labels] == 1
        assert ("node_filesystem_size_bytes", *labels) not in found
        assert has_root(found)
    assert time.monotonic() - begun < FAR / 2, "what is known to be dead is not waited for"
    assert asker.in_flight == {str(dead_mount)}
    end = time.monotonic() + FAR
    while threading.active_count() > threads:
        assert time.monotonic() < end, "one thread sleeps, whatever the number of scrapes"
        time.sleep(0.01)


def has_root(found: Mapping[tuple[str, ...], float]) -> bool:
    return any(key[0] == "node_filesystem_size_bytes" and key[2] == "/" for key in found)
