"""``python -m tests.promqltest FILE...``: failures, then ``N passed, N failed``; status 0 only when none failed."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.promqltest.notation import ScriptError
from tests.promqltest.run import run_file


def main(files: list[str]) -> int:
    if not files:
        print("usage: python -m tests.promqltest FILE...", file=sys.stderr)
        return 2
    passed = failed = 0
    broken = False
    for name in files:
        try:
            outcome = run_file(Path(name))
        except ScriptError as error:
            print(f"error: {error}", file=sys.stderr)
            broken = True
            continue
        for failure in outcome.failures:
            print(failure)
        passed += outcome.passed
        failed += len(outcome.failures)
    print(f"{passed} passed, {failed} failed")
    if broken:
        return 2
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
