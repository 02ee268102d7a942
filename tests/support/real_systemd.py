"""A real systemd: the machine's own, booted by systemd-nspawn as the first process of a container.

The container's tree is made in a moment out of the machine's /usr, read-only, and an /etc of a few lines: no package is
fetched, none of the machine's services starts, nothing outside the tree changes. It has a network namespace of its own.
Units live in /run there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.machine import PATIENCE
from tests.support.peers import lacking, need

SYSTEMD = Path("/usr/lib/systemd/systemd")
BUS = Path("/usr/lib/systemd/system/dbus.socket")
# What /usr needs of /etc: who may own the bus, what this system is called, what to start. An id, so that it is no
# first boot, at which systemd would enable every service that it finds in /usr.
ETC = {
    "passwd": "root:x:0:0::/root:/bin/sh\nmessagebus:x:100:100::/nonexistent:/usr/sbin/nologin\n",
    "group": "root:x:0:\nmessagebus:x:100:\n",
    "os-release": "ID=tierwatch-test\nPRETTY_NAME=test\n",
    "machine-id": "5d41402abc4b2a76b9719d911017c592\n",
}
FIRST_TARGET = "/usr/lib/systemd/system/basic.target"


class RealSystemd:
    """``root``: its root file system, as others see it."""

    def __init__(self, leader: int) -> None:
        self._leader = leader
        self.root = Path(f"/proc/{leader}/root")

    @property
    def bus(self) -> str:
        return f"{self.root}/run/dbus/system_bus_socket"

    def systemctl(self, *words: str) -> str:
        command = ["nsenter", "-t", str(self._leader), "-a", "systemctl", "--no-pager", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=30 * PATIENCE, check=False).stdout

    def unit(self, name: str, service: str, unit: str = "") -> None:
        """Write a unit; its sections as text."""
        path = self.root / "run" / "systemd" / "system" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"[Unit]\nDescription=test\n{unit}\n[Service]\n{service}\n")

    def main_pid(self, name: str) -> int:
        """In its own numbering."""
        return int(self.systemctl("show", "--property=MainPID", "--value", name))


@contextmanager
def real_systemd() -> Iterator[RealSystemd]:
    """Booted, with its bus. Where the machine cannot, the test is skipped; in CI it fails."""
    if os.geteuid() != 0:
        lacking("only root can boot a systemd in a container")
    for needed in (SYSTEMD, BUS):
        if not needed.exists():
            lacking(f"{needed} is not on this machine")
    nspawn, ip = need("systemd-nspawn"), need("ip")
    name = f"tierwatchsd{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix=name) as folder:
        tree = make_tree(Path(folder) / name)
        subprocess.run([ip, "netns", "add", name], check=True, capture_output=True)
        try:
            with _booted(nspawn, tree, f"/run/netns/{name}") as leader:
                yield RealSystemd(leader)
        finally:
            subprocess.run([ip, "netns", "del", name], check=False, capture_output=True)


def make_tree(tree: Path) -> Path:
    """A root file system that has everything but /usr, which is to be bound into it."""
    for folder in ("usr", "etc/systemd/system", "etc/dbus-1", "var", "root", "tmp", "run", "proc", "sys", "dev"):
        (tree / folder).mkdir(parents=True)
    for link in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        if (Path("/usr") / link).is_dir():
            (tree / link).symlink_to(f"usr/{link}")
    for name, text in ETC.items():
        (tree / "etc" / name).write_text(text)
    (tree / "etc/systemd/system/default.target").symlink_to(FIRST_TARGET)
    return tree


@contextmanager
def _booted(nspawn: str, tree: Path, network: str) -> Iterator[int]:
    options = ["--bind-ro=/usr", "--register=no", "--keep-unit", f"--network-namespace-path={network}"]
    # A container's systemd uses the version of cgroups that its host does.
    unified = "1" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "0"
    with (tree.parent / "log").open("wb") as log:
        process = subprocess.Popen(
            [nspawn, "-q", "-D", str(tree), *options, "--console=pipe", "-b"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": unified},
        )
    leader = 0
    try:
        leader = _leader(process, tree.parent / "log")
        yield leader
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            # nspawn alone would leave it running; without its first process nothing is left of a container.
            with suppress(ProcessLookupError):
                if leader:
                    os.kill(leader, signal.SIGKILL)
            process.kill()
            process.wait()


def _leader(process: subprocess.Popen[bytes], log: Path) -> int:
    """The container's first process, as its host numbers it, once its bus is there."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    end = time.monotonic() + 60 * PATIENCE
    while process.poll() is None and time.monotonic() < end:
        for word in children.read_text().split():
            if Path(f"/proc/{word}/root/run/dbus/system_bus_socket").exists():
                return int(word)
        time.sleep(0.02)
    raise AssertionError(f"systemd does not boot: {log.read_text(errors='replace')[-2000:]}")
