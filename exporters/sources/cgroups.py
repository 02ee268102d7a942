"""What the kernel counts for a group of processes, from the files of cgroup version 1 and 2.

Formats: https://docs.kernel.org/admin-guide/cgroup-v2.html and cgroup-v1/{memory,cpuacct,blkio-controller}.rst. Read
instead of Docker's own statistics, which take the daemon one to two seconds for each container.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from exporters.sources.files import Roots, read_bytes, real_path

# Units of cpuacct.stat, which are USER_HZ: 100 on every Linux we know of.
_TICKS = 100.0
MAX_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Places:
    """Where the files of a group are, without a slash at the end; empty for a controller that does not count it."""

    cpu: str = ""
    throttling: str = ""
    memory: str = ""
    blocks: str = ""
    tasks: str = ""
    unified: bool = False


@dataclass(frozen=True, slots=True)
class Throttling:
    """Times the quota was enforced, times it held something up, and for how many seconds."""

    periods: int
    throttled: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes. ``oom_kills`` is None on kernels that do not count them, ``limit_hits`` where cgroups are version 2."""

    usage: int
    working_set: int
    rss: int | None = None
    cache: int | None = None
    limit_hits: int | None = None
    oom_kills: int | None = None


@dataclass(slots=True)
class Blocks:
    """What a group read from and wrote to a device."""

    read_bytes: int = 0
    written_bytes: int = 0
    reads: int = 0
    writes: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds of CPU; None is not counted. ``blocks`` by ``major:minor``."""

    cpu: float
    user: float | None = None
    system: float | None = None
    throttling: Throttling | None = None
    memory: Memory | None = None
    blocks: Mapping[str, Blocks] = field(default_factory=dict)
    threads: int | None = None


class Cgroups:
    """The tree of one host."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self._top = roots.sys("fs/cgroup")

    def memory_is_counted(self) -> bool | None:
        """Whether the memory controller is on; None when the kernel does not say."""
        try:
            return b"memory" in read_bytes(f"{self._top}/cgroup.controllers").split()
        except OSError:
            pass
        try:
            table = read_bytes(self._roots.proc("cgroups")).decode("ascii", "replace")
        except OSError:
            return None
        for line in table.splitlines():
            words = line.split()
            if len(words) == 4 and words[0] == "memory":
                return words[3] == "1"
        return False

    def places(self, pid: int, group: str) -> Places | None:
        """Where a process is counted. ``group``: text that its group's name must hold; None when it does not (any
        more), so that a number the kernel gave to another process is not taken for the container's.
        """
        try:
            table = read_bytes(self._roots.proc(f"{pid}/cgroup"), MAX_BYTES).decode("utf-8", "replace")
        except OSError:
            return None
        paths: dict[str, str] = {}
        for line in table.splitlines():
            _, controllers, path = (*line.split(":", 2), "", "")[:3]
            if own := _up_to(path, group):
                for controller in controllers.split(","):
                    paths[controller] = own
        if "memory" in paths or "cpuacct" in paths:
            return Places(
                cpu=self._in("cpuacct", paths),
                throttling=self._in("cpu", paths),
                memory=self._in("memory", paths),
                blocks=self._in("blkio", paths),
                tasks=self._in("pids", paths),
            )
        if "" not in paths:
            return None
        path = f"{self._top}{paths['']}"
        return Places(path, path, path, path, path, unified=True)

    def _in(self, controller: str, paths: Mapping[str, str]) -> str:
        return f"{self._top}/{controller}{paths[controller]}" if controller in paths else ""

    def device(self, number: str) -> str:
        """``179:0`` as ``/dev/mmcblk0``; the number itself when nobody knows it."""
        target = real_path(self._roots.sys(f"dev/block/{number}"))
        return f"/dev/{target.rpartition('/')[2]}" if target else number


def _up_to(path: str, group: str) -> str:
    """The path down to the folder that is named for the group: processes may be in folders below it."""
    at = path.find(group)
    if at < 0:
        return ""
    end = path.find("/", at)
    return path if end < 0 else path[:end]


def usage(places: Places, *, quota: bool) -> Usage | None:
    """What is counted now; None when the group is gone. ``quota``: whether its CPU time is limited."""
    try:
        return _unified(places, quota) if places.unified else _version_1(places, quota)
    except OSError:
        return None
    except ValueError:
        return None  # a file in a form that nobody has seen: nothing is known, and no zeros


def _unified(places: Places, quota: bool) -> Usage:
    cpu = _table(read_bytes(f"{places.cpu}/cpu.stat"))
    throttling = None
    if quota and "nr_periods" in cpu:
        throttling = Throttling(cpu["nr_periods"], cpu["nr_throttled"], cpu["throttled_usec"] / 1e6)
    return Usage(
        cpu["usage_usec"] / 1e6,
        cpu["user_usec"] / 1e6,
        cpu["system_usec"] / 1e6,
        throttling,
        _memory_unified(places.memory),
        _blocks_unified(_optional(f"{places.blocks}/io.stat")),
        _count(_optional(f"{places.tasks}/pids.current")),
    )


def _memory_unified(path: str) -> Memory | None:
    used = _count(_optional(f"{path}/memory.current"))
    stat = _optional(f"{path}/memory.stat")
    if used is None or stat is None:
        return None
    inactive = _field(stat, b"inactive_file ")
    return Memory(
        used,
        max(0, used - (inactive or 0)),
        _field(stat, b"anon "),
        _field(stat, b"file "),
        None,
        _field(_optional(f"{path}/memory.events") or b"", b"oom_kill "),
    )


def _blocks_unified(content: bytes | None) -> Mapping[str, Blocks]:
    """``8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0``. Some kernels forget the end of the line behind a device
    that has nothing to tell: in ``8:16 8:0 rbytes=1 ...`` the counts are the last one's. A line in another form tells
    nothing of its device."""
    found: dict[str, Blocks] = {}
    for line in (content or b"").decode("ascii", "replace").splitlines():
        words = line.split()
        told = dict(word.split("=", 1) for word in words if "=" in word)
        devices = [word for word in words if "=" not in word]
        try:
            values = [int(told[key]) for key in ("rbytes", "wbytes", "rios", "wios")]
        except (KeyError, ValueError):
            continue
        if devices:
            found[devices[-1]] = Blocks(*values)
    return found


def _version_1(places: Places, quota: bool) -> Usage:
    user = system = None
    if (split := _optional(f"{places.cpu}/cpuacct.stat")) is not None:
        table = _table(split)
        user, system = table["user"] / _TICKS, table["system"] / _TICKS
    throttling = None
    if quota and (counts := _optional(f"{places.throttling}/cpu.stat")) is not None:
        told = _table(counts)
        throttling = Throttling(told["nr_periods"], told["nr_throttled"], told["throttled_time"] / 1e9)
    return Usage(
        int(read_bytes(f"{places.cpu}/cpuacct.usage")) / 1e9,
        user,
        system,
        throttling,
        _memory_version_1(places.memory) if places.memory else None,
        _blocks_version_1(places.blocks) if places.blocks else {},
        _count(_optional(f"{places.tasks}/pids.current")) if places.tasks else None,
    )


def _memory_version_1(path: str) -> Memory | None:
    used = _count(_optional(f"{path}/memory.usage_in_bytes"))
    stat = _optional(f"{path}/memory.stat")
    if used is None or stat is None:
        return None
    inactive = _field(stat, b"total_inactive_file ")
    return Memory(
        used,
        max(0, used - (inactive or 0)),
        _field(stat, b"total_rss "),
        _field(stat, b"total_cache "),
        _count(_optional(f"{path}/memory.failcnt")),
        _field(_optional(f"{path}/memory.oom_control") or b"", b"oom_kill "),
    )


def _blocks_version_1(path: str) -> Mapping[str, Blocks]:
    """``8:0 Read 4096`` for each direction, and sums that are left out."""
    found: dict[str, Blocks] = {}
    for name, fields in (
        ("io_service_bytes", ("read_bytes", "written_bytes")),
        ("io_serviced", ("reads", "writes")),
    ):
        content = _optional(f"{path}/blkio.throttle.{name}_recursive")
        if content is None:  # before Linux 4.15
            content = _optional(f"{path}/blkio.throttle.{name}")
        for number, operation, value in _operations(content or b""):
            if operation in ("Read", "Write"):
                blocks = found.setdefault(number, Blocks())
                setattr(blocks, fields[operation == "Write"], value)
    return found


def _operations(content: bytes) -> Iterator[tuple[str, str, int]]:
    for line in content.decode("ascii", "replace").splitlines():
        words = line.split()
        if len(words) == 3:
            yield words[0], words[1], int(words[2])


def traffic(roots: Roots, pid: int) -> bytes | None:
    """``/proc/PID/net/dev``: what the network of a process counts; None when it is gone."""
    return _optional(roots.proc(f"{pid}/net/dev"))


def _optional(path: str) -> bytes | None:
    try:
        return read_bytes(path, MAX_BYTES)
    except OSError:
        return None


def _count(content: bytes | None) -> int | None:
    return int(content) if content and content.strip().isdigit() else None


def _field(content: bytes, name: bytes) -> int | None:
    """One line of a table of forty, without reading the others. ``name`` with the blank behind it."""
    at = 0 if content.startswith(name) else content.find(b"\n" + name) + 1
    if at == 0 and not content.startswith(name):
        return None
    end = content.find(b"\n", at)
    return _count(content[at + len(name) : end if end >= 0 else len(content)])


def _table(content: bytes) -> dict[str, int]:
    """``name value`` lines; raises ValueError for others. A missing name raises ValueError where it is looked up."""
    return _Table({name: int(value) for name, value in (line.split() for line in content.decode("ascii").splitlines())})


class _Table(dict[str, int]):
    def __missing__(self, key: str) -> int:
        raise ValueError(f"no {key}")
