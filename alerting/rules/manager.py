"""All groups, for as long as the aggregator runs: when each is due, early evaluation, reload, restart.

Evaluations run one after the other in a worker thread, so the event loop never waits for one. Everything public is
called on the event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from alerting.clock import Clock
from alerting.model.alert import Alert, AlertSink
from alerting.rules.definitions import Group
from alerting.rules.expressions import affected
from alerting.rules.group import Outcome, RuleState, RunningGroup, Surroundings, resolved_now
from alerting.rules.restore import OUTAGE_TOLERANCE_MS, after_leap, restored
from alerting.rules.state_store import AlertStateStore
from alerting.rules.views import GroupView, group_view
from alerting.storage.ports import StorageError

log = logging.getLogger(__name__)

NOTE_EVERY_MS = 60_000  # how often the store hears that the states are still true
LEARNING_LIMIT_MS = 120_000  # how long a start waits for the sources before it judges without them
JUMP_MS = 10_000  # the wall clock moved this much more or less than time passed: it was set, or the machine slept
SETTLE_MS = 30_000  # how long the sources have after that, before missing data means anything
MAX_SLEEP_S = 5.0  # a clock that jumps back must not make the loop sleep for hours


@dataclass(frozen=True, slots=True)
class Options:
    """``ready(now_ms)`` becomes true when every target was scraped once after the start: until then nothing fires and
    nothing resolves. ``outage_tolerance_ms``: see restore.py."""

    ready: Callable[[int], bool] = lambda _: True
    outage_tolerance_ms: int = OUTAGE_TOLERANCE_MS


@dataclass(slots=True)
class Stats:
    """Counters since the start, of rules unless said otherwise; durations in seconds.

    ``early``: evaluations outside of the slots, because a series changed or an alert's time was over.
    ``missed``: times a group was due and could not run because the one before it took too long. ``refused``: frames
    the store did not take because the clock went back. ``store_errors``: saves of alert states that failed.
    """

    evaluations: int = 0
    failures: int = 0
    early: int = 0
    missed: int = 0
    refused: int = 0
    store_errors: int = 0
    seconds: float = 0.0
    last_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Job:
    """A group to evaluate: the rules at ``positions`` (None: all), for the time ``at_ms`` (None: now)."""

    group: RunningGroup
    positions: Collection[int] | None
    at_ms: int | None = None


class RuleManager:
    """Owns the states of all rules."""

    def __init__(
        self,
        groups: Sequence[Group],
        around: Surroundings,
        *,
        sink: AlertSink,
        clock: Clock,
        store: AlertStateStore,
        options: Options = Options(),
    ) -> None:
        self.stats = Stats()
        self._around = around
        self._sink = sink
        self._clock = clock
        self._store = store
        self._options = options
        self._groups = [RunningGroup(group, around) for group in groups]
        self._pending: tuple[list[Group], Surroundings] | None = None
        self._early: set[str] = set()
        self._wake = asyncio.Event()
        self._busy = False
        self._stopping = False
        self._learning = True
        self._started_ms = clock.now_ms()
        self._settled_ms: int | None = None
        self._last_look = (self._started_ms, around.monotonic())
        self._noted_ms = self._started_ms
        self._saving_fails = False
        self._orphans: list[Alert] = []
        self._forget: set[str] = set()
        self._slots: dict[str, int] = {}

    def restore(self) -> int:
        """Take the stored states over; blocking, to be called once before ``run``. Returns how many alerts go on.

        A store that cannot be read is no reason not to watch: it is logged and the rules start afresh.
        """
        try:
            stored = self._store.load()
        except StorageError as error:
            log.error("alert states are lost, all rules start afresh: %s", error)  # noqa: TRY400 - no trace helps
            self.stats.store_errors += 1
            return 0
        now_ms = self._clock.now_ms()
        known = {state.rule_id: state for group in self._groups for state in group.rules}
        count = 0
        for rule_id, alerts in stored.alerts.items():
            going_on = restored(alerts, stored.seen_ms, now_ms, self._options.outage_tolerance_ms)
            if rule_id in known:
                known[rule_id].set_alerts({alert.labels: alert for alert in going_on}, now_ms)
                known[rule_id].unsaved = tuple(going_on) != alerts
                count += len(going_on)
            else:
                self._orphans += [alert for alert in going_on if alert.state == "firing"]
                self._forget.add(rule_id)
        return count

    async def run(self) -> None:
        """Evaluate until cancelled. The group that is running then is finished and saved first."""
        self._stopping = False
        while True:
            turn = asyncio.ensure_future(self.turn())
            try:
                await asyncio.shield(turn)
            except asyncio.CancelledError:
                self._stopping = True
                await turn
                raise
            timeout = min(MAX_SLEEP_S, self._until_due())
            if timeout > 0:
                try:
                    async with asyncio.timeout(timeout):
                        await self._wake.wait()
                except TimeoutError:
                    pass
            self._wake.clear()

    async def turn(self) -> None:
        """Everything that is due now; ``run`` does this again and again."""
        self._busy = True
        try:
            self._swap()
            self._watch_clock()
            jobs = [Job(group, None, slot) for group in self._groups if (slot := self._due(group)) is not None]
            whole = {id(job.group) for job in jobs}
            jobs += [
                Job(group, positions)
                for group in self._groups
                if id(group) not in whole and (positions := group.timed_out(self._clock.now_ms()))
            ]
            await self._work_through(jobs)
            await self._note()
        finally:
            self._busy = False
            self._swap()

    async def _work_through(self, due: Sequence[Job]) -> None:
        """What was asked for goes first; but every other time only, or what changes all the time would keep the rest
        waiting for ever."""
        asked = self._asked_for()
        gave_way = False
        while (due or asked) and not self._stopping:
            if self._watch_clock():  # in the middle of a turn: the slots were those of the other time
                due = [Job(job.group, job.positions) for job in due]
            first = due[:1] if gave_way else ()
            jobs = [*first, *asked, *due[len(first) :]]
            left = {id(job) for job in jobs[await self._evaluate(jobs) :]}
            still = [job for job in due if id(job) in left]
            gave_way = len(still) == len(due)
            due = still
            asked = _merged([*(job for job in asked if id(job) in left), *self._asked_for()])

    def _due(self, group: RunningGroup) -> int | None:
        """The time to evaluate a group for, when it is due: its slot, or now when it was never evaluated."""
        now_ms = self._clock.now_ms()
        slot, key = group.slot(now_ms), group.group.key
        last = self._slots.get(key)
        if last is not None and 0 <= last - slot <= group.interval_ms:
            return None
        if last is not None and slot > last:
            self.stats.missed += (slot - last) // group.interval_ms - 1
        self._slots[key] = slot
        return now_ms if last is None else slot

    def _until_due(self) -> float:
        """Seconds until something is due: a group, or an alert whose time is over; 0 when something waits."""
        if self._early or self._pending is not None:
            return 0.0
        now_ms = self._clock.now_ms()
        waits = [group.slot(now_ms) + group.interval_ms - now_ms for group in self._groups]
        waits += [end_ms - now_ms for group in self._groups if (end_ms := group.timeout_ms(now_ms)) is not None]
        return max(0.001, min(waits, default=MAX_SLEEP_S * 1000) / 1000)

    def _asked_for(self) -> list[Job]:
        """What was asked for with ``evaluate_now``; it does not wait for the groups that are due."""
        if not self._early:
            return []
        names, self._early = frozenset(self._early), set()
        found = [(group, affected(group.group.rules, names)) for group in self._groups]
        return [Job(group, positions) for group, positions in found if positions]

    async def _evaluate(self, jobs: Sequence[Job]) -> int:
        """Do the jobs in order, up to where an early evaluation was asked for; returns how many were done.

        One trip to the worker thread for all of them: waking threads costs as much as evaluating a small group.
        """
        learning = self._still_learning()
        outcomes = await asyncio.to_thread(self._work, jobs, learning)
        if not outcomes:
            return 0
        told: list[tuple[list[Alert], int]] = []
        for job, (outcome, seconds) in zip(jobs, outcomes, strict=False):
            self._count(outcome, seconds)
            if job.at_ms is None:
                self.stats.early += outcome.evaluations
            if outcome.told:
                told.append((list(outcome.told), outcome.at_ms))
        last_ms = outcomes[-1][0].at_ms
        if self._orphans and not learning:
            told.append((resolved_now(self._orphans, last_ms), last_ms))
            self._orphans = []
        # Told first, saved second: a crash in between tells twice, which the receiver can see, never not at all.
        # That nothing fires is news too: whoever listens measures by it how long an alert has been missing.
        for alerts, at_ms in told or [([], last_ms)]:
            self._sink.update(alerts, at_ms)
        done = {id(job.group): job.group for job in jobs[: len(outcomes)]}
        await self._save([state for group in done.values() for state in group.rules if state.unsaved])
        return len(outcomes)

    def _work(self, jobs: Sequence[Job], learning: bool) -> list[tuple[Outcome, float]]:
        """In the worker thread: at least the first job, each with the seconds it took; none once the clock jumped."""
        done: list[tuple[Outcome, float]] = []
        for job in jobs:
            now_ms = self._clock.now_ms()
            if (done and (self._early or self._stopping)) or self._jumped(now_ms):
                break
            group = job.group
            at_ms = now_ms if job.at_ms is None else job.at_ms
            # A slot just before an early evaluation would go back in time; a clock set back far is believed.
            if group.last_ms is not None and 0 <= group.last_ms - at_ms <= group.interval_ms:
                at_ms = group.last_ms + 1
            started = self._around.monotonic()
            outcome = group.evaluate(at_ms, job.positions, learning=learning)
            done.append((outcome, self._around.monotonic() - started))
        return done

    def _watch_clock(self) -> bool:
        """After a jump of the clock (a board without a clock chip learns the time late, a machine was asleep) all data
        is old: wait until it is fresh instead of resolving everything. Returns whether it jumped."""
        now_ms = self._clock.now_ms()
        jump = self._jump_ms(now_ms)
        self._last_look = (now_ms, self._around.monotonic())
        if abs(jump) <= JUMP_MS:
            return False
        log.warning("the clock jumped by %.0f s; rules hold their states for %d s", jump / 1000, SETTLE_MS // 1000)
        self._settled_ms = now_ms + SETTLE_MS
        for state in (state for group in self._groups for state in group.rules if state.alerts):
            alerts = {labels: after_leap(alert, round(jump)) for labels, alert in state.alerts.items()}
            state.set_alerts(alerts, now_ms)
            state.unsaved = True
        return True

    def _jump_ms(self, now_ms: int) -> float:
        """How far the clock was set since the last look at it."""
        return now_ms - self._last_look[0] - (self._around.monotonic() - self._last_look[1]) * 1000

    def _jumped(self, now_ms: int) -> bool:
        return abs(self._jump_ms(now_ms)) > JUMP_MS

    def _still_learning(self) -> bool:
        if self._settled_ms is not None and self._clock.now_ms() >= self._settled_ms:
            self._settled_ms = None
        return self._settled_ms is not None or self._still_starting()

    def _still_starting(self) -> bool:
        if self._learning:
            now_ms = self._clock.now_ms()
            waited = now_ms - self._started_ms
            self._learning = not self._options.ready(now_ms) and waited < LEARNING_LIMIT_MS
        return self._learning

    def _count(self, outcome: Outcome, seconds: float) -> None:
        self.stats.evaluations += outcome.evaluations
        self.stats.failures += outcome.failures
        self.stats.refused += outcome.refused
        self.stats.seconds += seconds
        self.stats.last_seconds = seconds

    async def _save(self, states: Sequence[RuleState]) -> None:
        """Save what changed; what cannot be saved is tried again after the next evaluation."""
        rows = {state.rule_id: list(state.alerts.values()) for state in states}
        forget = set() if self._orphans else self._forget
        if not rows and not forget:
            return
        now_ms = self._clock.now_ms()
        try:
            await asyncio.to_thread(self._store.save, {**{rule: [] for rule in forget}, **rows}, now_ms)
        except StorageError as error:
            self._not_saved(error)
            return
        self._saving_fails = False
        self._noted_ms = now_ms
        self._forget -= forget
        for state in states:
            state.unsaved = False

    def _not_saved(self, error: StorageError) -> None:
        self.stats.store_errors += 1
        if not self._saving_fails:
            log.warning("alert states cannot be saved, they are in memory until they can: %s", error)
        self._saving_fails = True

    async def _note(self) -> None:
        now_ms = self._clock.now_ms()
        if abs(now_ms - self._noted_ms) < NOTE_EVERY_MS or not self.active():
            return
        self._noted_ms = now_ms
        try:
            await asyncio.to_thread(self._store.note, now_ms)
        except StorageError as error:
            self._not_saved(error)

    def evaluate_now(self, names: Iterable[str]) -> None:
        """Evaluate the rules that read one of these metrics as soon as possible, not only at their next time."""
        self._early.update(names)
        self._wake.set()

    def reload(self, groups: Sequence[Group], around: Surroundings | None = None) -> None:
        """Go on with other groups. Rules that were there before (same file name, group, name and labels) keep their
        states; firing alerts of rules that are gone are told as resolved. ``around`` None: as it was."""
        self._pending = (list(groups), around or self._around)
        if not self._busy:
            self._swap()
        self._wake.set()

    def _swap(self) -> None:
        if self._pending is None:
            return
        (groups, self._around), self._pending = self._pending, None
        now_ms = self._clock.now_ms()
        old = {state.rule_id: state for group in self._groups for state in group.rules}
        by_key = {group.group.key: group for group in self._groups}
        fresh = [RunningGroup(group, self._around) for group in groups]
        taken: set[str] = set()
        for group in fresh:
            taken |= group.take_over(old, by_key.get(group.group.key))
        ended: list[Alert] = []
        for rule_id, state in old.items():
            if rule_id not in taken:
                ended += state.end(now_ms)
                self._forget.add(rule_id)
        self._groups = fresh
        self._slots = {key: slot for key, slot in self._slots.items() if key in {g.group.key for g in fresh}}
        if ended:
            self._sink.update(ended, now_ms)

    def groups(self) -> list[GroupView]:
        """Every group with its rules, states and last evaluations."""
        return [group_view(group) for group in self._groups]

    def active(self) -> list[Alert]:
        """The pending and firing alerts of all rules, sorted by labels."""
        found = [
            alert
            for group in self._groups
            for state in group.rules
            for alert in state.alerts.values()
            if alert.state != "resolved"
        ]
        return sorted(found, key=lambda alert: alert.labels)

    @property
    def learning(self) -> bool:
        """Whether the rules still wait for the sources, after a start or a jump of the clock."""
        return self._learning or self._settled_ms is not None


def _merged(jobs: Iterable[Job]) -> list[Job]:
    """One job a group, for all the rules that its jobs name."""
    found: dict[int, Job] = {}
    for job in jobs:
        known = found.get(id(job.group))
        found[id(job.group)] = (
            job if known is None else Job(job.group, {*(known.positions or ()), *(job.positions or ())})
        )
    return list(found.values())
