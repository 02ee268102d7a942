from __future__ import annotations

import pytest

from exporters.sources.mounts import Mount, parse_mounts, unescape


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("/plain", "/plain"),
        ("/my\\040disk", "/my disk"),
        ("/tab\\011\\012", "/tab\t\n"),
        ("/back\\134slash", "/back\\slash"),
        ("/not\\9octal", "/not\\9octal"),
        ("\\04", "\\04"),
    ],
)
def test_unescape(field: str, text: str) -> None:
    assert unescape(field) == text


def test_lines() -> None:
    text = "/dev/sda1 / ext4 rw 0 0\nnas:/x /mnt nfs ro,vers=4 0 0\ngarbage\n//srv/a\\040b /s cifs errors=ro 0 0\n"
    assert parse_mounts(text) == [
        Mount("/dev/sda1", "/", "ext4", False),
        Mount("nas:/x", "/mnt", "nfs", True),
        Mount("//srv/a b", "/s", "cifs", False),
    ]
