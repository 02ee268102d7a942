"""A Linux kernel of our own, run as a process: User Mode Linux, which boots in two seconds and needs no rights.

It sees the machine's files, read-only, and has its own /proc, /sys, control groups (version 2) and one block device.
https://www.kernel.org/doc/html/latest/virt/uml/user_mode_linux_howto_v2.html
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.machine import PATIENCE
from tests.support.peers import ROOT, need

# ``share`` is the one folder in which the guest can write.
INIT = """#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t hostfs share {share} -o {share}
cd {root}
export HOME={share} PYTHONDONTWRITEBYTECODE=1
{python} -m {module} {share}
echo o > /proc/sysrq-trigger
sleep 60
"""
DISK_BYTES = 16 * 2**20


def run_in_own_kernel(module: str, share: Path, *kernel_options: str, seconds: float = 60.0 * PATIENCE) -> str:
    """Runs ``python -m module SHARE`` as root of a guest that has ``share``, an empty folder; what its console said.

    ``kernel_options`` go to its kernel. The guest's disk, /dev/ubda, is empty. Only Intel's and AMD's processors can.
    """
    if platform.machine() != "x86_64":
        pytest.skip("User Mode Linux runs on x86 only")
    linux = need("linux.uml")
    init = share / "init"
    init.write_text(INIT.format(share=share, root=ROOT, python=sys.executable, module=module))
    init.chmod(0o755)
    disk = share / "disk"
    with disk.open("wb") as file:
        file.truncate(DISK_BYTES)
    words = ["mem=128M", "rootfstype=hostfs", "rootflags=/", "ro", "quiet", f"ubd0={disk}", f"uml_dir={share}"]
    words += ["con=null", "con0=null,fd:1", f"init={init}", *kernel_options]
    done = subprocess.run(
        [linux, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=seconds,
        check=False,
        env={**os.environ, "TMPDIR": str(share), "HOME": str(share)},
    )
    return done.stdout.decode(errors="replace")
