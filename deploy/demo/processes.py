"""Starting and ending the demo's programs: real processes, each ours by its pid, none left behind."""

from __future__ import annotations

import asyncio
import ctypes
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import aiohttp

from deploy.demo.plan import Program

_PR_SET_PDEATHSIG = 1
_STOP_SECONDS = 10.0


class DemoError(Exception):
    """The demo cannot go on; the message is for the person at the terminal."""


def check_free(programs: Sequence[Program]) -> None:
    """Raise DemoError naming every address that something else already listens on."""
    taken = []
    for program in programs:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(program.listen)
            except OSError as error:
                host, port = program.listen
                taken.append(f"  {host}:{port} for {program.name}: {error.strerror}")
    if taken:
        raise DemoError(
            "the demo needs these addresses and cannot have them (is another demo, or a real exporter, running?):\n"
            + "\n".join(taken)
        )


def _die_with_parent() -> None:
    # Even a demo that is killed outright leaves nothing running.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Running:
    """One started program; its output goes to a log file."""

    def __init__(self, program: Program, log: Path) -> None:
        self.program = program
        self.log = log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C reaches the demo alone, which then ends its programs in order.
            self._process = await asyncio.create_subprocess_exec(
                *self.program.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    async def wait_up(self, session: aiohttp.ClientSession, seconds: float) -> None:
        """Return when its URL answers 200. Raises DemoError when it ends or stays silent."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.alive:
                raise DemoError(f"{self.program.name} ended at once; the end of {self.log}:\n{self.tail()}")
            with suppress(aiohttp.ClientError, TimeoutError, OSError):
                async with session.get(self.program.url, timeout=aiohttp.ClientTimeout(total=2)) as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)
        raise DemoError(f"{self.program.name} is not up after {seconds:.0f} s; the end of {self.log}:\n{self.tail()}")

    async def kill(self) -> None:
        """As a power cut would: no time to say goodbye."""
        if self._process is not None and self.alive:
            self._process.kill()
            await self._process.wait()

    async def stop(self) -> None:
        if self._process is None or not self.alive:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            await self.kill()

    def tail(self, lines: int = 12) -> str:
        with suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""
