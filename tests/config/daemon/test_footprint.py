from __future__ import annotations

import os
import platform
import ssl
from pathlib import Path

import pytest

from config.daemon.footprint import give_back, no_authorities


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


def test_a_context_for_tls_made_without_authorities_knows_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/a/file")
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    with no_authorities():
        found = ssl.create_default_context()
    assert found.cert_store_stats()["x509_ca"] == 0
    assert found.verify_mode is ssl.CERT_REQUIRED, "it trusts nobody, rather than everybody"
    assert os.environ["SSL_CERT_FILE"] == "/a/file"
    assert "SSL_CERT_DIR" not in os.environ
