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

    Returns within about twice ``END_SECONDS``. A child that was collected before has its number no more, which may
    already be someone else's, so then nothing is signalled.
    """
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGTERM)
        _wait_uncollected(process.pid, END_SECONDS)
        # Until it is collected its number is its group's, also when only a child of its own is left there.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
    if process.stdout is not None:
        process.stdout.close()
    return process.returncode is not None


def _wait_uncollected(pid: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                return
        except ChildProcessError:
            return
        time.sleep(0.01)
