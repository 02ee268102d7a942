from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from config.daemon.footprint import give_back


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library gives back by itself")
def test_what_was_freed_below_something_in_use_is_given_back() -> None:
    pieces = [bytearray(b"x" * 100_000) for _ in range(400)]
    last = pieces.pop()
    full = resident()
    pieces.clear()
    give_back()
    assert resident() < full - 20_000_000
    assert last[:1] == b"x"
