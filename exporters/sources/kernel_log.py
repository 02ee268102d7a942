"""The kernel's log as it is written: /dev/kmsg, record by record (Documentation/ABI/testing/dev-kmsg of the kernel).

A record is ``priority,sequence,microseconds,flags;text`` and lines of details after it. Reading starts at the end: what
was logged before the exporter started is old, and counting it again at each start would look like news.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import select
import threading
from collections import Counter
from collections.abc import Callable
from typing import Final

log = logging.getLogger(__name__)

MAX_RECORD = 8192  # the kernel's own limit; a shorter read fails with EINVAL
STOP_SECONDS = 2.0
_KERNEL_FACILITY = 0
# Beyond this many records at once others get a turn: a kernel that floods its log must not keep us busy for ever.
_MOST_AT_ONCE = 1000

# Each with the sources of its words: mm/oom_kill.c; drivers/hwmon/raspberrypi-hwmon.c; block/blk-core.c, fs/buffer.c,
# drivers/mmc/core, drivers/nvme/host; fs/ext4/super.c, fat, btrfs, f2fs, xfs; kernel/hung_task.c; kernel/watchdog.c,
# kernel/rcu/tree_stall.h (before Linux 4.19 without "rcu: "); drivers of Tegra's soctherm.
# Not the timeouts of mmc hosts: a Raspberry Pi without a card, and one whose Wi-Fi hangs, log them all the time, and
# what a card really refuses becomes an I/O error. Nor what a USB adapter says to a TRIM that it does not know.
EVENTS: Final = {
    "oom_kill": r"Out of memory: Kill(?:ed)? process|Memory cgroup out of memory: Kill(?:ed)? process",
    "under_voltage": r"[Uu]nder-?voltage detected!",
    "io_error": r"(?:I/O error|critical (?:target|medium|space allocation) error)"
    r"(?!.*\((?:DISCARD|WRITE_SAME|WRITE_ZEROES)\))|"
    r"mmc\d+: (?:card never left busy state|error -\d+ whilst initialising (?:SD|MMC) card)|"
    r"mmcblk\d+: (?:error -\d+|recovery failed)|"
    r"nvme nvme\d+: (?:controller is down|Device not ready|Disabling device after reset failure)",
    "filesystem_error": r"(?:EXT[234]|F2FS)-fs (?:error|\(.*\): (?:error|Remounting filesystem read-only))|"
    r"FAT-fs \(.*\): (?:error,|Filesystem has been set read-only)|"
    r"BTRFS:? (?:error|critical)|XFS \(.*\): (?:Corruption|Metadata corruption|metadata I/O error)",
    "hung_task": r"INFO: task .{1,80} blocked for more than \d+ seconds",
    "lockup": r"BUG: soft lockup|Watchdog detected hard LOCKUP|"
    r"INFO: rcu_\w+ (?:self-)?detected (?:expedited )?stall",
    "over_current": r"soctherm: OC ALARM|System throttled due to over-current",
}
_PATTERNS = {name: re.compile(pattern) for name, pattern in EVENTS.items()}


def event_of(record: bytes) -> str:
    """Which trouble a record tells of; empty for all others, also for what a program wrote into the log."""
    head, semicolon, rest = record.partition(b";")
    priority = head.split(b",", 1)[0]
    if not semicolon or not priority.isdigit() or int(priority) >> 3 != _KERNEL_FACILITY:
        return ""
    text = rest.partition(b"\n")[0].decode("utf-8", "replace")
    for name, pattern in _PATTERNS.items():
        if pattern.search(text):
            return name
    return ""


class KernelLog:
    """Counts in a thread; ``changed`` is called there after each group of records with trouble in it."""

    def __init__(self, path: str, changed: Callable[[], None]) -> None:
        self.events: Counter[str] = Counter(dict.fromkeys(EVENTS, 0))
        self.lost = 0
        self.readable = False
        self._path = path
        self._changed = changed
        self._file = -1
        self._thread: threading.Thread | None = None
        self._wake_read = self._wake_write = -1

    def start(self) -> None:
        """Begin, when the log may be read; that it may not is told once."""
        try:
            self._file = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self._file, 0, os.SEEK_END)
        except OSError as error:
            log.info("the kernel's log is not read: %s: %s", self._path, error.strerror)
            self._close()
            return
        self.readable = True
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._run, name="kernel log", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self._thread is not None:
            os.write(self._wake_write, b"x")
            self._thread.join(STOP_SECONDS)
            os.close(self._wake_write)
            os.close(self._wake_read)
            self._thread = None
        self._close()

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._file, select.POLLIN)
        poll.register(self._wake_read, select.POLLIN)
        while True:
            ready = {file for file, _ in poll.poll()}
            if self._wake_read in ready:
                return
            try:
                if self.read_some():
                    self._changed()
            except OSError as error:
                self.readable = False
                log.warning("the kernel's log cannot be read any more: %s", error.strerror)
                return

    def read_some(self) -> int:
        """Take what is there; returns how many troubles were in it. Raises OSError."""
        found = 0
        for _ in range(_MOST_AT_ONCE):
            try:
                record = os.read(self._file, MAX_RECORD)
            except BlockingIOError:
                break
            except OSError as error:
                if (
                    error.errno == errno.EPIPE
                ):  # the reader was too slow; the next read goes on with the oldest there is
                    self.lost += 1
                    continue
                if error.errno == errno.EINVAL:  # a record longer than the kernel promises
                    self.lost += 1
                    continue
                raise
            if not record:
                break
            if name := event_of(record):
                self.events[name] += 1
                found += 1
        return found
