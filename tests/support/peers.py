"""The real programs that tests compare with."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

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
    if found is None:
        reason = f"{program} is not on this machine"
        if os.environ.get("CI"):
            pytest.fail(f"{reason}, and CI must have it")
        pytest.skip(reason)
    return found
