"""``tierwatch check rules``: how many rules each file holds, or every mistake with file and line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from alerting.rules.load import load_file
from config.problems import ConfigError, Problem


def main(argv: Sequence[str]) -> int:
    """Exit status 0 when every file is right, 1 when not."""
    parser = argparse.ArgumentParser(prog="tierwatch check rules", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="rule files in Prometheus' format")
    arguments = parser.parse_args(argv)
    total = 0
    mistakes: list[Problem] = []
    for path in arguments.files:
        problems: list[Problem] = []
        count = sum(len(group.rules) for group in load_file(path, problems))
        mistakes += problems
        if not problems:
            total += count
            sys.stdout.write(f"{path}: {_rules(count)}\n")
    if mistakes:
        found = ConfigError(mistakes)
        count = len(found.problems)
        sys.stderr.write(f"{found}\n{count} problem{'s' if count != 1 else ''}\n")
        return 1
    sys.stdout.write(
        f"{_rules(total)} in {len(arguments.files)} file{'s' if len(arguments.files) != 1 else ''}: fine\n"
    )
    return 0


def _rules(count: int) -> str:
    return f"{count} rule{'s' if count != 1 else ''}"
