"""What is wrong with a configuration, all of it at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake. ``line`` is 1-based; 0 when the file as a whole is meant (it is missing, say)."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.message}"


class ConfigError(Exception):
    """The configuration cannot be used. ``problems`` names every mistake found, in file and line order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def unreadable(path: Path, error: OSError, missing: str = "no such file") -> Problem:
    """The problem of a file that cannot be read; ``missing``: what to say when it is not there."""
    if isinstance(error, FileNotFoundError):
        return Problem(str(path), 0, missing)
    return Problem(str(path), 0, f"cannot be read: {error.strerror or error}")
