"""Watches one service: when to ask, what an outcome means after the one before, what was found last."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass

from config.daemon.log import event
from exporters.probes.probe import Probe
from exporters.probes.verdict import Reason, State, Unwell, Verdict

_log = logging.getLogger(__name__)

# While a service is not up it is asked this often, to tell soon that it is back. In seconds.
IMPATIENT = 2.0
# A connection that ends makes for a check at once, but never more often than this.
SHORTEST_GAP = 0.5
# So many checks in a row that only the end of a connection made: the service ends idle connections by habit.
HABIT = 4


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: between checks, until an answer, until a service that is away is called down; ``first``: the same for
    one that was not there yet since the probes began: a node that boots starts its exporter before its services."""

    interval: float
    timeout: float
    grace: float
    first: float = 0.0


@dataclass(frozen=True, slots=True)
class Result:
    """``at``: monotonic time the check ended; ``seconds``: how long it took; ``changes``: of the state so far, but for
    restarts within the grace."""

    verdict: Verdict
    at: float
    seconds: float
    checks: int
    changes: int


@dataclass(slots=True)
class Judge:
    """What single outcomes say together. Pure but for what it remembers."""

    patience: int
    grace: float
    first: float = 0.0
    seen: bool = False
    timeouts: int = 0
    away_since: float | None = None
    # When the restart began that is allowed until its grace has passed.
    restarts_since: float | None = None
    # The state that was judged last is that of such a restart.
    excused: bool = False

    def judge(self, verdict: Verdict, now: float) -> Verdict:
        """One check without an answer may be a stall; a service may be away for its grace; and one that was never
        there may still come: until then nobody knows."""
        judged = self._judged(verdict, now)
        if judged.state is not State.DEGRADED:
            self.restarts_since = None
        # What ends takes its port with it; what only answers late is no restart.
        elif verdict.state is State.DOWN and verdict.reason is not Reason.TIMEOUT and self.restarts_since is None:
            self.restarts_since = self.away_since
        self.excused = self.restarts_since is not None and now - self.restarts_since < self.grace
        return judged

    def _judged(self, verdict: Verdict, now: float) -> Verdict:
        self.timeouts = self.timeouts + 1 if verdict.reason is Reason.TIMEOUT else 0
        if verdict.state is not State.DOWN:
            self.away_since = None
            self.seen = self.seen or verdict.state is not State.UNKNOWN
            return verdict
        if self.away_since is None:
            self.away_since = now
        if not self.seen and now - self.away_since < self.first:
            return Verdict(State.UNKNOWN, verdict.reason)
        stalled = verdict.reason is Reason.TIMEOUT and self.timeouts < self.patience
        if stalled or now - self.away_since < self.grace:
            return Verdict(State.DEGRADED, verdict.reason, verdict.rows)
        return verdict


class Watch:
    """Runs in the probes' loop; ``result`` may be read from any thread."""

    def __init__(self, probe: Probe, pace: Pace, changed: Callable[[], None]) -> None:
        """``changed`` is told when the state becomes another."""
        self.probe = probe
        self.pace = pace
        self.result: Result | None = None
        self._changed = changed
        self._judge = Judge(probe.patience, pace.grace, pace.first)
        # What changes are counted from: a restart within the grace leaves it as it was.
        self._settled: State | None = None

    async def run(self, delay: float) -> None:
        """For ever, the first time after ``delay`` seconds."""
        try:
            await asyncio.sleep(delay)
            by_habit = 0
            while True:
                await self.once()
                try:
                    by_habit = by_habit + 1 if await self._pause(watching=by_habit < HABIT) else 0
                except Exception as error:
                    # A fault of one probe's must not end those of the other services.
                    _log.debug("watching %s raised", self.probe.service, exc_info=error)
                    self.probe.close()
                    await asyncio.sleep(self.pace.interval)
        finally:
            self.probe.close()

    async def once(self) -> Verdict:
        """One check, judged and published."""
        begun = time.monotonic()
        verdict = await outcome(self.probe, self.pace.timeout)
        now = time.monotonic()
        verdict = self._judge.judge(verdict, now)
        before = self.result
        state = before.verdict.state if before else None
        checks, changes = (before.checks, before.changes) if before else (0, 0)
        # How a service is when the probes begin is no news, unless it is broken.
        changed = state is not verdict.state and not (before is None and verdict.state in (State.UP, State.UNKNOWN))
        if not self._judge.excused:
            changes += self._settled not in (None, verdict.state)
            self._settled = verdict.state
        self.result = Result(verdict, now, now - begun, checks + 1, changes)
        if changed or (before is None and verdict.detail):
            self._tell(verdict)
        return verdict

    def _tell(self, verdict: Verdict) -> None:
        level = logging.INFO if verdict.state is State.UP else logging.WARNING
        reason = str(verdict.reason or "")
        more = {"detail": verdict.detail} if verdict.detail else {}
        event(_log, level, "service", service=self.probe.service, state=str(verdict.state), reason=reason, **more)
        self._changed()

    async def _pause(self, *, watching: bool) -> bool:
        """Until the next check; whether the end of the idle connection cut it short."""
        up = self.result is not None and self.result.verdict.state is State.UP
        seconds = self.pace.interval if up else min(self.pace.interval, IMPATIENT)
        await asyncio.sleep(min(SHORTEST_GAP, seconds))
        try:
            async with asyncio.timeout(max(0.0, seconds - SHORTEST_GAP)):
                if watching:
                    await self.probe.lost()
                    return True
                await asyncio.Event().wait()
        except TimeoutError:
            pass
        return False


async def outcome(probe: Probe, seconds: float) -> Verdict:
    """What a check says; whatever ends it early ends its connection too."""
    try:
        async with asyncio.timeout(seconds):
            return await probe.check()
    except Exception as error:
        probe.close()
        state, reason = meaning(error)
        if reason is Reason.FAULT:
            _log.debug("the probe of %s raised", probe.service, exc_info=error)
        return Verdict(state, reason, detail=error.detail if isinstance(error, Unwell) else "")


def meaning(error: Exception) -> tuple[State, Reason]:
    """An exception of a check as a state. Texts of exceptions are not told: they may hold what an answer held."""
    if isinstance(error, Unwell):
        return error.state, error.reason
    if isinstance(error, TimeoutError):
        return State.DOWN, Reason.TIMEOUT
    if isinstance(error, ConnectionRefusedError):
        return State.DOWN, Reason.REFUSED
    if isinstance(error, ssl.SSLError):
        return State.DOWN, Reason.TLS
    if isinstance(error, ConnectionError | EOFError):
        return State.DOWN, Reason.CLOSED
    if isinstance(error, PermissionError):
        return State.UNKNOWN, Reason.NOT_PERMITTED
    if isinstance(error, OSError):
        return State.DOWN, Reason.UNREACHABLE
    return State.UNKNOWN, Reason.FAULT
