"""Ports for servers that must be told theirs before they listen."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from contextlib import closing
from itertools import count

# Below what the kernel gives to connections (32768 and up, net.ipv4.ip_local_port_range): a port that is free now is
# not taken by somebody's connection before its server listens, nor kept by one that ended less than a minute ago
# (TIME_WAIT of the side that connected, against which SO_REUSEADDR is no help). Processes of one test run have a slice
# each.
FIRST, SLICE, SLICES = 20_000, 1000, 12


def free_port() -> int:
    """A port of 127.0.0.1 at which nobody listens, neither for connections nor for datagrams, and which no other test
    is given."""
    for port in _candidates:
        if _is_free(port, socket.SOCK_STREAM) and _is_free(port, socket.SOCK_DGRAM):
            return port
    raise AssertionError("unreachable: the candidates do not end")


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    with closing(socket.socket(socket.AF_INET, kind)) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _from_a_random_one_around(worker: int) -> Iterator[int]:
    start = random.Random().randrange(SLICE)
    return (FIRST + worker % SLICES * SLICE + (start + step) % SLICE for step in count())


_candidates = _from_a_random_one_around(int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")))
