"""Whatever is done to one line, the check answers in words that point into the file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.config.support import ALERTING, CLUSTER, problems, write

FILES = {"cluster": CLUSTER, "alerting": ALERTING}
INSTEAD = (
    "null", "[]", "{}", "-1", '""', "true", "[a]", "{a: 1}", "99999999999999999999999", "2026-01-01", ".nan",
    "!!int x", "BACK/ollama", '"', "\t",
)  # fmt: skip


def edits(text: str) -> list[str]:
    """Every line left out, given twice, indented, and with each other value."""
    lines = text.splitlines()
    found = []
    for index, line in enumerate(lines):
        before, after = lines[:index], lines[index + 1 :]
        changed = [[], [line, line], [f"  {line}"], [f"{line}:"]]
        changed += [[re.sub(r":.*", f": {value}", line, count=1)] for value in INSTEAD]
        found += ["\n".join([*before, *middle, *after]) + "\n" for middle in changed]
    return found


@pytest.mark.parametrize("name", FILES)
def test_any_edit_of_a_line(name: str, tmp_path: Path) -> None:
    wrong = 0
    for text in edits(FILES[name]):
        found = problems(write(tmp_path, **{name: text}))
        wrong += bool(found)
        assert len(found) <= 15
        for problem in found:
            place = re.fullmatch(rf"{name}\.yaml:(\d+): .+", problem)
            assert place is not None, problem
            assert 1 <= int(place[1]) <= text.count("\n") + 1
    assert wrong > 400
