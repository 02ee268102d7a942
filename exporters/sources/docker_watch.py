"""Keeps what is known of a host's containers up to date: a list, then Docker's own events, then a list now and then.

One task on the exporter's event loop. The stream of events is opened before the list is read, so that nothing falls
between them. An event never says enough: the container it names is inspected, then the new view is published, then
``changed`` is called. Whoever scrapes because of that call finds the change.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from math import inf

from config.daemon.log import event
from exporters.sources.docker_answers import Container, Event, Listed
from exporters.sources.docker_engine import Engine, EngineFailed, NoSuchContainer

log = logging.getLogger(__name__)

POLL_SECONDS = 10.0
# To knock at a socket costs next to nothing, and while Docker is away nobody knows how its containers are.
FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 5.0
# How long a container that was removed is still told of, in seconds: longer than any rule's `for`.
RETENTION = 600.0
MAX_CONTAINERS = 300
MAX_GONE = 50
# Containers that are inspected at the same time.
LANES = 4
# Seconds from one look at what events named to the next: a storm of events costs as much as twenty of them.
LEAST_SECONDS = 0.05
# A run that ended for lack of memory is counted by its event. Where none came (containerd before 1.5.11 with cgroup
# version 2, https://github.com/containerd/containerd/issues/6323) the state that it left is counted.
OOM_EVENT_SECONDS = 30.0
STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Known:
    """A container and what Docker's answers do not say. ``seen``: when it last ran, in seconds since the epoch.

    ``ooms``: out of memory kills of its name so far; ``run_ooms``: those of this run. ``asked``: it was told to stop in
    this run.
    """

    container: Container
    seen: float | None = None
    ooms: int = 0
    run_ooms: int = 0
    asked: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """Everything at one moment. ``reason``: why Docker does not answer; empty while it does.

    ``answered`` is monotonic seconds, None for never. ``gone``: removed within ``RETENTION``, by name.
    """

    reason: str = "starting"
    answered: float | None = None
    version: str = ""
    api: str = ""
    known: Mapping[str, Known] = field(default_factory=dict)
    gone: Mapping[str, Known] = field(default_factory=dict)
    ignored: int = 0
    events: int = 0
    connections: int = 0


class ContainerWatch:
    """``view`` may be read from any thread; everything else happens on the event loop it was started on."""

    def __init__(
        self,
        engine: Engine,
        changed: Callable[[str], None],
        *,
        wall: Callable[[], float],
        wanted: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
        poll: float = POLL_SECONDS,
        first_backoff: float = FIRST_BACKOFF,
    ) -> None:
        """``wall``: seconds since the epoch; ``clock``: monotonic. ``poll``: seconds between lists.

        ``wanted``: names of which a removal is always told, until there is a new one; of others only for a while, and
        when the end was not a clean one. A host that runs a job a minute under a new name each time would leave new
        series each time.
        """
        self.view = View()
        self._engine = engine
        self._changed = changed
        self._wall = wall
        self._wanted = frozenset(wanted)
        self._clock = clock
        self._poll = poll
        self._first_backoff = first_backoff
        self._backoff = first_backoff
        self._known: dict[str, Known] = {}
        self._gone: dict[str, tuple[float, Known]] = {}
        self._ooms: dict[str, int] = {}
        self._run_ooms: dict[str, int] = {}
        self._last_oom: dict[str, float] = {}
        # Answers overtake one another: an inspection counts only when none that was asked later was learnt before it.
        self._turns = itertools.count(1)
        # That it was removed counts as such an answer.
        self._learnt: dict[str, int] = {}
        self._looked = 0
        self._last_event: dict[str, Event] = {}
        self._dirty: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begins on the running event loop; again does nothing."""
        if self._task is None:
            self._loop = asyncio.get_running_loop()
            self._task = self._loop.create_task(self._run(), name="containers")

    def stop(self) -> None:
        """Ends it. To be called from another thread while the loop runs; blocks for a moment."""
        if self._loop is not None and self._task is not None:
            asyncio.run_coroutine_threadsafe(self.aclose(), self._loop).result(STOP_SECONDS + 1)

    async def aclose(self) -> None:
        """Ends it, on its event loop."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task], timeout=STOP_SECONDS)

    async def _run(self) -> None:
        await self._engine.open()
        try:
            while True:
                try:
                    await self._session()
                except* EngineFailed as failures:
                    self._down(_first(failures))
                except* Exception as failures:
                    # A fault of ours: the exporter goes on, and says that it knows nothing of containers.
                    log.exception("watching containers failed")
                    self._down(EngineFailed("answer", repr(failures.exceptions[0])))
                if self._task is None:
                    return  # told to end just as something failed: of the two a group of tasks tells the failure only
                await asyncio.sleep(self._backoff * random.uniform(0.8, 1.2))  # noqa: S311  # jitter, not a secret
                self._backoff = min(2 * self._backoff, LONGEST_BACKOFF)
        finally:
            await self._engine.close()

    async def _session(self) -> None:
        """Until something fails."""
        await self._engine.negotiate()
        async with self._engine.events() as events:
            self.view = replace(self.view, connections=self.view.connections + 1)
            self._dirty.clear()
            self._last_event.clear()
            await self._resync(everything=True)
            self._up()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow(events))
                group.create_task(self._refresh())
                group.create_task(self._look_now_and_then())

    async def _follow(self, events: AsyncIterator[Event]) -> None:
        async for told in events:
            self._take(told)

    async def _look_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(self._poll)
            if await self._resync(everything=False):
                self._changed("container")

    async def _refresh(self) -> None:
        """Inspects what events named. What comes in while it does waits for the next round, each container once."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            ids, self._dirty = list(self._dirty), {}
            await self._inspect(ids)
            self._publish()
            self._changed("container")
            await asyncio.sleep(LEAST_SECONDS)

    def _take(self, told: Event) -> None:
        """Notes what only events say, and what has to be looked at."""
        self.view = replace(self.view, events=self.view.events + 1)
        known = self._known.get(told.id)
        name = known.container.name if known else told.name
        if told.action == "oom":
            self._ooms[name] = self._ooms.get(name, 0) + 1
            self._run_ooms[told.id] = self._run_ooms.get(told.id, 0) + 1
            self._last_oom[told.id] = self._clock()
        elif told.action == "kill":
            if known and told.signal in (2, 3, 15, known.container.stop_signal):
                self._known[told.id] = replace(known, asked=True)
            return  # what it does is another event
        elif told.action == "start":
            self._run_ooms[told.id] = 0
        if told.action in ("die", "start"):
            self._last_event[told.id] = told
        if told.action == "destroy":
            self._forget(told.id)
        else:
            self._dirty[told.id] = None
        self._wake.set()

    async def _resync(self, *, everything: bool) -> bool:
        """Compares with Docker's list; whether anything was new. Raises EngineFailed."""
        turn = next(self._turns)
        entries = await self._engine.containers()
        # Those that run first: with more than can be watched, it is old ones that are left out.
        entries.sort(key=lambda entry: entry.state not in ("running", "restarting", "paused"))
        ignored, entries = max(0, len(entries) - MAX_CONTAINERS), entries[:MAX_CONTAINERS]
        here = {entry.id for entry in entries}
        # Not one that was made while the list was on its way.
        removed = [known for known in self._known if known not in here and self._learnt.get(known, 0) < turn]
        for container in removed:
            self._forget(container)
        for memory in (self._last_event, self._last_oom, self._run_ooms):
            for container in memory.keys() - here - self._known.keys():
                del memory[container]
        for container in self._learnt.keys() - here - self._known.keys():
            if self._learnt[container] < self._looked:  # nothing that was asked before that is still on its way
                del self._learnt[container]
        self._looked = turn
        doubtful = [entry.id for entry in entries if everything or self._differs(entry)]
        await self._inspect(doubtful, {entry.id: entry for entry in entries})
        now = self._wall()
        for container, known in self._known.items():
            if known.container.state in ("running", "paused"):
                self._known[container] = replace(known, seen=now)
        self.view = replace(
            self.view, answered=self._clock(), ignored=ignored, version=self._engine.version, api=self._engine.api
        )
        self._publish()
        return bool(removed or doubtful)

    def _differs(self, entry: Listed) -> bool:
        known = self._known.get(entry.id)
        if known is None:
            return True
        held = known.container
        return (entry.state, entry.health, entry.name) != (held.state, held.health, held.name)

    async def _inspect(self, ids: list[str], entries: Mapping[str, Listed] | None = None) -> None:
        """Looks at some containers, a few at a time. One that does not answer keeps what else is known of it."""
        waiting = iter(ids)

        async def lane() -> None:
            for container in waiting:
                turn = next(self._turns)
                try:
                    found = await self._engine.inspect(container)
                except NoSuchContainer:
                    self._forget(container)
                except EngineFailed as failure:
                    log.debug("container %s: %s", container[:12], failure)
                    if turn > self._learnt.get(container, 0):
                        self._guess(container, (entries or {}).get(container))
                else:
                    self._learn(found, turn)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(LANES, len(ids))):
                group.create_task(lane())

    def _learn(self, found: Container, turn: int) -> None:
        if turn < self._learnt.get(found.id, 0):
            return
        self._learnt[found.id] = turn
        known = self._known.get(found.id)
        if known is None and len(self._known) >= MAX_CONTAINERS:
            return
        ooms = self._ooms.get(found.name, 0)
        if known is None or known.container.started != found.started:
            known = Known(found, known.seen if known else None)
        told_already = known.container is not found and known.container.oom_killed
        by_event = self._clock() - self._last_oom.get(found.id, -inf) < OOM_EVENT_SECONDS
        if found.oom_killed and found.finished is not None and not told_already and not by_event:
            ooms = self._ooms[found.name] = ooms + 1
            self._run_ooms[found.id] = 1
        seen = self._wall() if found.state in ("running", "paused") else found.finished or known.seen
        run_ooms = self._run_ooms.get(found.id, 0)
        self._known[found.id] = replace(known, container=found, seen=seen, ooms=ooms, run_ooms=run_ooms)
        self._gone.pop(found.name, None)

    def _guess(self, container: str, entry: Listed | None) -> None:
        """Without an inspection: the state from the list, or from the last event."""
        known = self._known.get(container)
        if known is None:
            if entry is not None and len(self._known) < MAX_CONTAINERS:
                self._known[container] = Known(Container(container, entry.name, entry.image, entry.state, entry.health))
            return
        held, told = known.container, self._last_event.get(container)
        if entry is not None:
            held = replace(held, state=entry.state, health=entry.health, name=entry.name)
        elif told is not None and told.action == "die":
            code = held.exit_code if told.exit_code is None else told.exit_code
            held = replace(held, state="exited", exit_code=code, finished=self._wall(), pid=0)
        elif told is not None and told.action == "start":
            held = replace(held, state="running")
        self._known[container] = replace(known, container=held)

    def _forget(self, container: str) -> None:
        """It was removed. ``docker rm -f`` leaves no time to look at how it ended: its last event says that."""
        if container in self._known:
            self._guess(container, None)
        known = self._known.pop(container, None)
        self._last_event.pop(container, None)
        self._last_oom.pop(container, None)
        run_ooms = self._run_ooms.pop(container, 0)
        self._learnt[container] = next(self._turns)
        if known is None or (_clean(known.container) and known.container.name not in self._wanted):
            return
        # There may have been no look at it between its last events.
        known = replace(known, ooms=self._ooms.get(known.container.name, 0), run_ooms=run_ooms)
        self._gone[known.container.name] = (self._clock(), known)
        while len(self._gone) > MAX_GONE:
            del self._gone[min(self._gone, key=lambda name: self._gone[name][0])]

    def _publish(self) -> None:
        now = self._clock()
        by_name = {known.container.name: known for known in self._known.values()}
        self._gone = {
            name: (at, known)
            for name, (at, known) in self._gone.items()
            if (now - at < RETENTION or name in self._wanted) and name not in by_name
        }
        self._ooms = {name: count for name, count in self._ooms.items() if name in by_name or name in self._gone}
        self.view = replace(self.view, known=by_name, gone={name: known for name, (_, known) in self._gone.items()})

    def _up(self) -> None:
        self._backoff = self._first_backoff
        if self.view.reason:
            self.view = replace(self.view, reason="")
            event(log, logging.INFO, "docker answers", version=self.view.version, containers=len(self._known))
            self._changed("container")

    def _down(self, failure: EngineFailed) -> None:
        before = self.view.reason
        if before == failure.reason:
            return
        self.view = replace(self.view, reason=failure.reason)
        event(log, logging.WARNING, "docker does not answer", reason=failure.reason, error=str(failure))
        self._changed("container")


def _clean(container: Container) -> bool:
    """Whether it ended as a job does that is done."""
    return container.state == "exited" and container.exit_code == 0 and not container.oom_killed


def _first(failures: BaseExceptionGroup[EngineFailed]) -> EngineFailed:
    """What failed first, out of a group of groups."""
    for failure in failures.exceptions:
        return _first(failure) if isinstance(failure, BaseExceptionGroup) else failure
    raise AssertionError("an exception group is never empty")
