"""Keeps a process small for the months it runs.

glibc gives each thread its own heap ("arena"), and daemons start threads for what blocks: without a limit their free
space adds up. Large arrays are better asked of the kernel one by one: what is freed goes back at once, instead of
leaving a hole in the heap below what was allocated later. What importing left behind is handed back once, before
serving. Other C libraries have none of these knobs, nor the problem.
"""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

# malloc.h
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8


def limit_arenas() -> None:
    """One heap for all threads; to be called before there are any."""
    _mallopt(_M_ARENA_MAX, 1)


def map_from(size: int) -> None:
    """Allocations of this many bytes or more get pages of their own. Also stops glibc from raising that size by itself
    (to 32 MiB) whenever a large one is freed."""
    _mallopt(_M_MMAP_THRESHOLD, size)


def release_startup_garbage() -> None:
    """Collect what starting up left, exempt what stays from later collections, give free pages back to the kernel."""
    gc.collect()
    gc.freeze()
    give_back()


def give_back() -> None:
    """Free pages go back to the kernel, also those below what is in use. Takes a millisecond or two."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


@contextmanager
def no_authorities() -> Iterator[None]:
    """Contexts for TLS that are made within the block know no certificate authority: the system's hundreds take 2 MiB.

    For importing aiohttp, which makes a context at once, into a program that asks nobody with it over TLS. Somebody
    who does after all is refused: nothing is trusted without being verified.
    """
    # OpenSSL asks its environment where they are: SSL_CTX_set_default_verify_paths(3).
    names = ("SSL_CERT_FILE", "SSL_CERT_DIR")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, os.devnull))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _mallopt(what: int, value: int) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(what, value)
