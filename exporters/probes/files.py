"""What leaves a file behind when it has run: backups (fresh, complete, of a usual size), the last run of configuration
management and what it found different, the models that a fallback serves without the network."""

from __future__ import annotations

import asyncio
import glob
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from exporters import clock
from exporters.catalog import services as catalog
from exporters.probes.probe import Probe
from exporters.probes.verdict import Figures, Reason, State, Verdict, unknown
from exporters.wanted import WantedProbe

T = TypeVar("T")

# A backup that is still being written.
UNFINISHED = (".tmp", ".part", ".partial", ".incomplete", "~")
MAX_FILES = 10_000
# The newest is compared with the median of so many before it; below this share of it something is missing inside.
COMPARED, SHRUNK = 7, 0.5


@dataclass(frozen=True, slots=True)
class Found:
    """Newest first: (mtime, size) of each file that a pattern matches."""

    files: tuple[tuple[float, int], ...]


class Files(Probe):
    """``files``: patterns, each a job of its own. The worst of them is the service's state.

    A stuck network file system keeps its thread, which reads everything; the check is told as without an answer and not
    begun again.
    """

    def __init__(self, wanted: WantedProbe) -> None:
        super().__init__(wanted)
        self._reading: asyncio.Future[tuple[list[Found], int | None]] | None = None

    async def check(self) -> Verdict:
        if self._reading is None or self._reading.done():
            patterns, drift = self.wanted.files, self.wanted.drift
            self._reading = in_thread(
                lambda: ([look(pattern) for pattern in patterns], count_lines(drift) if drift else None)
            )
        found, lines = await asyncio.shield(self._reading)
        figures = Figures(self.service)
        now = clock.wall()
        reasons = [
            self._judge(pattern, one, now, figures) for pattern, one in zip(self.wanted.files, found, strict=True)
        ]
        reasons.append(self._drift(lines, figures))
        reason = next((reason for reason in reasons if reason is not None), None)
        return Verdict(State.DEGRADED if reason else State.UP, reason, figures.rows)

    def _judge(self, pattern: str, found: Found, now: float, figures: Figures) -> Reason | None:
        wanted = self.wanted
        if not found.files:
            return Reason.MISSING
        written, size = found.files[0]
        if wanted.kind == "backup-coordination":
            figures.add(catalog.BACKUP_TIME, written, pattern)
            figures.add(catalog.BACKUP_SIZE, size, pattern)
        else:
            figures.add(catalog.RUN_TIME, written, pattern)
        if wanted.max_age is not None and now - written > wanted.max_age:
            return Reason.STALE
        if size < wanted.min_size:
            return Reason.TOO_SMALL
        if wanted.kind == "backup-coordination":
            before = sorted(size for _, size in found.files[1 : COMPARED + 1])
            if len(before) >= 3 and size < SHRUNK * before[len(before) // 2]:
                return Reason.TOO_SMALL
        return None

    def _drift(self, lines: int | None, figures: Figures) -> Reason | None:
        if not self.wanted.drift:
            return None
        if lines is None:
            return Reason.MISSING
        figures.add(catalog.DRIFT_ITEMS, lines)
        return Reason.DRIFT if lines else None


def look(pattern: str) -> Found:
    """The files of a pattern (as the shell has it), unfinished ones left out. Raises Unwell where it may not look."""
    folder = Path(pattern).parent
    if not glob.has_magic(str(folder)) and folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK):
        raise unknown(Reason.NOT_PERMITTED)
    found = []
    for number, name in enumerate(glob.iglob(pattern)):  # noqa: PTH207  # patterns are absolute
        if number >= MAX_FILES:
            break
        if name.endswith(UNFINISHED):
            continue
        try:
            status = Path(name).stat()
        except FileNotFoundError:
            continue
        except PermissionError as error:
            raise unknown(Reason.NOT_PERMITTED) from error
        found.append((status.st_mtime, status.st_size))
    return Found(tuple(sorted(found, reverse=True)[: COMPARED + 1]))


def count_lines(path: str) -> int | None:
    """Lines that are neither empty nor comments, in the first 64 KiB; None when there is no such file."""
    try:
        with Path(path).open("rb") as stream:
            lines: Sequence[bytes] = stream.read(65536).splitlines()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unknown(Reason.NOT_PERMITTED) from error
    return sum(1 for line in lines if line.strip() and not line.lstrip().startswith(b"#"))


def in_thread(work: Callable[[], T]) -> asyncio.Future[T]:
    """The outcome of ``work``, done in a thread that nobody waits for at the end: it may be stuck in the kernel."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, error: Exception | None) -> None:
        if not future.done():
            if error is not None:
                future.set_exception(error)
                future.exception()  # who asked may have left: then it is nobody's
            else:
                future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except Exception as error:
            failure = error
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, result, failure)

    threading.Thread(target=run, name="probe files", daemon=True).start()
    return future
