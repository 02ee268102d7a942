"""Runs as root in a guest kernel: makes control groups as Docker does, works in them, tells what our reader saw."""

from __future__ import annotations

import json
import mmap
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from exporters.sources.cgroups import Cgroups, traffic, usage
from exporters.sources.files import Roots

TOP = Path("/sys/fs/cgroup")
ID = "f" * 64
REMEMBERED = 12 * 2**20
ALLOWED = 16 * 2**20
Work = Callable[[], object]
Told = dict[str, object]


def main(share: Path) -> None:
    cgroups = Cgroups(Roots())
    told: Told = {"memory_is_counted": cgroups.memory_is_counted()}
    scope = f"/system.slice/docker-{ID}.scope"
    for name, work, group, inner, limits in (
        ("burns", burn, scope, "", {"cpu.max": "50000 100000"}),
        ("burns_inside", burn, scope, "/init.scope", {}),
        ("remembers", remember, f"/docker/{ID}", "", {}),
        ("writes", write_to_disk, scope, "", {}),
        ("threads", lambda: start_threads(6), scope, "", {}),
        ("forgets_itself", die_of_too_much, scope, "", {"memory.max": str(ALLOWED), "memory.swap.max": "0"}),
    ):
        told[name] = observe(cgroups, work, group, inner, limits)
    told["device"] = cgroups.device("98:0")
    (share / "told.json").write_text(json.dumps(told))


def observe(cgroups: Cgroups, work: Work, group: str, inner: str, limits: dict[str, str]) -> Told:
    """What is counted for a process that did its work in a group, what it counted itself, and once all is gone."""
    folder = make_group(group + inner)
    for name, value in limits.items():
        if (folder / name).exists():
            (folder / name).write_text(value)
    with worker(folder, work) as (pid, own):
        places = cgroups.places(pid, ID)
        assert places is not None
        found = usage(places, quota=True)
        told: Told = {
            "own": own,
            "usage": asdict(found) if found is not None else None,
            "other": cgroups.places(os.getpid(), ID) is not None,
            "traffic": (traffic(Roots(), pid) or b"").decode(),
        }
    remove_group(group + inner, group)
    told["gone"] = usage(places, quota=True) is None and cgroups.places(pid, ID) is None
    return told


def make_group(path: str) -> Path:
    """A group with all controllers that there are; a process may only be in one without groups below it."""
    at = TOP
    for part in path.strip("/").split("/"):
        for controller in (at / "cgroup.controllers").read_text().split():
            (at / "cgroup.subtree_control").write_text(f"+{controller}")
        at = at / part
        at.mkdir(exist_ok=True)
    return at


def remove_group(*paths: str) -> None:
    for path in dict.fromkeys(paths):
        end = time.monotonic() + 10
        while "populated 1" in (TOP / path.strip("/") / "cgroup.events").read_text() and time.monotonic() < end:
            time.sleep(0.01)
        (TOP / path.strip("/")).rmdir()


@contextmanager
def worker(folder: Path, work: Work) -> Iterator[tuple[int, float]]:
    """A process that did its work in the group and now waits: its number, and the seconds of CPU it says it took."""
    ready, wrote = os.pipe()
    waits, let_go = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ready)
        os.close(let_go)
        (folder / "cgroup.procs").write_text(str(os.getpid()))
        begun = time.process_time()
        kept = work()
        os.write(wrote, str(time.process_time() - begun).encode())
        os.read(waits, 1)
        del kept
        os._exit(0)
    os.close(wrote)
    os.close(waits)
    try:
        yield pid, float(os.read(ready, 100) or b"nan")
    finally:
        os.close(ready)
        os.close(let_go)
        os.waitpid(pid, 0)


def burn() -> None:
    """Mostly in its own code, some in the kernel's."""
    end = time.process_time() + 0.4
    while time.process_time() < end:
        sum(range(20_000))
        Path("/proc/self/status").read_bytes()


def remember() -> bytearray:
    return bytearray(REMEMBERED)


def write_to_disk() -> None:
    """4 MiB in 16 writes past the page cache, then half of them read again."""
    block = mmap.mmap(-1, 256 * 1024)  # direct access wants whole pages
    block.write(b"y" * len(block))
    disk = os.open("/dev/ubda", os.O_RDWR | os.O_DIRECT)
    for index in range(16):
        os.pwrite(disk, block, index * len(block))
    for index in range(8):
        os.preadv(disk, [block], index * len(block))
    os.close(disk)


def start_threads(count: int) -> None:
    for _ in range(count):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()


def die_of_too_much() -> None:
    """A child of the group asks for more than the group may have; the kernel ends it."""
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        bytearray(b"x" * (2 * ALLOWED))
        os._exit(0)
    os.waitpid(child, 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
