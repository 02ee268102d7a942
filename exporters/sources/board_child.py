"""Vendor programs as children of ours: own process group, our rights, no shell, ended with whatever they started."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress

END_SECONDS = 2.0


def spawn(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Starts a child whose messages come with its output, unbuffered. Raises OSError."""
    return subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "LC_ALL": "C"},
        process_group=0,
        bufsize=0,
    )


def pipe_of(process: subprocess.Popen[bytes]) -> int:
    """The descriptor its output comes from."""
    if process.stdout is None:
        raise ValueError("the child was started without a pipe")
    return process.stdout.fileno()


def read_answer(process: subprocess.Popen[bytes], seconds: float, limit: int) -> bytes | None:
    """Everything the child prints until it closes its output, at most ``limit`` bytes; None when it takes longer."""
    pipe = pipe_of(process)
    deadline = time.monotonic() + seconds
    answer = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while len(answer) < limit:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                return None
            data = os.read(pipe, limit - len(answer))
            if not data:
                break
            answer += data
    return answer


def end_group(process: subprocess.Popen[bytes]) -> bool:
    """Ends a child of ``spawn`` and what it started, closes our end of its pipe; False when the kernel keeps it.

    Returns within about twice ``END_SECONDS``.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            break  # collected: its number may already be someone else's
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
    if process.stdout is not None:
        process.stdout.close()
    return process.poll() is not None
