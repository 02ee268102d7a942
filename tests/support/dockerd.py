"""A Docker Engine of our own: its own socket, data and network, nothing of the machine's."""

from __future__ import annotations

import os
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.machine import PATIENCE
from tests.support.peers import lacking, need

IMAGE = "tierwatch:test"
TOOLS = ("cat", "dd", "echo", "false", "rm", "sh", "sleep", "tail", "test", "touch", "true")


class Dockerd:
    """A running daemon; ``docker`` speaks to it as a person would."""

    def __init__(self, folder: Path, program: str) -> None:
        self.socket = folder / "docker.sock"
        self._folder = folder
        self._program = program
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Until it answers; raises AssertionError with its log when it does not."""
        folder = self._folder
        words = [self._program, "-H", f"unix://{self.socket}", "--data-root", f"{folder}/data"]
        words += ["--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid"]
        words += ["--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver", "vfs"]
        # Its containerd writes what it did last into the folder for temporary files when it is slow to end.
        there = {**os.environ, "TMPDIR": str(folder)}
        with (folder / "log").open("ab") as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True, env=there)
        end = time.monotonic() + 30 * PATIENCE
        while self.process.poll() is None and time.monotonic() < end:
            if self._run("version").returncode == 0:
                return
            time.sleep(0.1)
        raise AssertionError(f"dockerd does not start: {(folder / 'log').read_text()[-2000:]}")

    def stop(self) -> None:
        """Ends it and its containers."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30 * PATIENCE)
            self.process = None

    def docker(self, *words: str) -> str:
        """Runs ``docker``; what it prints. Raises AssertionError with its complaint."""
        done = self._run(*words)
        assert done.returncode == 0, f"docker {' '.join(words)}: {done.stderr}"
        return done.stdout.strip()

    def run(self, name: str, *options_and_command: str) -> str:
        """A container in the background without a network; ``--`` stands between its options and its command."""
        at = options_and_command.index("--")
        options, command = options_and_command[:at], options_and_command[at + 1 :]
        return self.docker("run", "-d", "--name", name, "--network", "none", *options, IMAGE, *command)

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "DOCKER_HOST": f"unix://{self.socket}"}
        return subprocess.run(
            ["docker", *words], env=environment, capture_output=True, text=True, timeout=60 * PATIENCE, check=False
        )

    def make_image(self, busybox: str) -> None:
        """An image of nothing but a shell and a few tools."""
        archive = self._folder / "image.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(busybox, "bin/busybox")
            for tool in TOOLS:
                link = tarfile.TarInfo(f"bin/{tool}")
                link.type, link.linkname, link.mode = tarfile.SYMTYPE, "busybox", 0o777
                tar.addfile(link)
            folder = tarfile.TarInfo("tmp")
            folder.type, folder.mode = tarfile.DIRTYPE, 0o777
            tar.addfile(folder)
        self.docker("import", str(archive), IMAGE)


def _may_mount() -> bool:
    status = Path("/proc/self/status").read_text()
    (effective,) = [line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")]
    return bool(int(effective, 16) >> 21 & 1)


@contextmanager
def dockerd() -> Iterator[Dockerd]:
    """A daemon with ``IMAGE`` in it. The test is skipped where none can run; in CI a missing one fails it."""
    if not _may_mount():
        lacking("dockerd needs root and the right to mount (CAP_SYS_ADMIN), and this machine does not give it")
    program, busybox = need("dockerd"), need("busybox")
    # Not under pytest's folder: the path of a unix socket has at most 107 characters.
    with TemporaryDirectory(prefix="tw-docker-") as name:
        made = Dockerd(Path(name), program)
        try:
            made.start()
            made.make_image(busybox)
            yield made
        finally:
            if made.process is not None:
                for container in made.docker("ps", "-aq").split():
                    made.docker("rm", "-f", container)
            made.stop()
