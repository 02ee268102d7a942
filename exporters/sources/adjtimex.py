"""The door to adjtimex(2): what the kernel thinks of its own clock. Reading needs no privilege.

The structure is ``struct timex`` of <sys/timex.h>; ``long`` is the platform's, so one definition serves 32 and 64 bit.
"""

from __future__ import annotations

import ctypes
import errno
import os
from dataclasses import dataclass
from functools import cache

from exporters.collector import CollectorFailed, NoData

TIME_ERROR = 5  # the return value that means "not synchronized"
STA_NANO = 0x2000  # offset and jitter are in nanoseconds, else in microseconds


class _Timex(ctypes.Structure):
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time_sec", ctypes.c_long),
        ("time_usec", ctypes.c_long),
        ("tick", ctypes.c_long),
        ("ppsfreq", ctypes.c_long),
        ("jitter", ctypes.c_long),
        ("shift", ctypes.c_int),
        ("stabil", ctypes.c_long),
        ("jitcnt", ctypes.c_long),
        ("calcnt", ctypes.c_long),
        ("errcnt", ctypes.c_long),
        ("stbcnt", ctypes.c_long),
        ("tai", ctypes.c_int),
        ("reserved", ctypes.c_int * 11),
    )


@dataclass(frozen=True, slots=True)
class ClockState:
    """As the kernel gives it: ``unit`` is the number of units of ``offset`` and ``jitter`` in a second, errors and tick
    are in microseconds, frequencies in 2^-16 ppm."""

    synchronized: bool
    unit: float
    offset: int
    freq: int
    maxerror: int
    esterror: int
    status: int
    constant: int
    tick: int
    ppsfreq: int
    jitter: int
    shift: int
    stabil: int
    jitcnt: int
    calcnt: int
    errcnt: int
    stbcnt: int
    tai: int


@cache
def _libc() -> ctypes.CDLL:
    """Once: every CDLL makes classes of its own, which are never freed."""
    return ctypes.CDLL(None, use_errno=True)


def clock_state() -> ClockState:
    """Reads the state. NoData when a sandbox forbids the call (unknown is not "unsynchronized")."""
    timex = _Timex()
    result = _libc().adjtimex(ctypes.byref(timex))
    if result < 0:
        code = ctypes.get_errno()
        if code in (errno.EPERM, errno.EACCES, errno.ENOSYS):
            raise NoData(f"adjtimex: {os.strerror(code)}")
        raise CollectorFailed(f"adjtimex: {os.strerror(code)}")
    fields = ClockState.__dataclass_fields__
    values = {name: getattr(timex, name) for name in fields if name not in ("synchronized", "unit")}
    return ClockState(
        synchronized=result != TIME_ERROR,
        unit=1e9 if timex.status & STA_NANO else 1e6,
        **values,
    )
