"""The documents tell the truth: commands run, links lead somewhere, numbers are the code's."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tierwatch import VERBS

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(path for path in ROOT.glob("**/*.md") if not {".venv", ".peers"} & set(path.parts))
README = ROOT / "README.md"
# Run by tests/acceptance/test_demo.py, and by whoever runs the tests.
ELSEWHERE = ("make demo", "make test", ".venv/bin/tierwatch demo")
_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(document: Path) -> list[str]:
    """The command lines of a document's ``sh`` blocks."""
    text = document.read_text().replace("\\\n", " ")
    return [line for block in _BLOCK.findall(text) for line in block.splitlines() if line and not line.startswith("#")]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_the_readme_has_the_two_commands() -> None:
    assert commands(README)[0] == "make demo"
    assert "make test" in commands(README)


@pytest.mark.parametrize("command", [c for c in commands(README) if not c.startswith(ELSEWHERE)])
def test_a_command_of_the_readme_runs(command: str, tmp_path: Path) -> None:
    if command.startswith("make "):
        assert set(shlex.split(command)[1:]) <= make_targets()
        return
    words = shlex.split(command)
    assert words[0] == ".venv/bin/tierwatch", f"{command}: an sh block of the README holds what runs in this folder"
    expanded = [str(path) for word in words[1:] for path in (sorted(ROOT.glob(word)) if "*" in word else [word])]
    if "--out" in expanded:
        expanded[expanded.index("--out") + 1] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "tierwatch", *expanded], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_pictures_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.relative_to(ROOT)}: {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_verb_that_is_written_exists(document: Path) -> None:
    for words in re.findall(r"(?:^|[`/ ])tierwatch ((?:[a-z]+)(?: [a-z]+)?)", document.read_text()):
        pair = tuple(words.split())
        known = {verb[0] for verb in VERBS}
        if pair[0] in {"check", "test", "exporter", "aggregator", "dashboards", "demo"}:
            assert pair in VERBS or pair[:1] in VERBS, f"{document.relative_to(ROOT)}: tierwatch {words}"
            assert pair[0] in known


def test_every_folder_of_code_says_what_is_in_it() -> None:
    rooms = [*(ROOT / "alerting").iterdir(), *(ROOT / name for name in ("config", "exporters", "dashboards", "deploy"))]
    for room in rooms:
        if (room / "__init__.py").exists() and room.name not in {"model", "daemon"}:
            assert (room / "README.md").exists(), f"{room.relative_to(ROOT)} has no README.md"
