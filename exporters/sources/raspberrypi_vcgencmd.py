"""The firmware's command line tool, asked in the background: each question is a child with a deadline.

vcgencmd needs ``/dev/vcio`` (group ``video``). A child the kernel will not let go is left alone and no other is started
until it is gone, so a stuck firmware costs one process, not one every ten seconds.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from exporters.sources.board_child import END_SECONDS, end_group, read_answer, spawn
from exporters.sources.raspberrypi import Throttling, cpu_clock, parse_clock, parse_throttled, throttling_of_sysfs

PERIOD_SECONDS = 10.0
DEADLINE_SECONDS = 5.0
MAX_AGE_SECONDS = 3 * PERIOD_SECONDS
MAX_ANSWER = 4096  # bytes; an answer is one short line


class VcgencmdFailed(Exception):
    """No answer; the message says what came instead and, where known, what to do."""


class Vcgencmd:
    """One question at a time. Blocks its caller for at most the deadline and a few seconds to end the child."""

    def __init__(self, command: Sequence[str], deadline: float = DEADLINE_SECONDS) -> None:
        """``command``: program and leading arguments; ``deadline``: seconds."""
        self._command = list(command)
        self._deadline = deadline
        self._stuck: subprocess.Popen[bytes] | None = None

    def ask(self, *words: str) -> str:
        """What it prints, errors included; its exit status means nothing. Raises VcgencmdFailed."""
        said = " ".join((self._command[0], *words))
        if self._stuck is not None:
            if self._stuck.poll() is None:
                raise VcgencmdFailed(f"{said}: not asked, an earlier call has not ended")
            self._stuck = None
        try:
            process = spawn([*self._command, *words])
        except OSError as error:
            raise VcgencmdFailed(f"{said}: cannot be started: {error.strerror or error}") from error
        try:
            answer = read_answer(process, self._deadline, MAX_ANSWER)
            if answer is not None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(END_SECONDS)
        finally:
            if not end_group(process):
                self._stuck = process
        if answer is None:
            raise VcgencmdFailed(f"{said}: no answer within {self._deadline:g} s")
        return answer.decode("utf-8", "replace")


class ThrottleWatch:
    """Asks for throttling and ARM clock at every tick and holds the newest answers."""

    def __init__(self, sys: Path, vcgencmd: Vcgencmd | None) -> None:
        """``vcgencmd``: None when the program is not installed."""
        self._sys = sys
        self._vcgencmd = vcgencmd
        self._throttling: Throttling | None = None
        self._hertz: float | None = None
        self._answered_at: float | None = None
        self.fault = ""
        """Why the last question got no answer; empty when all is well."""

    def tick(self, now: float) -> None:
        """Asks once. ``now``: monotonic seconds."""
        if self._vcgencmd is None:
            self._keep(throttling_of_sysfs(self._sys), cpu_clock(self._sys), now)
            return
        try:
            answer = self._vcgencmd.ask("get_throttled")
            throttling = parse_throttled(answer)
            if throttling is None:
                raise VcgencmdFailed(_explain(answer))
            hertz = parse_clock(self._vcgencmd.ask("measure_clock", "arm"))
        except VcgencmdFailed as error:
            self.fault = str(error)
            if (throttling := throttling_of_sysfs(self._sys)) is not None:
                self._keep(throttling, cpu_clock(self._sys), now)
            return
        self.fault = ""
        self._keep(throttling, hertz or cpu_clock(self._sys), now)

    def _keep(self, throttling: Throttling | None, hertz: float | None, now: float) -> None:
        self._throttling, self._hertz, self._answered_at = throttling, hertz, now

    def throttling(self, now: float) -> Throttling | None:
        """The newest answer, unless it is older than three periods."""
        return self._throttling if self._fresh(now) else None

    def arm_hertz(self, now: float) -> float | None:
        """The newest ARM clock, unless it is older than three periods."""
        return self._hertz if self._fresh(now) else None

    def _fresh(self, now: float) -> bool:
        return self._answered_at is not None and now - self._answered_at <= MAX_AGE_SECONDS


def _explain(answer: str) -> str:
    said = answer.strip()[:200]
    if "vcio" in said or "VCHI" in said:
        return f"vcgencmd get_throttled: {said!r}; let the exporter's user read /dev/vcio (usermod -aG video USER)"
    return f"vcgencmd get_throttled: expected throttled=0x..., got {said!r}"
