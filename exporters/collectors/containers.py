"""Containers: what Docker says of them, and what the kernel counts for them."""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from exporters.catalog import containers as names
from exporters.catalog.metric import Metric
from exporters.collector import Family, NoData
from exporters.collectors.shape import Row, families
from exporters.sources import cgroups, procfs
from exporters.sources.cgroups import Cgroups, Places, Usage
from exporters.sources.docker_answers import HEALTHS, STATES, Container
from exporters.sources.docker_engine import Engine
from exporters.sources.docker_watch import ContainerWatch, Known, View
from exporters.sources.files import Roots
from exporters.wanted import WantedService

# Without an answer for so long (three lists of Docker's), nobody knows in which state the containers are.
STALE_SECONDS = 30.0
MISSING = "missing"
MAX_INTERFACES = 8
# Besides the loopback, the devices that the kernel puts into every new network for tunnels that nobody has made.
NO_INTERFACE = re.compile(r"(lo|tunl|sit|ip6tnl|gre|gretap|erspan|ip_vti|ip6_vti|ip6gre|ifb|teql|dummy)\d*")
# Exit codes of a program that was told to end and did so: by SIGINT, by SIGTERM.
ENDED_BY_REQUEST = (130, 143)
KILLED = 137

_NETWORK = tuple(names.NETWORK_RECEIVE.values()), tuple(names.NETWORK_TRANSMIT.values())

Rows = dict[Metric, list[Row]]


def make(
    socket: str,
    roots: Roots,
    *,
    services: Sequence[WantedService],
    changed: Callable[[str], None],
    wall: Callable[[], float],
    on_stop: Callable[[Callable[[], None]], None],
) -> Containers:
    """The collector, with its watch begun on the running event loop; ``on_stop`` is given what ends it."""
    wanted = {service.container for service in services}
    watch = ContainerWatch(Engine(socket), changed, wall=wall, wanted=wanted)
    watch.start()
    on_stop(watch.stop)
    return Containers(lambda: watch.view, roots, services, wall=wall)


class Containers:
    """Gives the watch's latest view; what the kernel counts is read at every scrape, as for the host itself."""

    def __init__(
        self,
        view: Callable[[], View],
        roots: Roots,
        services: Sequence[WantedService],
        *,
        wall: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``wall``: seconds since the epoch; ``clock``: monotonic, as the view's."""
        self._view = view
        self._wanted = [(service.name, service.container) for service in services if service.container]
        self._wall = wall
        self._clock = clock
        self._cgroups = Cgroups(roots)
        self._counted = Counts(self._cgroups, roots)
        self._kills = OomKills()

    def collect(self) -> Sequence[Family]:
        view = self._view()
        if view.answered is None and not self._wanted and view.reason in ("missing", "permission"):
            raise NoData("there is no Docker here that we may ask")
        now = self._clock()
        rows: Rows = defaultdict(list)
        rows[names.DOCKER_UP].append(((), float(not view.reason)))
        if view.reason:
            rows[names.DOCKER_DOWN_INFO].append(((view.reason,), 1.0))
        rows[names.DOCKER_EVENTS].append(((), float(view.events)))
        rows[names.DOCKER_CONNECTIONS].append(((), float(view.connections)))
        counted = self._cgroups.memory_is_counted()
        if counted is not None:
            rows[names.ACCOUNTING].append((("memory",), float(counted)))
        if view.answered is None:
            return families(rows)
        rows[names.DOCKER_AGE].append(((), max(0.0, now - view.answered)))
        rows[names.DOCKER_INFO].append(((view.version, view.api), 1.0))
        fresh = now - view.answered < STALE_SECONDS
        for known in view.known.values():
            self._running(rows, known, fresh and not view.reason)
            if fresh:
                describe(rows, known, known.container.state)
        for known in view.gone.values():
            _seen(rows, known)
            self._count_kills(rows, known, None)
            if fresh:
                describe(rows, known, MISSING)
        if fresh:
            self._summary(rows, view)
        self._counted.forget_others(view.known)
        self._kills.forget_others({*view.known, *view.gone})
        return families(rows)

    def _running(self, rows: Rows, known: Known, confirmed: bool) -> None:
        """What there is as long as the container exists. ``confirmed``: Docker answers now."""
        container = known.container
        running = container.state in ("running", "paused")
        usage = self._counted.read(container) if container.pid else None
        _seen(rows, replace(known, seen=self._wall()) if running and confirmed else known)
        labels = (container.name, container.image)
        self._count_kills(rows, known, usage)
        rows[names.SPEC_MEMORY_LIMIT].append((labels, float(container.memory_limit)))
        if container.cpu_quota:
            rows[names.SPEC_CPU_QUOTA].append((labels, float(container.cpu_quota)))
            rows[names.SPEC_CPU_PERIOD].append((labels, float(container.cpu_period)))
        if usage is not None:
            counters(rows, labels, usage, self._cgroups.device)
            if container.own_network:
                _traffic(rows, labels, self._counted.traffic(container))

    def _count_kills(self, rows: Rows, known: Known, usage: Usage | None) -> None:
        labels = (known.container.name, known.container.image)
        rows[names.OOM_EVENTS].append((labels, float(self._kills.count(known, usage))))

    def _summary(self, rows: Rows, view: View) -> None:
        count = Counter(known.container.state for known in view.known.values())
        rows[names.COUNT] += [((state,), float(count[state])) for state in STATES]
        rows[names.IGNORED].append(((), float(view.ignored)))
        for service, name in self._wanted:
            known = view.known.get(name)
            up = known is not None and known.container.state == "running"
            rows[names.WANTED_UP].append(((name, service), float(up)))
            gone = view.gone.get(name)
            over = died(known) if known is not None else gone is not None and died_and_went(gone)
            rows[names.WANTED_DIED].append(((name, service), float(over)))
            if known is None and name not in view.gone:
                rows[names.STATE] += _states(name, MISSING)


def died(known: Known) -> bool:
    """Whether a container ended by itself or by force, for good: not asked to, and nobody starts it again."""
    container = known.container
    if container.state not in ("exited", "dead") or container.exit_code == 0:
        return False
    return not known.asked and container.exit_code not in ENDED_BY_REQUEST


def died_and_went(known: Known) -> bool:
    """The same of one that is removed: ``docker run --rm`` removes it as it ends. One that was killed and removed was
    not wanted any more: that is ``docker rm --force``, which many do before they make a new one."""
    without_memory = known.container.oom_killed or known.run_ooms > 0
    return died(known) and (known.container.exit_code != KILLED or without_memory)


def describe(rows: Rows, known: Known, state: str) -> None:
    """What Docker says of a container. ``state``: the one it is in, which of a removed one is ``MISSING``."""
    container = known.container
    name, labels = container.name, (container.name, container.image)
    info = (container.restart_policy, container.compose_project, container.compose_service)
    rows[names.INFO].append(((*labels, container.id[:12], *info), 1.0))
    rows[names.STATE] += _states(name, state)
    rows[names.RESTARTS].append(((name,), float(container.restarts)))
    rows[names.OOM_KILLED].append(((name,), float(container.oom_killed)))
    if container.started is not None:
        rows[names.START_TIME].append((labels, container.started))
    if container.finished is not None and container.started is not None:
        rows[names.EXIT_CODE].append(((name,), float(container.exit_code)))
        rows[names.FINISHED].append(((name,), container.finished))
    if container.health and state in ("running", "paused"):
        rows[names.HEALTH_STATE].append((labels, float(container.health == "healthy")))
        rows[names.HEALTH] += [((name, health), float(health == container.health)) for health in HEALTHS]


def _states(name: str, current: str) -> list[Row]:
    return [((name, state), float(state == current)) for state in (*STATES, MISSING)]


def _seen(rows: Rows, known: Known) -> None:
    if known.seen is not None:
        rows[names.LAST_SEEN].append(((known.container.name, known.container.image), known.seen))


def counters(rows: Rows, labels: tuple[str, str], usage: Usage, device: Callable[[str], str]) -> None:
    """What the kernel counts for one container."""
    rows[names.CPU_USAGE].append(((*labels, "total"), usage.cpu))
    for metric, value in ((names.CPU_USER, usage.user), (names.CPU_SYSTEM, usage.system)):
        if value is not None:
            rows[metric].append((labels, value))
    if (held := usage.throttling) is not None:
        rows[names.CFS_PERIODS].append((labels, float(held.periods)))
        rows[names.CFS_THROTTLED_PERIODS].append((labels, float(held.throttled)))
        rows[names.CFS_THROTTLED_SECONDS].append((labels, held.seconds))
    if (memory := usage.memory) is not None:
        for metric, bytes_or_count in (
            (names.MEMORY_USAGE, memory.usage),
            (names.MEMORY_WORKING_SET, memory.working_set),
            (names.MEMORY_RSS, memory.rss),
            (names.MEMORY_CACHE, memory.cache),
            (names.MEMORY_FAILCNT, memory.limit_hits),
        ):
            if bytes_or_count is not None:
                rows[metric].append((labels, float(bytes_or_count)))
    if usage.threads is not None:
        rows[names.THREADS].append((labels, float(usage.threads)))
    for number, blocks in usage.blocks.items():
        place = (*labels, device(number))
        rows[names.FS_READ_BYTES].append((place, float(blocks.read_bytes)))
        rows[names.FS_WRITTEN_BYTES].append((place, float(blocks.written_bytes)))
        rows[names.FS_READS].append((place, float(blocks.reads)))
        rows[names.FS_WRITES].append((place, float(blocks.writes)))


def _traffic(rows: Rows, labels: tuple[str, str], devices: Mapping[str, list[int]]) -> None:
    for device in [device for device in devices if not NO_INTERFACE.fullmatch(device)][:MAX_INTERFACES]:
        numbers = devices[device]
        for metrics, first in zip(_NETWORK, (0, 8), strict=True):
            for metric, value in zip(metrics, numbers[first : first + 4], strict=True):
                rows[metric].append(((*labels, device), float(value)))


class Counts:
    """Finds the groups of containers and remembers where; a container keeps its place for as long as its process."""

    def __init__(self, groups: Cgroups, roots: Roots) -> None:
        self._groups = groups
        self._roots = roots
        self._places: dict[tuple[str, int], Places] = {}

    def read(self, container: Container) -> Usage | None:
        """None when nothing is counted any more."""
        key = (container.id, container.pid)
        places = self._places.get(key)
        if places is None:
            places = self._groups.places(container.pid, container.id)
            if places is None:
                return None
            self._places[key] = places
        return cgroups.usage(places, quota=container.cpu_quota > 0)

    def traffic(self, container: Container) -> Mapping[str, list[int]]:
        content = cgroups.traffic(self._roots, container.pid)
        return procfs.netdev(content.decode("utf-8", "replace")) if content else {}

    def forget_others(self, known: Mapping[str, Known]) -> None:
        """Keeps only the places of processes that are still there."""
        if len(self._places) > len(known):
            here = {(entry.container.id, entry.container.pid) for entry in known.values()}
            self._places = {key: places for key, places in self._places.items() if key in here}


@dataclass(slots=True)
class _Run:
    """OOM kills that only the kernel counted: in runs before this one, and in this one; and all that were told."""

    started: float | None
    before: int = 0
    now: int = 0
    told: int = 0


class OomKills:
    """Docker's events, and the kernel's count where it knows more: kills inside of a container go unreported with
    containerd before 1.5.11 and cgroup version 2."""

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}

    def count(self, known: Known, usage: Usage | None) -> int:
        """All that were seen of the container's name; never falls."""
        container = known.container
        run = self._runs.get(container.name)
        if run is None:
            run = self._runs[container.name] = _Run(container.started)
        if run.started != container.started:
            run.started, run.before, run.now = container.started, run.before + run.now, 0
        kills = usage.memory.oom_kills if usage is not None and usage.memory is not None else None
        if kills is not None:
            run.now = max(0, kills - known.run_ooms)
        run.told = max(run.told, known.ooms + run.before + run.now)
        return run.told

    def forget_others(self, names_here: Collection[str]) -> None:
        """Keeps only what still has a series."""
        if len(self._runs) > len(names_here):
            self._runs = {name: run for name, run in self._runs.items() if name in names_here}
