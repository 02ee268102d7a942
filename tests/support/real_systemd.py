"""A real systemd, booted by systemd-nspawn in a network namespace of its own, from a tree that ``make test-systemd``
has made. Units live in /run there, so that the tree stays as it is. Needs root."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.peers import ROOT

TREE = Path(os.environ.get("TIERWATCH_SYSTEMD_TREE", ROOT / ".peers" / "systemd-tree"))


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
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout

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
    """Booted, with its bus. Skips where there is no tree (``make test-systemd`` makes one)."""
    if os.geteuid() != 0 or not (TREE / "usr" / "lib" / "systemd" / "systemd").exists():
        pytest.skip("no tree with systemd to boot as root: make test-systemd")
    name = f"tierwatchsd{os.getpid() % 1000}"
    subprocess.run(["ip", "netns", "add", name], check=True, capture_output=True)
    try:
        with _booted(name) as leader:
            yield RealSystemd(leader)
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


@contextmanager
def _booted(namespace: str) -> Iterator[int]:
    options = ["--register=no", "--keep-unit", f"--network-namespace-path=/run/netns/{namespace}", "--console=pipe"]
    process = subprocess.Popen(
        ["systemd-nspawn", "-q", "-D", str(TREE), *options, "-b"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "0"},
    )
    try:
        yield _leader(process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _leader(process: subprocess.Popen[bytes]) -> int:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    end = time.monotonic() + 30
    while time.monotonic() < end:
        assert process.poll() is None, (process.stderr.read() if process.stderr else b"").decode()
        for word in children.read_text().split():
            if Path(f"/proc/{word}/root/run/dbus/system_bus_socket").exists():
                return int(word)
        time.sleep(0.05)
    raise AssertionError("systemd did not boot within 30 s")
