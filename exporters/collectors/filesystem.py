"""Size and free space of every mounted file system; a hung one costs its own series only."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

from config.daemon.log import event
from exporters.catalog import storage
from exporters.catalog.metric import Metric
from exporters.collector import CollectorFailed, Family, NoData
from exporters.collectors.shape import Row, families
from exporters.lanes import Stuck
from exporters.sources.files import Roots, printable, read
from exporters.sources.mounts import Asker, Mount, Usage, parse_mounts

_log = logging.getLogger(__name__)

# Defaults of node_exporter.
MOUNT_POINTS_EXCLUDE = r"^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)"
FS_TYPES_EXCLUDE = (
    r"^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay"
    r"|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|sysfs|tracefs)$"
)

# A machine with more mounts than this is not a board; the bound keeps the page small.
MAX_MOUNTS = 200

# Mounted, but not for our eyes: below a desktop user's private folder (/run/user/1000/gvfs), or below /tmp when the
# service has a /tmp of its own. That says nothing about the device, so nothing is said.
_UNSEEN = (PermissionError, FileNotFoundError)


class FileSystems:
    """``/proc/1/mounts`` (the host's, even from within a mount namespace) and statvfs."""

    def __init__(
        self,
        roots: Roots,
        asker: Asker | None = None,
        mount_points_exclude: str = MOUNT_POINTS_EXCLUDE,
        fs_types_exclude: str = FS_TYPES_EXCLUDE,
    ) -> None:
        self._roots = roots
        self._asker = asker or Asker()
        self._troubles: dict[str, str] = {}
        self._points = re.compile(mount_points_exclude)
        self._types = re.compile(fs_types_exclude)

    def collect(self) -> Sequence[Family]:
        mounts = self._mounts()
        paths = {mount: self._roots.root(mount.mountpoint.lstrip("/")) for mount in mounts}
        answers = self._asker.ask(paths.values())
        rows: dict[Metric, list[Row]] = {metric: [] for metric in _METRICS}
        for mount in mounts:
            labels = (printable(mount.device), printable(mount.mountpoint), mount.fstype)
            answer = answers[paths[mount]]
            if isinstance(answer, _UNSEEN):
                continue
            rows[storage.FS_DEVICE_ERROR].append((labels, 0.0 if isinstance(answer, Usage) else 1.0))
            rows[storage.FS_READONLY].append((labels, float(mount.read_only)))
            if isinstance(answer, Usage):
                for metric, value in _readings(answer):
                    rows[metric].append((labels, float(value)))
        self._tell({mount.mountpoint: trouble(answers[paths[mount]]) for mount in mounts})
        return families(rows)

    def _tell(self, troubles: dict[str, str]) -> None:
        """A mount that gives no answer is logged when that begins and when it ends, not at every scrape."""
        for point, text in troubles.items():
            if text and text != self._troubles.get(point):
                event(_log, logging.WARNING, "file system gives no answer", mountpoint=printable(point), error=text)
            elif not text and self._troubles.get(point):
                event(_log, logging.INFO, "file system answers again", mountpoint=printable(point))
        self._troubles = troubles

    def _mounts(self) -> list[Mount]:
        try:
            text = read(self._roots.proc("1/mounts"), "surrogateescape")
        except (NoData, CollectorFailed):  # another user's process may be hidden from us
            text = read(self._roots.proc("mounts"), "surrogateescape")
        found: dict[tuple[str, str, str], Mount] = {}
        for mount in parse_mounts(text):
            if self._types.match(mount.fstype):
                continue
            point = self._roots.strip_root(mount.mountpoint)
            if not self._points.match(point):
                found[mount.device, point, mount.fstype] = Mount(mount.device, point, mount.fstype, mount.read_only)
        return list(found.values())[:MAX_MOUNTS]


def trouble(answer: Usage | Stuck | Exception) -> str:
    """What is wrong with a mount, in words; empty when nothing is."""
    if isinstance(answer, Usage):
        return ""
    if isinstance(answer, Stuck):
        return "statvfs does not return"
    return f"{getattr(answer, 'strerror', None) or answer}"


def _readings(usage: Usage) -> tuple[tuple[Metric, int], ...]:
    return (
        (storage.FS_SIZE, usage.size),
        (storage.FS_FREE, usage.free),
        (storage.FS_AVAIL, usage.available),
        (storage.FS_FILES, usage.files),
        (storage.FS_FILES_FREE, usage.files_free),
    )


_METRICS = (
    storage.FS_SIZE,
    storage.FS_FREE,
    storage.FS_AVAIL,
    storage.FS_FILES,
    storage.FS_FILES_FREE,
    storage.FS_READONLY,
    storage.FS_DEVICE_ERROR,
)
