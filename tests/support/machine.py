"""How busy this machine is now."""

from __future__ import annotations

import subprocess
import sys
import time

# How many times longer a busy machine may take for what a test waits for, before the test gives up.
PATIENCE = 6


def slack(starts: float = 10.0) -> float:
    """Seconds by which what should take none may be late here: the time of so many starts of a small program.

    A fifth of a second where nothing else runs. To be asked just after what was late, while the machine is as busy.
    """
    begun = time.perf_counter()
    for _ in range(3):
        subprocess.run([sys.executable, "-I", "-S", "-c", ""], check=True)
    return starts * (time.perf_counter() - begun) / 3
