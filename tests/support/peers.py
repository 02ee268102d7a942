"""The real programs that tests compare with."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Servers stand where a user's PATH does not lead.
PLACES = os.pathsep.join(
    [
        str(ROOT / ".peers/jupyterhub/bin"),
        "/usr/sbin",
        "/sbin",
        *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin"))),
    ]
)
FETCHED = ROOT / ".peers" / "usr" / "bin"


def need(program: str) -> str:
    """The path of a peer program. Missing, the test is skipped with the reason; in CI it fails."""
    fetched = FETCHED / program
    found = str(fetched) if fetched.exists() else shutil.which(program) or shutil.which(program, path=PLACES)
    return found or lacking(f"{program} is not on this machine")


def lacking(reason: str) -> NoReturn:
    """Ends a test for which this machine has not what it takes: skipped with the reason; in CI it fails."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}: in CI this may not be skipped")
    pytest.skip(reason)
