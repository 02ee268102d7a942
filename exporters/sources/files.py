"""The one door to files of ``/proc``, ``/sys`` and the root file system.

Readers here know nothing of a file's format; parsers know nothing of paths. Every read is bounded. Text is
decoded as UTF-8 with U+FFFD for odd bytes, because one invalid byte in a label makes Prometheus drop a whole page.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from math import isfinite

from exporters.collector import CollectorFailed, NoData

# /proc/net/udp of a busy host is the largest file we read.
MAX_BYTES = 4 * 1024 * 1024
_CHUNK = 64 * 1024
_MISSING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO})


@dataclass(frozen=True, slots=True)
class Roots:
    """Where the three trees are mounted; other places than ``/`` serve containers, tests and replay."""

    procfs: str = "/proc"
    sysfs: str = "/sys"
    rootfs: str = "/"

    def proc(self, path: str) -> str:
        return f"{self.procfs}/{path}"

    def sys(self, path: str) -> str:
        return f"{self.sysfs}/{path}"

    def root(self, path: str) -> str:
        return f"{self.rootfs.rstrip('/')}/{path}"

    def strip_root(self, mountpoint: str) -> str:
        """A mount point as the host names it: without the prefix under which its root is mounted here."""
        prefix = self.rootfs.rstrip("/")
        if prefix and (mountpoint == prefix or mountpoint.startswith(prefix + "/")):
            return mountpoint[len(prefix) :] or "/"
        return mountpoint


def read_bytes(path: str, limit: int = MAX_BYTES) -> bytes:
    """The file's content, at most ``limit`` bytes; raises OSError. Opening a FIFO does not block."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        content = os.read(descriptor, _CHUNK)
        if len(content) < 4096 and path.startswith("/sys/"):
            return content  # an attribute comes whole in one read
        parts, size = [content], len(content)
        while content and size < limit:
            content = os.read(descriptor, min(_CHUNK, limit - size))
            parts.append(content)
            size += len(content)
    finally:
        os.close(descriptor)
    return b"".join(parts)


def read(path: str, errors: str = "replace") -> str:
    """A file that makes or breaks its collector: NoData when there is none, CollectorFailed when unreadable.

    With ``errors="surrogateescape"`` names in it can be handed back to the kernel as they are; see ``printable``.
    """
    try:
        return read_bytes(path).decode("utf-8", errors)
    except OSError as error:
        if error.errno in _MISSING:
            raise NoData(f"{path}: not there") from error
        raise CollectorFailed(f"{path}: {error.strerror}") from error


def printable(text: str) -> str:
    """A name with odd bytes as a label may hold it."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def attribute(path: str) -> str | None:
    """One value of sysfs without the white space around it; None when it is missing or refuses to be read now.

    Drivers refuse in many ways (EINVAL for the speed of a link that is down, EAGAIN for a gated sensor,
    EACCES for root-only files); for an optional attribute all of them mean "unknown".
    """
    try:
        return read_bytes(path, _CHUNK).decode("utf-8", "replace").strip()
    except OSError:
        return None


def number(path: str) -> float | None:
    """An attribute as a number (decimal, or hexadecimal with 0x); None when unknown or not a number."""
    return to_number(attribute(path))


def to_number(text: str | None) -> float | None:
    if not text:
        return None
    try:
        value = float(int(text, 16)) if text.startswith(("0x", "0X")) else float(text)
    except (ValueError, OverflowError):
        return None
    return value if isfinite(value) else None


# os instead of pathlib here: these run a few hundred times for each scrape, and a Path costs more than the call.


def listing(path: str) -> list[str]:
    """Names in a folder, sorted; raises OSError."""
    return sorted(os.listdir(path))  # noqa: PTH208


def entries(path: str) -> list[str]:
    """Names in a folder, sorted; an absent or unreadable folder has none."""
    try:
        return listing(path)
    except OSError:
        return []


def is_folder(path: str) -> bool:
    return os.path.isdir(path)  # noqa: PTH112


def is_there(path: str) -> bool:
    return os.path.exists(path)  # noqa: PTH110


def real_path(path: str) -> str | None:
    """Where a link of sysfs leads; None when there is nothing."""
    try:
        return os.path.realpath(path, strict=True)
    except OSError:
        return None


def modified(path: str) -> float:
    """Time of the last change in seconds since the epoch; raises OSError."""
    return os.stat(path).st_mtime  # noqa: PTH116
