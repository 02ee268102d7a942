"""Keeps the process small for the months it runs.

glibc gives each thread its own heap ("arena"), and the exporter starts a thread for each scrape: without a limit their
free space adds up to a MiB. What importing left behind is handed back once, before serving. Other C libraries have
neither knob, nor the problem.
"""

from __future__ import annotations

import ctypes
import gc

_M_ARENA_MAX = -8  # malloc.h


def limit_arenas() -> None:
    """One heap for all threads; to be called before there are any."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


def release_startup_garbage() -> None:
    """Collect what starting up left, exempt what stays from later collections, give free pages back to the kernel."""
    gc.collect()
    gc.freeze()
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
