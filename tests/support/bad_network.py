"""A network that can lose, delay and swallow packets: two TUN devices, one of them in a network namespace of its own,
and a thread that carries what it is allowed to. Needs root; no module of the kernel beyond TUN.

What runs in the namespace (``Wire.command``) has the addresses ``Wire.node(1)``, ``Wire.node(2)`` and so on.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import os
import random
import selectors
import struct
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.machine import PATIENCE
from tests.support.peers import lacking

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000


class Wire:
    """``loss``: the share of packets lost each way; ``delay``: seconds, least and most; ``gone``: addresses whose
    packets are swallowed both ways, as if their power were cut. All may be changed at any time. ``lost`` and
    ``carried``: packets, since it is open."""

    def __init__(self, number: int, nodes: int, seed: int = 1) -> None:
        self.loss = 0.0
        self.delay = (0.0, 0.0)
        self.gone: set[str] = set()
        self.lost = 0
        self.carried = 0
        self.namespace = f"tierwatch{number}"
        self._net = f"10.213.{number}"
        self._nodes = nodes
        self._random = random.Random(seed)
        self._files: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._carry, name="wire", daemon=True)

    def node(self, at: int) -> str:
        return f"{self._net}.{10 + at}"

    def command(self, *words: str) -> list[str]:
        """Run in the namespace."""
        return ["ip", "netns", "exec", self.namespace, *words]

    def open(self) -> None:
        here, there = f"{self.namespace}a"[-15:], f"{self.namespace}b"[-15:]
        _ip("netns", "add", self.namespace)
        self._files = [_tun(here), _tun(there)]
        _ip("link", "set", there, "netns", self.namespace)
        _ip("addr", "add", f"{self._net}.1/24", "dev", here)
        _ip("link", "set", here, "up")
        inside = ("-n", self.namespace)
        for at in range(1, self._nodes + 1):
            _ip(*inside, "addr", "add", f"{self.node(at)}/24", "dev", there)
        _ip(*inside, "link", "set", there, "up")
        _ip(*inside, "link", "set", "lo", "up")
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5 * PATIENCE)
        for file in self._files:
            os.close(file)
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip("netns", "del", self.namespace)

    def _carry(self) -> None:
        waiting: list[tuple[float, int, int, bytes]] = []
        count = 0
        with selectors.DefaultSelector() as selector:
            for file, other in zip(self._files, reversed(self._files), strict=True):
                selector.register(file, selectors.EVENT_READ, other)
            while not self._stop.is_set():
                left = waiting[0][0] - time.monotonic() if waiting else 0.2
                for key, _ in selector.select(max(0.0, min(0.2, left))):
                    packet = os.read(key.fd, 65535)
                    if self._passes(packet):
                        count += 1
                        due = time.monotonic() + self._random.uniform(*self.delay)
                        heapq.heappush(waiting, (due, count, key.data, packet))
                while waiting and waiting[0][0] <= time.monotonic():
                    _, _, other, packet = heapq.heappop(waiting)
                    with contextlib.suppress(OSError):
                        os.write(other, packet)

    def _passes(self, packet: bytes) -> bool:
        if packet[0] >> 4 != 4:
            return False
        ends = {".".join(str(byte) for byte in packet[start : start + 4]) for start in (12, 16)}
        if ends & self.gone:
            return False
        if self._random.random() < self.loss:
            self.lost += 1
            return False
        self.carried += 1
        return True


def _tun(name: str) -> int:
    file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(file, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return file


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _possible() -> str:
    """Why there cannot be such a network here; empty when there can."""
    if os.geteuid() != 0:
        return "needs root"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "needs /dev/net/tun"
    try:
        done = subprocess.run(["ip", "netns", "list"], capture_output=True, check=False)
    except FileNotFoundError:
        return "needs the program ip (iproute2)"
    return "" if done.returncode == 0 else "needs network namespaces"


@contextmanager
def wire(nodes: int) -> Iterator[Wire]:
    """An open wire, or the test is skipped, for what a machine forbids is no fault of ours; in CI it fails."""
    if reason := _possible():
        lacking(f"a network namespace {reason}")
    found = Wire(_free_number(), nodes)
    try:
        found.open()
    except (OSError, subprocess.CalledProcessError) as error:
        found.close()
        lacking(f"a network namespace cannot be made here: {error}")
    try:
        yield found
    finally:
        found.close()


def _free_number() -> int:
    taken = {path.name for path in Path("/run/netns").glob("tierwatch*")} if Path("/run/netns").is_dir() else set()
    start = os.getpid() % 200
    return next(at for at in range(start + 1, start + 50) if f"tierwatch{at}" not in taken)


def pids_in(namespace: str) -> Sequence[int]:
    """Processes that run there."""
    done = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False)
    return [int(word) for word in done.stdout.split()]
