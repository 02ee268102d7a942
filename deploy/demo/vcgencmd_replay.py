"""Answers like a Raspberry Pi's vcgencmd, from a file that is read anew each time.

    python vcgencmd_replay.py FILE get_throttled | measure_clock arm | measure_temp

The file holds the answers as the firmware prints them, one a line (``throttled=0x50005``). A question it has no answer
to gets the firmware's error text, and exit status 0 all the same, as the real tool may do.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

PREFIX = {"get_throttled": "throttled=", "measure_clock": "frequency(", "measure_temp": "temp="}
MAX_BYTES = 65_536


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 whatever the answer, 1 when the file cannot be read, 2 when called wrongly."""
    words = list(sys.argv[1:] if argv is None else argv)
    if len(words) < 2:
        sys.stderr.write("usage: vcgencmd_replay FILE COMMAND [ARGUMENT...]\n")
        return 2
    try:
        with Path(words[0]).open(encoding="utf-8", errors="replace") as file:
            text = file.read(MAX_BYTES)
    except OSError as error:
        sys.stderr.write(f"vcgencmd_replay: {error}\n")
        return 1
    sys.stdout.write(answer(text, words[1]) + "\n")
    return 0


def answer(text: str, command: str) -> str:
    """The line of ``text`` that answers ``command``."""
    prefix = PREFIX.get(command)
    if prefix is not None:
        for line in text.splitlines():
            if line.startswith(prefix):
                return line.strip()
    return 'error=1 error_msg="Command not registered"'


if __name__ == "__main__":
    sys.exit(main())
