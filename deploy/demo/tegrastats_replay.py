"""Prints recorded tegrastats lines as tegrastats does: one each interval, the first after one interval, for ever.

    python tegrastats_replay.py FILE [--interval MILLISECONDS]

It ends when it is told to (SIGTERM, SIGINT) or when nobody reads its output any more.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

MAX_BYTES = 1 << 20


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 when stopped or unread, 1 when the file is unusable."""
    options = argparse.ArgumentParser(prog="tegrastats_replay", description="print recorded tegrastats lines in turn")
    options.add_argument("file", type=Path, metavar="FILE", help="recorded lines, one a line")
    options.add_argument("--interval", type=interval, default=1000, metavar="MS", help="milliseconds between two lines")
    given = options.parse_args(argv)
    try:
        lines = read_lines(given.file)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"tegrastats_replay: {error}\n")
        return 1
    try:
        replay(lines, given.interval / 1000)
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        # What is still buffered would fail again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def read_lines(path: Path) -> list[str]:
    """The lines that are not empty. Raises OSError, ValueError."""
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path}: larger than {MAX_BYTES} bytes, a recording is a few lines")
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not lines:
        raise ValueError(f"{path}: no line to replay")
    return lines


def replay(lines: Sequence[str], seconds: float) -> None:
    """Prints the lines in turn, again and again, ``seconds`` apart."""
    for line in itertools.cycle(lines):
        time.sleep(seconds)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def interval(text: str) -> int:
    """Milliseconds, at least one, at most an hour."""
    value = int(text)
    if not 1 <= value <= 3_600_000:
        raise argparse.ArgumentTypeError(f"{text}: between 1 and 3600000 ms")
    return value


if __name__ == "__main__":
    sys.exit(main())
