"""Records of the kernel's log, as kernels 4.9 to 6.18 write them."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.collectors.kernel_log import KernelTroubles, watched
from exporters.sources import kernel_log
from exporters.sources.kernel_log import EVENTS, KernelLog, event_of
from tests.exporters.support import FAR, samples, settings

LINES = [
    ("oom_kill", "Out of memory: Killed process 1234 (python3) total-vm:81920kB, anon-rss:40960kB, file-rss:0kB"),
    ("oom_kill", "Memory cgroup out of memory: Killed process 77 (redis-server) total-vm:5kB"),
    ("oom_kill", "Out of memory: Kill process 812 (chromium-browse) score 301 or sacrifice child"),
    ("under_voltage", "Under-voltage detected! (0x00050005)"),
    ("under_voltage", "hwmon hwmon1: Undervoltage detected!"),
    ("io_error", "blk_update_request: I/O error, dev mmcblk0, sector 1234 op 0x0:(READ) flags 0x80700"),
    ("io_error", "I/O error, dev sda, sector 2048 op 0x1:(WRITE) flags 0x800 phys_seg 1 prio class 2"),
    ("io_error", "Buffer I/O error on dev mmcblk0p2, logical block 12, lost async page write"),
    ("io_error", "mmc0: error -110 whilst initialising SD card"),
    ("io_error", "critical medium error, dev nvme0n1, sector 99 op 0x0:(READ)"),
    ("io_error", "mmcblk0: error -110 transferring data, sector 4194304, nr 8, cmd response 0x900, card status 0xb00"),
    ("io_error", "mmcblk0: recovery failed!"),
    ("io_error", "nvme nvme0: controller is down; will reset: CSTS=0xffffffff, PCI_STATUS=0x10"),
    ("filesystem_error", "FAT-fs (mmcblk0p1): error, fat_get_cluster: invalid cluster chain (i_pos 0)"),
    ("filesystem_error", "BTRFS: error (device sda1) in btrfs_commit_transaction:2339: errno=-5 IO failure"),
    ("lockup", "INFO: rcu_preempt self-detected stall on CPU"),
    ("lockup", "INFO: rcu_sched detected stalls on CPUs/tasks:"),
    ("lockup", "rcu: INFO: rcu_sched detected expedited stalls on CPUs/tasks: { 2-... } 21 jiffies s: 401"),
    (
        "filesystem_error",
        "EXT4-fs error (device mmcblk0p2): ext4_lookup:1785: inode #12: comm ls: iget: checksum invalid",
    ),
    ("filesystem_error", "EXT4-fs (mmcblk0p2): Remounting filesystem read-only"),
    ("filesystem_error", "BTRFS critical (device sda1): corrupt leaf"),
    ("filesystem_error", "XFS (sda1): Metadata corruption detected at xfs_agf_read_verify"),
    ("hung_task", "INFO: task jbd2/mmcblk0p2-:123 blocked for more than 120 seconds."),
    ("lockup", "watchdog: BUG: soft lockup - CPU#2 stuck for 22s! [kworker/2:1:55]"),
    ("lockup", "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:"),
    ("over_current", "soctherm: OC ALARM 0x00000001"),
    ("", "Voltage normalised (0x00000000)"),
    ("", "mmc0: timeout waiting for hardware interrupt."),
    ("", "mmc1: Timeout waiting for hardware cmd interrupt."),
    ("", "mmc1: error -110 whilst initialising SDIO card"),
    ("", "critical target error, dev sda, sector 2048 op 0x3:(DISCARD) flags 0x800 phys_seg 1 prio class 0"),
    ("", "FAT-fs (mmcblk0p1): Volume was not properly unmounted. Some data may be corrupt. Please run fsck."),
    ("", "usb 1-1: new high-speed USB device number 2 using xhci_hcd"),
    ("", "EXT4-fs (mmcblk0p2): mounted filesystem with ordered data mode"),
    ("", "oom_reaper: reaped process 1234 (python3), now anon-rss:0kB"),
]


@pytest.mark.parametrize(("event", "text"), LINES)
def test_what_a_line_is(event: str, text: str) -> None:
    record = f"3,1234,5678901234,-;{text}\n SUBSYSTEM=block\n DEVICE=b179:0\n".encode()
    assert event_of(record) == event


@pytest.mark.parametrize(
    "record",
    [
        # Facility 1: a program wrote it. Anybody who may write the log could say it.
        b"12,5,1,-;Out of memory: Killed process 1 (init)",
        b"3,5,1,-;nothing\n TEXT=Out of memory: Killed process 1 (init)",
        b"Out of memory: Killed process 1 (init)",
        b"x,5,1,-;Out of memory: Killed process 1",
        b"",
    ],
)
def test_only_the_kernels_own_words_count(record: bytes) -> None:
    assert event_of(record) == ""


@given(st.binary(max_size=600))
def test_any_bytes_are_a_trouble_or_none(record: bytes) -> None:
    assert event_of(record) in {"", *EVENTS}


def test_every_trouble_has_a_line() -> None:
    assert {event for event, _ in LINES} == {"", *EVENTS}


class Device:
    """In place of /dev/kmsg: a socket that keeps the borders of records, as the device does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writer, self.reader = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.reader.setblocking(False)
        real_open, real_seek = os.open, os.lseek

        def opened(path: str, flags: int, *more: int) -> int:
            return os.dup(self.reader.fileno()) if path == "/fake/kmsg" else real_open(path, flags, *more)

        def sought(file: int, place: int, whence: int) -> int:
            try:
                return real_seek(file, place, whence)
            except OSError:
                return 0

        monkeypatch.setattr(os, "open", opened)
        monkeypatch.setattr(os, "lseek", sought)

    def say(self, text: str) -> None:
        self.writer.send(f"4,1,1,-;{text}\n".encode())


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    found = Device(monkeypatch)
    yield found
    found.writer.close()
    found.reader.close()


def test_troubles_are_counted_and_told_at_once(device: Device) -> None:
    told = threading.Event()
    kernel = KernelLog("/fake/kmsg", told.set)
    kernel.start()
    device.say("eth0: link up")
    assert not told.wait(0.1)
    device.say("Under-voltage detected! (0x00050005)")
    assert told.wait(FAR)
    found = samples(KernelTroubles(kernel).collect())
    assert found["tierwatch_kernel_log_events_total", "under_voltage"] == 1
    assert found["tierwatch_kernel_log_events_total", "oom_kill"] == 0
    assert found["tierwatch_kernel_log_lost_total",] == 0
    assert found["tierwatch_kernel_log_readable",] == 1
    kernel.stop()


def test_what_was_overwritten_is_counted(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = KernelLog("/fake/kmsg", lambda: None)
    kernel._file = os.dup(device.reader.fileno())
    real, raised = os.read, [BrokenPipeError(32, "Broken pipe")]

    def read(file: int, size: int) -> bytes:
        if raised and file == kernel._file:
            raise raised.pop()
        return real(file, size)

    monkeypatch.setattr(os, "read", read)
    device.say("Out of memory: Killed process 5 (x)")
    assert kernel.read_some() == 1
    assert kernel.lost == 1
    kernel.stop()


def test_who_may_not_read_says_so_and_counts_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kernel = KernelLog(str(tmp_path / "kmsg"), lambda: None)
    with caplog.at_level("INFO"):
        kernel.start()
    assert "the kernel's log is not read" in caplog.text
    assert samples(KernelTroubles(kernel).collect()) == {("tierwatch_kernel_log_readable",): 0.0}
    kernel.stop()


@pytest.mark.skipif(not os.access("/dev/kmsg", os.W_OK | os.R_OK), reason="may not write the kernel's log")
def test_the_real_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a program writes into it has a facility of its own, and is read and not counted."""
    judged: list[tuple[bytes, str]] = []
    ends: list[Callable[[], None]] = []

    def judge(record: bytes) -> str:
        judged.append((record, event_of(record)))
        return judged[-1][1]

    def ours() -> list[str]:
        return [event for record, event in judged if b"tierwatch test" in record]

    monkeypatch.setattr(kernel_log, "event_of", judge)
    live = replace(settings("vm"), on_stop=ends.append)
    collector = watched(replace(live, roots=replace(live.roots, rootfs="/")))
    with Path("/dev/kmsg").open("wb", buffering=0) as kmsg:
        kmsg.write(b"tierwatch test: Out of memory: Killed process 0 (nobody)\n")
    end = time.monotonic() + FAR
    while not ours():
        assert time.monotonic() < end
        time.sleep(0.01)
    assert ours() == [""]
    assert ("tierwatch_kernel_log_lost_total",) in samples(collector.collect())
    ends[0]()
